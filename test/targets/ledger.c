/* Threads that move verified bytes by every call that each C library has, and keep a ledger of what they moved: families
 * of descriptors, bytes read and written. It uses nothing that glibc 2.31 or musl 1.2.2 lack.
 *
 * Arguments: the families, e.g. "pipe,unix,tcp,udp,file,call"; how many threads or pairs of each (default 1); a folder for
 * files; a rest in microseconds after each message (default 200).
 *
 *   run       -> "running"        everything moves
 *   pause     -> "paused LEDGER"  once nothing is on its way any more
 *   ledger    -> "ledger LEDGER"  at once, while it runs
 *   exhaust descriptors | memory -> "exhausted": no further descriptor, no further mapping can be had
 *   fill N    -> "filled"         N more pages are touched, and kept
 *   quit      -> pauses, "paused LEDGER", exits 0
 *
 * LEDGER: FAMILY=READ/WRITTEN bytes since the start, for each family; `opened=N`: files opened, `called=N`: connections
 * made and accepted, `preadv=N`: those bytes of files that preadv has read.
 */
#include "tester.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum family { PIPE, UNIX, TCP, UDP, FILES, CALL, FAMILIES };
static const char *const names[FAMILIES] = {"pipe", "unix", "tcp", "udp", "file", "call"};
enum { LARGEST = 16384, PAUSE_US = 2000 };

static struct {
  _Atomic uint64_t read, written;
} ledger[FAMILIES];
static _Atomic uint64_t opened, called, by_preadv;
static _Atomic int running;
static _Atomic unsigned parked;
static unsigned workers; /* threads that park: all but those that only read */
static unsigned rest_us = 200;
static const char *folder = "/tmp";

static void moved_in(enum family f, ssize_t n) { atomic_fetch_add(&ledger[f].read, (uint64_t)n); }
static void moved_out(enum family f, ssize_t n) { atomic_fetch_add(&ledger[f].written, (uint64_t)n); }

/* Where every thread that begins work waits while there is none. */
static void gate(void) {
  if (rest_us > 0) usleep(rest_us);
  if (atomic_load(&running)) return;
  atomic_fetch_add(&parked, 1);
  while (!atomic_load(&running)) usleep(PAUSE_US);
  atomic_fetch_sub(&parked, 1);
}

/* Once in a while a thread waits for what it is about to read. */
static void await(int fd, unsigned turn) {
  struct pollfd entry = {fd, POLLIN, 0};
  struct timespec limit = {60, 0};
  if (turn % 8 == 1) {
    CHECK(poll(&entry, 1, 60000) == 1);
  } else if (turn % 8 == 3) {
    CHECK(ppoll(&entry, 1, &limit, NULL) == 1);
  } else if (turn % 8 == 5) {
    const int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (poller < 0 && errno == EMFILE) return;
    CHECK(poller >= 0 && epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK(epoll_wait(poller, &event, 1, 60000) == 1);
    CHECK(close(poller) == 0);
  }
}

static ssize_t put(int fd, int is_socket, unsigned char *bytes, size_t length, unsigned turn) {
  struct iovec parts[2] = {{bytes, length / 3}, {bytes + length / 3, length - length / 3}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  struct mmsghdr several = {.msg_hdr = message};
  switch (turn % (is_socket ? 6 : 2)) {
    case 0: return write(fd, bytes, length);
    case 1: return writev(fd, parts, 2);
    case 2: return send(fd, bytes, length, MSG_NOSIGNAL);
    case 3: return sendto(fd, bytes, length, 0, NULL, 0);
    case 4: return sendmsg(fd, &message, 0);
    default: return sendmmsg(fd, &several, 1, 0) == 1 ? (ssize_t)several.msg_len : -1;
  }
}

static ssize_t get(int fd, int is_socket, unsigned char *bytes, size_t length, unsigned turn) {
  struct iovec parts[2] = {{bytes, length / 5}, {bytes + length / 5, length - length / 5}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  struct mmsghdr several = {.msg_hdr = message};
  switch (turn % (is_socket ? 6 : 2)) {
    case 0: return read(fd, bytes, length);
    case 1: return readv(fd, parts, 2);
    case 2: return recv(fd, bytes, length, 0);
    case 3: return recvfrom(fd, bytes, length, 0, NULL, NULL);
    case 4: return recvmsg(fd, &message, 0);
    default: return recvmmsg(fd, &several, 1, 0, NULL) == 1 ? (ssize_t)several.msg_len : -1;
  }
}

/* A stream: one thread writes, one reads. */
struct stream {
  enum family family;
  unsigned id;
  int in, out;
};

static void *stream_writer(void *argument) {
  const struct stream *s = argument;
  unsigned char bytes[LARGEST];
  uint32_t seed = s->id * 2654435761u + 1;
  uint64_t position = 0;
  for (unsigned turn = 0;; turn++) {
    gate();
    const size_t length = 5 + next_random(&seed) % (turn % 16 == 0 ? LARGEST - 5 : 1000);
    fill(bytes, length, position, s->id);
    for (size_t done = 0; done < length;) {
      const ssize_t n = put(s->out, s->family != PIPE, bytes + done, length - done, turn);
      if (n <= 0) fail("%s: put turn %u returned %zd", names[s->family], turn, n);
      moved_out(s->family, n);
      done += (size_t)n;
    }
    position += length;
  }
  return NULL;
}

static void *stream_reader(void *argument) {
  const struct stream *s = argument;
  unsigned char bytes[LARGEST];
  uint32_t seed = s->id * 40503u + 7;
  uint64_t position = 0;
  for (unsigned turn = 0;; turn++) {
    const size_t length = 5 + next_random(&seed) % (LARGEST - 5);
    await(s->in, turn);
    const ssize_t n = get(s->in, s->family != PIPE, bytes, length, turn);
    if (n <= 0) fail("%s: get turn %u returned %zd", names[s->family], turn, n);
    verify(bytes, (size_t)n, position, s->id);
    position += (size_t)n;
    moved_in(s->family, n);
  }
  return NULL;
}

static struct sockaddr_in anywhere(void) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int bound(int type, struct sockaddr_in *address) {
  socklen_t size = sizeof *address;
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  *address = anywhere();
  CHECK(fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof *address) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)address, &size) == 0);
  return fd;
}

static void connect_pair(int ends[2]) {
  struct sockaddr_in address;
  const int listener = bound(SOCK_STREAM, &address);
  CHECK(listen(listener, 1) == 0);
  CHECK((ends[1] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
  CHECK(connect(ends[1], (struct sockaddr *)&address, sizeof address) == 0);
  CHECK((ends[0] = accept(listener, NULL, NULL)) >= 0);
  close(listener);
}

/* Datagrams there and back: nothing is lost on loopback while one is on its way. */
static void *datagrams(void *argument) {
  const unsigned id = (unsigned)(size_t)argument;
  struct sockaddr_in here, there;
  const int a = bound(SOCK_DGRAM, &here), b = bound(SOCK_DGRAM, &there);
  CHECK(connect(a, (struct sockaddr *)&there, sizeof there) == 0);
  CHECK(connect(b, (struct sockaddr *)&here, sizeof here) == 0);
  uint32_t seed = id * 7919u + 3;
  for (unsigned turn = 0;; turn++) {
    unsigned char bytes[1200], back[1500];
    gate();
    const size_t length = 1 + next_random(&seed) % sizeof bytes;
    fill(bytes, length, turn, id);
    const ssize_t out = put(turn % 2 ? a : b, 1, bytes, length, turn / 2);
    if (out != (ssize_t)length) fail("udp: put turn %u returned %zd", turn, out);
    moved_out(UDP, out);
    const ssize_t in = get(turn % 2 ? b : a, 1, back, sizeof back, turn / 3);
    if (in != out) fail("udp: get turn %u returned %zd of %zd", turn, in, out);
    verify(back, (size_t)in, turn, id);
    moved_in(UDP, in);
  }
  return NULL;
}

/* Connections that come and go: a round is one of each of socket, connect, accept, close. */
static void *calling(void *argument) {
  const unsigned id = (unsigned)(size_t)argument;
  struct sockaddr_in address;
  const int listener = bound(SOCK_STREAM, &address);
  CHECK(listen(listener, 8) == 0);
  for (unsigned turn = 0;; turn++) {
    unsigned char bytes[700], back[700];
    gate();
    const int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(caller >= 0 && connect(caller, (struct sockaddr *)&address, sizeof address) == 0);
    const int other = turn % 2 ? accept(listener, NULL, NULL) : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(other >= 0);
    atomic_fetch_add(&called, 1);
    fill(bytes, sizeof bytes, turn, id);
    const ssize_t out = put(caller, 1, bytes, sizeof bytes, turn);
    CHECK(out == (ssize_t)sizeof bytes);
    moved_out(CALL, out);
    for (size_t done = 0; done < sizeof back;) {
      const ssize_t in = get(other, 1, back + done, sizeof back - done, turn / 2);
      if (in <= 0) fail("call: get turn %u returned %zd", turn, in);
      moved_in(CALL, in);
      done += (size_t)in;
    }
    verify(back, sizeof back, turn, id);
    CHECK(shutdown(caller, SHUT_WR) == 0 && recv(other, back, 1, 0) == 0);
    CHECK(close(caller) == 0 && close(other) == 0);
  }
  return NULL;
}

static int make(const char *path) {
  const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) fail("cannot make %s", path);
  atomic_fetch_add(&opened, 1);
  return fd;
}

/* Files that are made, written, read, copied, renamed and deleted. */
static void *files(void *argument) {
  const unsigned id = (unsigned)(size_t)argument;
  char first[512], second[512];
  snprintf(first, sizeof first, "%s/first-%u", folder, id);
  snprintf(second, sizeof second, "%s/second-%u", folder, id);
  for (unsigned turn = 0;; turn++) {
    unsigned char bytes[3000], back[3000];
    gate();
    const size_t length = 10 + (turn * 97) % (sizeof bytes - 10);
    struct iovec parts[2] = {{bytes, length / 4}, {bytes + length / 4, length - length / 4}};
    struct iovec into[2] = {{back, length / 6}, {back + length / 6, length - length / 6}};
    fill(bytes, length, turn, id);
    int fd = make(first);
    ssize_t n = turn % 4 == 0   ? write(fd, bytes, length)
                : turn % 4 == 1 ? pwrite(fd, bytes, length, 0)
                : turn % 4 == 2 ? writev(fd, parts, 2)
                                : pwritev(fd, parts, 2, 0);
    if (n != (ssize_t)length) fail("file: write turn %u returned %zd", turn, n);
    moved_out(FILES, n);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    n = turn % 4 == 3   ? read(fd, back, length)
        : turn % 4 == 2 ? pread(fd, back, length, 0)
        : turn % 4 == 1 ? readv(fd, into, 2)
                        : preadv(fd, into, 2, 0);
    if (n != (ssize_t)length) fail("file: read turn %u returned %zd", turn, n);
    moved_in(FILES, n);
    if (turn % 4 == 0) atomic_fetch_add(&by_preadv, (uint64_t)n);
    verify(back, length, turn, id);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    int copy = make(second);
    n = sendfile(copy, fd, NULL, length);
    if (n != (ssize_t)length) fail("file: sendfile turn %u returned %zd", turn, n);
    moved_in(FILES, n), moved_out(FILES, n);
    /* Numbers that move: the file stays open through the last of them. */
    const int moved = turn % 3 == 0 ? dup(fd) : turn % 3 == 1 ? dup2(fd, 900 + (int)id) : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    CHECK(moved >= 0 && close(fd) == 0);
    memset(back, 0, length);
    n = pread(copy, back, length, 0);
    CHECK(n == (ssize_t)length);
    moved_in(FILES, n);
    verify(back, length, turn, id);
    CHECK(close(moved) == 0 && close(copy) == 0);
    CHECK(open("/there/is/no/such/file", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(rename(second, first) == 0 && unlink(first) == 0);
  }
  return NULL;
}

static void start(void *(*run)(void *), void *argument) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, 128 * 1024) == 0);
  CHECK(pthread_create(&thread, &attributes, run, argument) == 0);
  pthread_attr_destroy(&attributes);
}

static unsigned begin(enum family family, unsigned id) {
  workers++;
  if (family == UDP) return start(datagrams, (void *)(size_t)id), 1;
  if (family == FILES) return start(files, (void *)(size_t)id), 1;
  if (family == CALL) return start(calling, (void *)(size_t)id), 1;
  int ends[2];
  if (family == PIPE) CHECK(pipe(ends) == 0);
  else if (family == UNIX) CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  else connect_pair(ends);
  struct stream *s = calloc(1, sizeof *s);
  CHECK(s != NULL);
  *s = (struct stream){family, id, ends[0], ends[1]};
  start(stream_reader, s);
  start(stream_writer, s);
  return 2;
}

static void tell(const char *word) {
  char line[512];
  int length = snprintf(line, sizeof line, "%s", word);
  for (int f = 0; f < FAMILIES; f++)
    length += snprintf(line + length, sizeof line - (size_t)length, " %s=%llu/%llu", names[f],
                       (unsigned long long)atomic_load(&ledger[f].read), (unsigned long long)atomic_load(&ledger[f].written));
  say("%s opened=%llu called=%llu preadv=%llu", line, (unsigned long long)opened, (unsigned long long)called,
      (unsigned long long)by_preadv);
}

static void pause_all(void) {
  atomic_store(&running, 0);
  for (int tries = 0; tries < 15000; tries++) {
    usleep(PAUSE_US);
    int still = atomic_load(&parked) == workers;
    for (int f = 0; f < FAMILIES; f++) still &= f == FILES || ledger[f].read == ledger[f].written;
    if (!still) continue;
    usleep(10 * PAUSE_US); /* readers are back in their calls */
    tell("paused");
    return;
  }
  fail("it did not come to rest: %u of %u are parked", atomic_load(&parked), workers);
}

static void exhaust(const char *what) {
  struct rlimit limit;
  if (is(what, "descriptors")) {
    const int last = open("/", O_RDONLY | O_CLOEXEC);
    CHECK(last >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max = (rlim_t)last + 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (dup(last) >= 0) {
    }
    CHECK(errno == EMFILE);
  } else {
    CHECK(is(what, "memory"));
    limit.rlim_cur = limit.rlim_max = 1 << 20; /* less than it has: nothing can be added */
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
  }
  say("exhausted");
}

static void touch_pages(size_t count) {
  const size_t page = 4096;
  unsigned char *at = mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  for (size_t i = 0; i < count; i++) at[i * page] = 1;
  say("filled");
}

int main(int count, char **arguments) {
  CHECK(count > 1);
  const unsigned each = count > 2 ? (unsigned)atoi(arguments[2]) : 1;
  if (count > 3) folder = arguments[3];
  if (count > 4) rest_us = (unsigned)atoi(arguments[4]);
  unsigned threads = 1;
  for (unsigned i = 0; i < each; i++)
    for (int f = 0; f < FAMILIES; f++)
      if (strstr(arguments[1], names[f]) != NULL) threads += begin((enum family)f, i);
  CHECK(workers > 0);
  while (atomic_load(&parked) != workers) usleep(PAUSE_US);
  say("ready %u", threads);
  for (;;) {
    char word[32];
    next_command(word, sizeof word);
    if (is(word, "run")) {
      atomic_store(&running, 1);
      say("running");
    } else if (is(word, "pause")) {
      pause_all();
    } else if (is(word, "ledger")) {
      tell("ledger");
    } else if (strncmp(word, "exhaust ", 8) == 0) {
      exhaust(word + 8);
    } else if (strncmp(word, "fill ", 5) == 0) {
      touch_pages((size_t)atoi(word + 5));
    } else if (is(word, "quit")) {
      pause_all();
      return 0;
    } else {
      fail("unknown command %s", word);
    }
  }
}
