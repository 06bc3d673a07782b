/* How long the program stands still, measured from inside: the longest time between two readings of the clock.
 * Argument: how many threads it has. One thread: it reads the clock, and looks for commands now and then. More: one reads
 * the clock, one waits for commands, and the others wait in read(2), as most threads of a server do.
 *
 *   reset  -> "reset"       report -> "gap NANOSECONDS"       quit -> exit 0
 */
#include "tester.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

static _Atomic uint64_t longest;
static int never[2];

static uint64_t look(uint64_t before) {
  const uint64_t now = now_ns();
  uint64_t known = atomic_load_explicit(&longest, memory_order_relaxed);
  if (now - before > known) atomic_compare_exchange_strong(&longest, &known, now - before);
  return now;
}

static void *__attribute__((noreturn)) spin(void *unused) {
  (void)unused;
  for (uint64_t before = now_ns();;) before = look(before);
}

static void *rest(void *unused) {
  char byte;
  (void)unused;
  fail("a read that must block for ever returned %zd", read(never[0], &byte, 1));
}

static void obey(void) {
  char word[16];
  next_command(word, sizeof word);
  if (is(word, "quit")) {
    exit(0);
  } else if (is(word, "reset")) {
    say("reset");
    atomic_store(&longest, 0);
  } else {
    say("gap %llu", (unsigned long long)atomic_load(&longest));
  }
}

int main(int count, char **arguments) {
  const int threads = count > 1 ? atoi(arguments[1]) : 2;
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  CHECK(pipe(never) == 0);
  for (int i = 2; i < threads; i++) CHECK(pthread_create(&thread, &attributes, rest, NULL) == 0);
  if (threads > 1) CHECK(pthread_create(&thread, &attributes, spin, NULL) == 0);
  usleep(100000);
  say("ready %d", threads);
  if (threads > 1)
    for (;;) obey();
  for (uint64_t before = now_ns();;) {
    for (int i = 0; i < 20000; i++) before = look(before);
    struct pollfd commands = {0, POLLIN, 0};
    if (poll(&commands, 1, 0) == 1) {
      obey();
      before = now_ns();
    }
  }
}
