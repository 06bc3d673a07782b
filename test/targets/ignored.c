/* Waits in calls that report EINTR although nothing is to be told of: only where a handler ran may they. Signals that the
 * process ignores, or that do nothing to it, must not be seen by it, traced or not.
 *
 *   epoll | receive | poll -> "waiting WORD", then "returned WORD OUTCOME"      tell -> what they wait for comes
 *   quit -> exit 0
 *
 * OUTCOME: "done" where what it waited for came, "EINTR" where the call was interrupted.
 */
#include "tester.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>

static int ends[2], set;

static void handler(int number) { (void)number; }

static int by_epoll(void) {
  struct epoll_event event;
  const int n = epoll_wait(set, &event, 1, 60000);
  char byte;
  if (n == 1) CHECK(read(ends[0], &byte, 1) == 1);
  return n;
}

static int by_receive(void) {
  char byte;
  return (int)recv(ends[0], &byte, 1, 0);
}

static int by_poll(void) {
  struct pollfd one = {.fd = ends[0], .events = POLLIN};
  const int n = poll(&one, 1, -1);
  char byte;
  if (n == 1) CHECK(read(ends[0], &byte, 1) == 1);
  return n;
}

struct job {
  const char *word;
  int (*wait)(void);
};

static const struct job jobs[] = {{"epoll", by_epoll}, {"receive", by_receive}, {"poll", by_poll}};

static void *run(void *argument) {
  const struct job *job = argument;
  const int n = job->wait();
  if (n != 1 && !(n < 0 && errno == EINTR)) fail("%s returned %d", job->word, n);
  say("returned %s %s", job->word, n == 1 ? "done" : "EINTR");
  return NULL;
}

int main(void) {
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  /* With a limit of time a receiving call is not made again by the kernel. */
  const struct timeval minute = {60, 0};
  CHECK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute) == 0);
  struct epoll_event event = {.events = EPOLLIN};
  CHECK((set = epoll_create1(0)) >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event) == 0);
  signal(SIGUSR1, SIG_IGN);
  const struct sigaction caught = {.sa_handler = handler};
  CHECK(sigaction(SIGUSR2, &caught, NULL) == 0);
  sigset_t all;
  sigfillset(&all);
  say("ready 1");
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) return 0;
    if (is(word, "tell")) {
      CHECK(write(ends[1], "x", 1) == 1);
      continue;
    }
    size_t i = 0;
    while (i < sizeof jobs / sizeof *jobs && !is(word, jobs[i].word)) i++;
    CHECK(i < sizeof jobs / sizeof *jobs);
    pthread_t thread;
    CHECK(pthread_sigmask(SIG_UNBLOCK, &all, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, run, (void *)&jobs[i]) == 0);
    /* The signals are for the thread that waits. */
    CHECK(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
    CHECK(pthread_detach(thread) == 0);
    usleep(100000);
    say("waiting %s", word);
  }
}
