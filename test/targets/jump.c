/* Signal handlers that never return: a timer interrupts each thread in mid-call, and its handler jumps back to where the
 * thread begins anew (siglongjmp; on every second thread from an alternate stack). Whatever call was cut short, what
 * a thread reads is what it wrote before, in order, and nothing else.
 *
 *   status -> "status JUMPS BYTES"      quit -> same line, exit 0
 */
#include "tester.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { THREADS = 4, LENGTH = 600, EVERY_NS = 200000 };

static _Atomic uint64_t jumps, moved;
static _Atomic int stop;
static _Thread_local sigjmp_buf again;
static _Thread_local volatile sig_atomic_t may_jump;

static void handler(int number) {
  (void)number;
  if (!may_jump) return;
  may_jump = 0;
  siglongjmp(again, 1);
}

static ssize_t put(int fd, const unsigned char *bytes, size_t length, unsigned turn) {
  struct iovec parts[2] = {{(void *)bytes, length / 3}, {(void *)(bytes + length / 3), length - length / 3}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  switch (turn % 4) {
    case 0: return write(fd, bytes, length);
    case 1: return writev(fd, parts, 2);
    case 2: return send(fd, bytes, length, 0);
    default: return sendmsg(fd, &message, 0);
  }
}

static ssize_t get(int fd, unsigned char *bytes, size_t length, unsigned turn) {
  struct iovec part = {bytes, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  switch (turn % 4) {
    case 0: return read(fd, bytes, length);
    case 1: return readv(fd, &part, 1);
    case 2: return recv(fd, bytes, length, 0);
    default: return recvmsg(fd, &message, 0);
  }
}

/* Reads all that is there: `out` is what was given to write, of which a call that was cut short wrote all or nothing. */
static void drain(int fd, const unsigned char *out, unsigned turn) {
  int waiting = 0;
  CHECK(ioctl(fd, FIONREAD, &waiting) == 0);
  if (waiting != 0 && waiting != LENGTH) fail("%d of %d bytes arrived", waiting, LENGTH);
  unsigned char in[LENGTH];
  for (int done = 0; done < waiting;) {
    const ssize_t n = get(fd, in + done, (size_t)(waiting - done), turn);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("drain returned %zd", n);
    done += (int)n;
  }
  if (waiting > 0 && memcmp(in, out, LENGTH) != 0) fail("other bytes than were written");
  atomic_fetch_add(&moved, (uint64_t)waiting);
}

static void *run(void *argument) {
  const unsigned id = (unsigned)(size_t)argument;
  unsigned char out[LENGTH];
  static char alternates[THREADS][64 * 1024];
  if (id % 2) {
    stack_t stack = {.ss_sp = alternates[id], .ss_size = sizeof alternates[id]};
    CHECK(sigaltstack(&stack, NULL) == 0);
  }
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
  event.sigev_notify_thread_id = gettid();
  timer_t timer;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  const struct itimerspec every = {{0, EVERY_NS}, {0, EVERY_NS}};
  CHECK(timer_settime(timer, 0, &every, NULL) == 0);
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  static _Thread_local volatile unsigned turn;
  while (!atomic_load(&stop)) {
    turn++;
    fill(out, sizeof out, turn, id);
    if (sigsetjmp(again, 1) == 0) {
      may_jump = 1;
      if (turn % 3 == 0) {
        unsigned char none;
        get(ends[0], &none, 1, turn / 3); /* nothing is there: only the jump leads out of it */
        may_jump = 0;
        fail("a read of nothing came back");
      }
      for (int i = 0; i < 20; i++) {
        if (put(ends[1], out, sizeof out, turn + (unsigned)i) != LENGTH) fail("put");
        may_jump = 0;
        drain(ends[0], out, turn);
        may_jump = 1;
      }
      may_jump = 0;
    } else {
      atomic_fetch_add(&jumps, 1);
    }
    drain(ends[0], out, turn);
  }
  timer_delete(timer);
  return NULL;
}

int main(void) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
  say("ready %d", THREADS + 1);
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    say("status %llu %llu", (unsigned long long)jumps, (unsigned long long)moved);
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  say("status %llu %llu", (unsigned long long)jumps, (unsigned long long)moved);
  return 0;
}
