/* Signals that queue (signal(7): real-time ones), each with a number, sent by one thread to others that go in and out of
 * calls: every one must arrive, once, in order. Whoever stops a thread at a signal and then loses it is found out.
 *
 *   status  -> "status SIGNALS"      quit -> same line, exit 0
 */
#include "tester.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

enum { RECEIVERS = 2, UNDER_WAY = 4, PATIENCE_S = 20 };

static _Atomic int received[RECEIVERS];
static _Atomic int stop;
/* Nothing is sent any more. */
static _Atomic int sent_all;
static pthread_t receivers[RECEIVERS];
static _Thread_local int self;
static sigset_t numbered;

static void handler(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  const int saved = errno;
  const int expected = atomic_load(&received[self]) + 1;
  if (info->si_code != SI_QUEUE) fail("a signal of code %d", info->si_code);
  if (info->si_value.sival_int != expected) fail("signal %d came, not %d", info->si_value.sival_int, expected);
  atomic_store(&received[self], expected);
  errno = saved;
}

static void *receive(void *argument) {
  self = (int)(intptr_t)argument;
  CHECK(pthread_sigmask(SIG_UNBLOCK, &numbered, NULL) == 0);
  int ends[2];
  char byte = 7;
  CHECK(pipe(ends) == 0);
  while (!atomic_load(&sent_all)) CHECK(write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 7);
  return NULL;
}

/* Until all but `most` of `sent` have arrived. */
static void arrived(int receiver, int sent, int most) {
  const time_t deadline = time(NULL) + PATIENCE_S;
  while (atomic_load(&received[receiver]) < sent - most) {
    if (time(NULL) > deadline) fail("signal %d never came", atomic_load(&received[receiver]) + 1);
    sched_yield();
  }
}

static void *send_all(void *argument) {
  for (int n = 1; !atomic_load(&stop); n++) {
    for (int i = 0; i < RECEIVERS; i++) {
      CHECK(pthread_sigqueue(receivers[i], SIGRTMIN, (union sigval){.sival_int = n}) == 0);
      arrived(i, n, UNDER_WAY);
    }
    usleep(50);
  }
  return argument;
}

static void tell(void) {
  unsigned long all = 0;
  for (int i = 0; i < RECEIVERS; i++) all += (unsigned)atomic_load(&received[i]);
  say("status %lu", all);
}

int main(void) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_RESTART | SA_SIGINFO};
  CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
  /* A receiver takes its first one when it knows which it is. */
  CHECK(sigemptyset(&numbered) == 0 && sigaddset(&numbered, SIGRTMIN) == 0);
  CHECK(pthread_sigmask(SIG_BLOCK, &numbered, NULL) == 0);
  for (intptr_t i = 0; i < RECEIVERS; i++) CHECK(pthread_create(&receivers[i], NULL, receive, (void *)i) == 0);
  pthread_t sender;
  CHECK(pthread_create(&sender, NULL, send_all, NULL) == 0);
  say("ready 4");
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    tell();
  }
  atomic_store(&stop, 1);
  pthread_join(sender, NULL);
  atomic_store(&sent_all, 1);
  for (int i = 0; i < RECEIVERS; i++) pthread_join(receivers[i], NULL);
  tell();
  return 0;
}
