/* Descriptors come and go in four threads: open, dup, dup2, dup3, F_DUPFD, close, close_range, and numbers used again at
 * once by another thread; each carries bytes that are verified.
 *
 *   status -> "status ROUNDS"      quit -> same line, exit 0
 */
#include "tester.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

static _Atomic uint64_t rounds;
static _Atomic int stop;

static void pass(int out, int in, unsigned id, uint64_t position) {
  unsigned char bytes[100];
  fill(bytes, sizeof bytes, position, id);
  CHECK(write(out, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
  memset(bytes, 0, sizeof bytes);
  CHECK(read(in, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
  verify(bytes, sizeof bytes, position, id);
}

static void *run(void *argument) {
  const unsigned id = (unsigned)(size_t)argument;
  const int high = 2000 + (int)id * 100; /* this thread's own numbers */
  for (uint64_t round = 0; !atomic_load(&stop); round++) {
    int ends[2];
    if (round % 2) CHECK(pipe2(ends, O_CLOEXEC) == 0);
    else CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    const int copy = dup(ends[1]);
    CHECK(copy >= 0);
    pass(copy, ends[0], id, round);
    CHECK(close(copy) == 0);
    CHECK(dup2(ends[1], high) == high);
    CHECK(dup3(ends[0], high + 1, O_CLOEXEC) == high + 1);
    const int upper = fcntl(ends[1], F_DUPFD_CLOEXEC, high + 2);
    CHECK(upper >= high + 2 && upper < high + 100);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
    pass(high, high + 1, id, round + 1);
    pass(upper, high + 1, id, round + 2);
    if (round % 3 == 0) {
      CHECK(close_range((unsigned)high, (unsigned)high + 99, 0) == 0);
    } else {
      CHECK(close(high) == 0 && close(high + 1) == 0 && close(upper) == 0);
    }
    CHECK(fcntl(high, F_GETFD) == -1 && errno == EBADF);
    atomic_fetch_add(&rounds, 1);
    if (round % 8 == 0) usleep(300);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[4];
  for (size_t i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
  say("ready 5");
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    say("status %llu", (unsigned long long)rounds);
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  say("status %llu", (unsigned long long)rounds);
  return 0;
}
