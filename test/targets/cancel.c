/* Threads that are cancelled: in each call that waits, right before it, and while they go in and out of calls without
 * end; deferred, and asynchronously. Every one must end as cancelled, its clean-up handlers run once each, the innermost
 * first, and what it used must work on.
 *
 * Argument: "deferred" or "asynchronous".
 *
 *   status  -> "status CANCELLED"      quit -> same line, exit 0
 *
 * It uses nothing that musl 1.2.2 lacks.
 */
#include "tester.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { LANES = 2, PATIENCE_S = 30 };

/* What one lane's victims use: none of it ever becomes ready. */
struct place {
  int silent[2]; /* nothing is ever written */
  int full[2];   /* a pipe that nobody reads */
  int quiet[2];  /* sockets that say nothing */
  int deaf[2];   /* sockets whose peer reads nothing, full */
  int listener;
  int busy[2]; /* a pipe that the victim itself writes and reads */
  char fifo[64];
  pid_t child;
  sem_t never;
  pthread_mutex_t mutex;
  pthread_cond_t condition;
};

static _Atomic uint64_t cancelled;
static _Atomic int stop;
static int type;
static unsigned char page[4096];

static long in_read(struct place *p) { return read(p->silent[0], page, 1); }
static long in_readv(struct place *p) {
  struct iovec part = {page, 1};
  return readv(p->silent[0], &part, 1);
}
static long in_write(struct place *p) { return write(p->full[1], page, sizeof page); }
static long in_writev(struct place *p) {
  struct iovec part = {page, sizeof page};
  return writev(p->full[1], &part, 1);
}
static long in_recv(struct place *p) { return recv(p->quiet[0], page, 1, 0); }
static long in_recvfrom(struct place *p) {
  struct sockaddr_un from;
  socklen_t size = sizeof from;
  return recvfrom(p->quiet[0], page, 1, 0, (struct sockaddr *)&from, &size);
}
static long in_recvmsg(struct place *p) {
  struct iovec part = {page, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  return recvmsg(p->quiet[0], &message, 0);
}
static long in_send(struct place *p) { return send(p->deaf[0], page, sizeof page, 0); }
static long in_sendto(struct place *p) { return sendto(p->deaf[0], page, sizeof page, 0, NULL, 0); }
static long in_sendmsg(struct place *p) {
  struct iovec part = {page, sizeof page};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  return sendmsg(p->deaf[0], &message, 0);
}
static long in_accept(struct place *p) { return accept(p->listener, NULL, NULL); }
static long in_accept4(struct place *p) { return accept4(p->listener, NULL, NULL, SOCK_CLOEXEC); }
static long in_open(struct place *p) { return open(p->fifo, O_RDONLY); }
static long in_poll(struct place *p) {
  struct pollfd entry = {p->silent[0], POLLIN, 0};
  return poll(&entry, 1, -1);
}
static long in_select(struct place *p) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(p->silent[0], &set);
  return select(p->silent[0] + 1, &set, NULL, NULL, NULL);
}
static long in_nanosleep(struct place *p) {
  (void)p;
  struct timespec limit = {3600, 0};
  return nanosleep(&limit, NULL);
}
static long in_pause(struct place *p) {
  (void)p;
  return pause();
}
static long in_waitpid(struct place *p) { return waitpid(p->child, NULL, 0); }
static long in_sem_wait(struct place *p) { return sem_wait(&p->never); }
static void unlock(void *mutex) { pthread_mutex_unlock(mutex); }
static long in_condition(struct place *p) {
  pthread_mutex_lock(&p->mutex);
  pthread_cleanup_push(unlock, &p->mutex);
  for (;;) pthread_cond_wait(&p->condition, &p->mutex);
  pthread_cleanup_pop(1);
  return 0;
}
/* Never waits: it is cancelled at any instruction of a call, or of what hooks it. */
static long in_and_out(struct place *p) {
  unsigned char byte = 7;
  for (;;) {
    CHECK(write(p->busy[1], &byte, 1) == 1);
    CHECK(read(p->busy[0], &byte, 1) == 1 && byte == 7);
  }
}

static const struct {
  const char *name;
  long (*wait)(struct place *);
  int any_moment; /* may also be cancelled asynchronously: it holds nothing that would be lost */
} calls[] = {
    {"read", in_read, 1},         {"readv", in_readv, 1},     {"write", in_write, 1},   {"writev", in_writev, 1},
    {"recv", in_recv, 1},         {"recvfrom", in_recvfrom, 1}, {"recvmsg", in_recvmsg, 1}, {"send", in_send, 1},
    {"sendto", in_sendto, 1},     {"sendmsg", in_sendmsg, 1}, {"accept", in_accept, 1}, {"accept4", in_accept4, 1},
    {"open", in_open, 1},         {"poll", in_poll, 1},       {"select", in_select, 1}, {"nanosleep", in_nanosleep, 1},
    {"pause", in_pause, 1},       {"waitpid", in_waitpid, 1}, {"sem_wait", in_sem_wait, 0},
    {"pthread_cond_wait", in_condition, 0}, {"in and out", in_and_out, 1},
};
enum { CALLS = sizeof calls / sizeof calls[0] };

struct victim {
  struct place *place;
  size_t which;
  _Atomic int begun;
  int outer, inner, order;
};

static void clean_inner(void *argument) {
  struct victim *v = argument;
  v->inner++;
  v->order += v->outer == 0;
}
static void clean_outer(void *argument) {
  struct victim *v = argument;
  v->outer++;
  v->order += v->inner == 1;
}

static void *run_victim(void *argument) {
  struct victim *v = argument;
  pthread_cleanup_push(clean_outer, v);
  pthread_cleanup_push(clean_inner, v);
  atomic_store(&v->begun, 1);
  if (calls[v->which].any_moment) pthread_setcanceltype(type, NULL);
  const long result = calls[v->which].wait(v->place);
  fail("%s came back with %ld", calls[v->which].name, result);
  pthread_cleanup_pop(1);
  pthread_cleanup_pop(1);
  return NULL;
}

static void fill_up(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  CHECK(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
  while (write(fd, page, sizeof page) > 0) {
  }
  while (write(fd, page, 1) > 0) {
  }
  CHECK(errno == EAGAIN && fcntl(fd, F_SETFL, flags) == 0);
}

static void furnish(struct place *p, unsigned id) {
  CHECK(pipe(p->silent) == 0 && pipe(p->full) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p->quiet) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, p->deaf) == 0);
  fill_up(p->full[1]);
  fill_up(p->deaf[0]);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK((p->listener = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
  CHECK(bind(p->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(p->listener, 1) == 0);
  snprintf(p->fifo, sizeof p->fifo, "fifo-%u", id);
  CHECK(mkfifo(p->fifo, 0600) == 0);
  CHECK(sem_init(&p->never, 0, 0) == 0);
  CHECK(pthread_mutex_init(&p->mutex, NULL) == 0 && pthread_cond_init(&p->condition, NULL) == 0);
}

static void *lane(void *argument) {
  struct place *p = argument;
  uint32_t seed = (uint32_t)(size_t)argument | 1;
  for (uint32_t turn = 0; !atomic_load(&stop); turn++) {
    /* Every second one never waits: those are caught at any instruction. */
    struct victim v = {.place = p, .which = turn % 2 ? CALLS - 1 : turn / 2 % CALLS};
    const int is_busy = v.which == CALLS - 1;
    if (is_busy) CHECK(pipe(p->busy) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run_victim, &v) == 0);
    while (!atomic_load(&v.begun)) sched_yield();
    const uint32_t delay = next_random(&seed) % 400;
    if (delay > 50) usleep(delay);
    CHECK(pthread_cancel(thread) == 0);
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += PATIENCE_S;
    void *result = NULL;
    const int error = pthread_timedjoin_np(thread, &result, &limit);
    if (error != 0) fail("%s: the cancelled thread did not end (%d)", calls[v.which].name, error);
    if (result != PTHREAD_CANCELED) fail("%s: ended with %p", calls[v.which].name, result);
    if (v.inner != 1 || v.outer != 1 || v.order != 2)
      fail("%s: clean-up ran %d and %d times", calls[v.which].name, v.inner, v.outer);
    CHECK(pthread_mutex_trylock(&p->mutex) == 0 && pthread_mutex_unlock(&p->mutex) == 0);
    if (is_busy) CHECK(close(p->busy[0]) == 0 && close(p->busy[1]) == 0);
    atomic_fetch_add(&cancelled, 1);
  }
  return NULL;
}

int main(int count, char **arguments) {
  CHECK(count > 1);
  type = is(arguments[1], "asynchronous") ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED;
  static struct place places[LANES];
  for (unsigned i = 0; i < LANES; i++) furnish(&places[i], i);
  int ending[2];
  CHECK(pipe(ending) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    char byte;
    close(ending[1]);
    _exit((int)read(ending[0], &byte, 1));
  }
  close(ending[0]);
  pthread_t threads[LANES];
  for (unsigned i = 0; i < LANES; i++) {
    places[i].child = child;
    CHECK(pthread_create(&threads[i], NULL, lane, &places[i]) == 0);
  }
  say("ready");
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    say("status %llu", (unsigned long long)cancelled);
  }
  atomic_store(&stop, 1);
  for (unsigned i = 0; i < LANES; i++) pthread_join(threads[i], NULL);
  close(ending[1]);
  CHECK(waitpid(child, NULL, 0) == child);
  say("status %llu", (unsigned long long)cancelled);
  return 0;
}
