/* Timers fire all the time while threads read and write verified bytes: handlers with and without SA_RESTART, on and off
 * an alternate stack. A call that returns EINTR is right for the timer without SA_RESTART and wrong for the other.
 * A profiler's timer (SIGPROF) may fire beside them, in whichever thread computes.
 *
 * Arguments: a timer's interval in microseconds (default 300), that of the profiler (default 0: none).
 *
 *   status  -> "status SIGNALS PROFILED BYTES"
 *   quit    -> same line, exit 0
 */
#include "tester.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

static _Atomic uint64_t signals, profiled, moved;
static _Atomic int stop;
static long every_us = 300, profile_us;

static void handler(int number) {
  const int saved = errno;
  atomic_fetch_add(number == SIGPROF ? &profiled : &signals, 1);
  errno = saved;
}

struct stream {
  int id;
  int restarts; /* whether its thread's signal restarts calls */
};

static void *run(void *argument) {
  const struct stream *s = argument;
  unsigned char out[777], in[777];
  char alternate[64 * 1024];
  int ends[2];
  if (s->id % 2) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    CHECK(sigaltstack(&stack, NULL) == 0);
  }
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, s->restarts ? SIGUSR2 : SIGUSR1);
  CHECK(pthread_sigmask(SIG_BLOCK, &blocked, NULL) == 0);

  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = s->restarts ? SIGUSR1 : SIGUSR2};
  event.sigev_notify_thread_id = gettid();
  timer_t timer;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  struct itimerspec every = {{0, every_us * 1000}, {0, every_us * 1000}};
  CHECK(timer_settime(timer, 0, &every, NULL) == 0);

  CHECK(pipe(ends) == 0);
  for (uint64_t position = 0; !atomic_load(&stop); position += sizeof out) {
    fill(out, sizeof out, position, (unsigned)s->id);
    for (size_t done = 0; done < sizeof out;) {
      const ssize_t n = write(ends[1], out + done, sizeof out - done);
      if (n < 0 && errno == EINTR && !s->restarts) continue;
      if (n <= 0) fail("write in stream %d returned %zd", s->id, n);
      done += (size_t)n;
    }
    for (size_t done = 0; done < sizeof in;) {
      const ssize_t n = read(ends[0], in + done, sizeof in - done);
      if (n < 0 && errno == EINTR && !s->restarts) continue;
      if (n <= 0) fail("read in stream %d returned %zd", s->id, n);
      done += (size_t)n;
    }
    verify(in, sizeof in, position, (unsigned)s->id);
    atomic_fetch_add(&moved, sizeof in);
    if (position % 16 == 0) usleep(500);
  }
  timer_delete(timer);
  return NULL;
}

static void tell(void) {
  say("status %llu %llu %llu", (unsigned long long)signals, (unsigned long long)profiled, (unsigned long long)moved);
}

int main(int count, char **arguments) {
  if (count > 1) every_us = atol(arguments[1]);
  if (count > 2) profile_us = atol(arguments[2]);
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGPROF, &action, NULL) == 0);
  action.sa_flags = SA_ONSTACK;
  CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
  sigset_t both;
  sigemptyset(&both);
  sigaddset(&both, SIGUSR1);
  sigaddset(&both, SIGUSR2);
  static struct stream streams[4] = {{0, 0}, {1, 0}, {2, 1}, {3, 1}};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, run, &streams[i]) == 0);
  CHECK(pthread_sigmask(SIG_BLOCK, &both, NULL) == 0);
  if (profile_us > 0) {
    const struct itimerval every = {{0, profile_us}, {0, profile_us}};
    CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0);
  }
  say("ready 5");
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    tell();
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  tell();
  return 0;
}
