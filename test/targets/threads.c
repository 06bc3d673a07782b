/* Threads that come and go: each moves verified bytes through a pipe of its own and ends, by return or by pthread_exit,
 * joined or detached, some of them with a child thread of their own.
 *
 *   status -> "status THREADS"      quit -> same line, exit 0
 */
#include "tester.h"

#include <pthread.h>
#include <stdatomic.h>

enum { PARENTS = 3, BROOD = 8 };

static _Atomic uint64_t ended;
static _Atomic int64_t detached_now;
static _Atomic int stop;

struct task {
  unsigned id, depth;
  int is_detached;
};

static void *work(void *argument);

static void begin(unsigned id, unsigned depth, pthread_t *joinable) {
  struct task *task = malloc(sizeof *task);
  CHECK(task != NULL);
  *task = (struct task){id, depth, joinable == NULL};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, (64 + 16 * (id % 5)) * 1024); /* of several sizes: mapped and unmapped anew */
  pthread_t thread;
  if (joinable == NULL) {
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    atomic_fetch_add(&detached_now, 1);
  }
  CHECK(pthread_create(joinable != NULL ? joinable : &thread, &attributes, work, task) == 0);
  pthread_attr_destroy(&attributes);
}

static void *work(void *argument) {
  const struct task task = *(struct task *)argument;
  free(argument);
  int ends[2];
  unsigned char bytes[500];
  CHECK(pipe(ends) == 0);
  for (unsigned turn = 0; turn < 1 + task.id % 4; turn++) {
    fill(bytes, sizeof bytes, turn, task.id);
    CHECK(write(ends[1], bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    memset(bytes, 0, sizeof bytes);
    CHECK(read(ends[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    verify(bytes, sizeof bytes, turn, task.id);
  }
  CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
  if (task.depth == 0 && task.id % 4 == 0) {
    pthread_t child;
    begin(task.id + 1, 1, &child);
    CHECK(pthread_join(child, NULL) == 0);
  }
  atomic_fetch_add(&ended, 1);
  if (task.is_detached) atomic_fetch_sub(&detached_now, 1);
  if (task.id % 2) pthread_exit(NULL);
  return NULL;
}

static void *parent(void *argument) {
  for (unsigned id = (unsigned)(size_t)argument; !atomic_load(&stop); id += PARENTS * BROOD) {
    pthread_t brood[BROOD];
    for (unsigned i = 0; i < BROOD; i++) begin(id + i, 0, i % 3 ? &brood[i] : NULL);
    for (unsigned i = 0; i < BROOD; i++)
      if (i % 3) CHECK(pthread_join(brood[i], NULL) == 0);
    while (atomic_load(&detached_now) > PARENTS * BROOD) usleep(100);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[PARENTS];
  for (size_t i = 0; i < PARENTS; i++) CHECK(pthread_create(&threads[i], NULL, parent, (void *)(i * BROOD)) == 0);
  say("ready");
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    say("status %llu", (unsigned long long)ended);
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < PARENTS; i++) pthread_join(threads[i], NULL);
  while (atomic_load(&detached_now) > 0) usleep(1000);
  say("status %llu", (unsigned long long)ended);
  return 0;
}
