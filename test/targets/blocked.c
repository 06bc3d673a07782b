/* One thread blocked in each call that waits. None may come back before "release": not with EINTR, not early, not at all.
 *
 * Argument: microseconds; each thread then gets a signal every so often, whose handler asks for restarts (SA_RESTART). Calls
 * that signal(7) says are restarted must still not come back; the others may say EINTR, and are made again.
 *
 *   release  lets every call end the way it should -> "released N", exit 0
 *
 * Calls with a time limit have one far in the future; what ends them is the event that they wait for.
 */
#include "tester.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

static _Atomic int released, finished;
static _Atomic uint64_t signals;
static long every_us; /* 0: no signals */
static int pipes[16][2];
static int listener, semaphores, queue;
static struct sockaddr_in listening;
static _Atomic uint32_t word;
static pid_t child;
static pthread_t signal_thread;

enum { READ, POLL, PPOLL, SELECT, EPOLL, EPOLL_FOREVER, SPLICE, PIPES };
static int pairs[4][2];
enum { RECV, RECV_TIMEOUT, RECVMSG, UNUSED };

/* The result of a call that a signal's handler ends, with SA_RESTART or without (signal(7)). */
#define UNTIL_MORE_THAN_A_SIGNAL(call) \
  ({ \
    long result_; \
    do result_ = (call); \
    while (result_ < 0 && errno == EINTR && every_us > 0); \
    result_; \
  })

static void expect_byte(int fd) {
  char byte = 0;
  CHECK(read(fd, &byte, 1) == 1 && byte == 'x');
}

static void in_read(void) { expect_byte(pipes[READ][0]); }

static void in_poll(void) {
  struct pollfd entry = {pipes[POLL][0], POLLIN, 0};
  CHECK(UNTIL_MORE_THAN_A_SIGNAL(poll(&entry, 1, 3600 * 1000)) == 1);
  expect_byte(pipes[POLL][0]);
}

static void in_ppoll(void) {
  struct pollfd entry = {pipes[PPOLL][0], POLLIN, 0};
  struct timespec limit = {3600, 0};
  CHECK(UNTIL_MORE_THAN_A_SIGNAL(ppoll(&entry, 1, &limit, NULL)) == 1);
  expect_byte(pipes[PPOLL][0]);
}

static void in_select(void) {
  fd_set set;
  struct timeval limit = {3600, 0};
  FD_ZERO(&set);
  /* Unspecified after an error: set anew each time. */
  CHECK(UNTIL_MORE_THAN_A_SIGNAL((FD_SET(pipes[SELECT][0], &set), select(pipes[SELECT][0] + 1, &set, NULL, NULL, &limit))) == 1);
  expect_byte(pipes[SELECT][0]);
}

static void wait_epoll(int which, int limit_ms) {
  const int poller = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = pipes[which][0]};
  CHECK(epoll_ctl(poller, EPOLL_CTL_ADD, pipes[which][0], &event) == 0);
  CHECK(UNTIL_MORE_THAN_A_SIGNAL(epoll_wait(poller, &event, 1, limit_ms)) == 1);
  expect_byte(pipes[which][0]);
}
static void in_epoll(void) { wait_epoll(EPOLL, 3600 * 1000); }
static void in_epoll_forever(void) { wait_epoll(EPOLL_FOREVER, -1); }

static void in_splice(void) {
  int to[2];
  CHECK(pipe(to) == 0);
  CHECK(splice(pipes[SPLICE][0], NULL, to[1], NULL, 1, 0) == 1);
  expect_byte(to[0]);
}

static void in_recv(void) {
  char byte;
  CHECK(recv(pairs[RECV][0], &byte, 1, 0) == 1);
}

static void in_recv_timeout(void) {
  struct timeval limit = {3600, 0};
  char byte;
  CHECK(setsockopt(pairs[RECV_TIMEOUT][0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
  CHECK(UNTIL_MORE_THAN_A_SIGNAL(recv(pairs[RECV_TIMEOUT][0], &byte, 1, 0)) == 1);
}

static void in_recvmsg(void) {
  char byte;
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  CHECK(recvmsg(pairs[RECVMSG][0], &message, 0) == 1);
}

static void in_accept(void) { CHECK(accept(listener, NULL, NULL) >= 0); }

static void in_futex(void) {
  while (atomic_load(&word) == 0) {
    const long result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    if (result < 0 && errno == EINTR) fail("futex returned EINTR");
    CHECK(result == 0 || errno == EAGAIN);
  }
}

/* Sleeps to the second, in one call: a sleep that was cut short or began anew shows in the clock. */
static void in_nanosleep(void) {
  while (!atomic_load(&released)) {
    struct timespec slice = {2, 0};
    const uint64_t before = now_ns();
    CHECK(UNTIL_MORE_THAN_A_SIGNAL(nanosleep(&slice, &slice)) == 0);
    const uint64_t took = now_ns() - before;
    if (took < 1999000000ull || took > 4000000000ull) fail("nanosleep of 2 s took %llu ns", (unsigned long long)took);
  }
}

static void in_sigtimedwait(void) {
  sigset_t set;
  struct timespec limit = {3600, 0};
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK(UNTIL_MORE_THAN_A_SIGNAL(sigtimedwait(&set, NULL, &limit)) == SIGUSR2);
}

static void in_semtimedop(void) {
  struct sembuf take = {0, -1, 0};
  struct timespec limit = {3600, 0};
  CHECK(UNTIL_MORE_THAN_A_SIGNAL(semtimedop(semaphores, &take, 1, &limit)) == 0);
}

static void in_msgrcv(void) {
  struct { long type; char text[8]; } message;
  CHECK(UNTIL_MORE_THAN_A_SIGNAL(msgrcv(queue, &message, sizeof message.text, 0, 0)) == 8);
}

static void in_waitpid(void) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static const struct {
  const char *name;
  void (*wait)(void);
} calls[] = {
    {"read", in_read},       {"poll", in_poll},           {"ppoll", in_ppoll},
    {"select", in_select},   {"epoll_wait", in_epoll},    {"epoll_wait-forever", in_epoll_forever},
    {"splice", in_splice},   {"recv", in_recv},           {"recv-timeout", in_recv_timeout},
    {"recvmsg", in_recvmsg}, {"accept", in_accept},       {"futex", in_futex},
    {"nanosleep", in_nanosleep}, {"sigtimedwait", in_sigtimedwait}, {"semtimedop", in_semtimedop},
    {"msgrcv", in_msgrcv},   {"waitpid", in_waitpid},
};
enum { CALLS = sizeof calls / sizeof calls[0] };

static void count(int number) {
  (void)number;
  atomic_fetch_add(&signals, 1);
}

static void begin_signals(void) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
  event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
  timer_t timer;
  const struct timespec every = {0, every_us * 1000};
  const struct itimerspec interval = {every, every};
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &interval, NULL) == 0);
}

static void *waiter(void *argument) {
  const size_t which = (size_t)argument;
  if (every_us > 0) begin_signals();
  if (calls[which].wait == in_sigtimedwait) signal_thread = pthread_self();
  calls[which].wait();
  if (!atomic_load(&released)) fail("%s returned before its time", calls[which].name);
  atomic_fetch_add(&finished, 1);
  return NULL;
}

int main(int argument_count, char **arguments) {
  every_us = argument_count > 1 ? atol(arguments[1]) : 0;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  for (int i = 0; i < PIPES; i++) CHECK(pipe(pipes[i]) == 0);
  for (int i = 0; i < 4; i++) CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]) == 0);
  socklen_t size = sizeof listening;
  listening.sin_family = AF_INET;
  listening.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK((listener = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
  CHECK(bind(listener, (struct sockaddr *)&listening, sizeof listening) == 0 && listen(listener, 1) == 0);
  CHECK(getsockname(listener, (struct sockaddr *)&listening, &size) == 0);
  CHECK((semaphores = semget(IPC_PRIVATE, 1, 0600)) >= 0);
  CHECK((queue = msgget(IPC_PRIVATE, 0600)) >= 0);
  int ending[2];
  CHECK(pipe(ending) == 0);
  if ((child = fork()) == 0) {
    char byte;
    close(ending[1]);
    _exit(read(ending[0], &byte, 1) == 1 ? 7 : 8);
  }
  close(ending[0]);
  pthread_t threads[CALLS];
  for (size_t i = 0; i < CALLS; i++) CHECK(pthread_create(&threads[i], NULL, waiter, (void *)i) == 0);
  usleep(200000);
  say("ready %d", CALLS + 1);

  char command[16];
  next_command(command, sizeof command);
  CHECK(is(command, "release"));
  atomic_store(&released, 1);
  for (int i = 0; i < PIPES; i++) CHECK(write(pipes[i][1], "x", 1) == 1);
  for (int i = 0; i < 4; i++) CHECK(write(pairs[i][1], "x", 1) == 1);
  const int caller = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(caller, (struct sockaddr *)&listening, sizeof listening) == 0);
  atomic_store(&word, 1);
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  CHECK(pthread_kill(signal_thread, SIGUSR2) == 0);
  struct sembuf give = {0, 1, 0};
  CHECK(semop(semaphores, &give, 1) == 0);
  struct { long type; char text[8]; } message = {1, "message"};
  CHECK(msgsnd(queue, &message, sizeof message.text, 0) == 0);
  CHECK(write(ending[1], "x", 1) == 1);
  for (size_t i = 0; i < CALLS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  if (every_us > 0 && atomic_load(&signals) < CALLS) fail("only %llu signals came", (unsigned long long)signals);
  semctl(semaphores, 0, IPC_RMID);
  msgctl(queue, IPC_RMID, NULL);
  say("released %d", atomic_load(&finished));
  return 0;
}
