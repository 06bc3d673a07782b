/* A program of a few system calls in the shapes that C libraries have: the planner's fuzz target begins with it. */
static long call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

__attribute__((noinline)) long read_some(long fd, long to, long n) {
  long result = call(0, fd, to, n);
  return (unsigned long)result > -4096ul ? -1 : result;
}

__attribute__((noinline)) long write_some(long fd, long from, long n) {
  long result = call(1, fd, from, n);
  return (unsigned long)result > -4096ul ? -1 : result;
}

__attribute__((noinline)) long close_one(long fd) { return call(3, fd, 0, 0); }

long (*const table[])(long, long, long) = {read_some, write_some};

void _start(void) {
  for (long i = 0; i < 2; i++) table[i](i, 0, 0);
  call(231, close_one(0), 0, 0);
  __builtin_unreachable();
}
