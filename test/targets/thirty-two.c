/* A 32-bit program without a library: sleeps a second at a time for ever. Built with -m32 -nostdlib -static. */
void _start(void);
void _start(void) {
  for (;;) {
    long second[2] = {1, 0};
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(162 /* nanosleep */), "b"(second), "c"(0) : "memory");
  }
}
