/* Buffers that are shorter than what comes, that end where memory ends, or that are none: results and lengths then speak of
 * more bytes than the kernel has written. Whoever copies by them reads what is not there.
 *
 *   status -> "status ROUNDS"      quit -> same line, exit 0
 */
#include "tester.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { LENGTH = 100, SHORT = 10, PAGE = 4096 };

/* No page is there. */
static void *volatile nowhere = (void *)8;
#define NOWHERE nowhere

static _Atomic uint64_t rounds;
static _Atomic int stop;

/* The last bytes of a page behind which none is. */
struct edge {
  unsigned char *end;
};

static struct edge new_edge(void) {
  unsigned char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED && mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
  return (struct edge){pages + PAGE};
}

static void *last(struct edge edge, size_t bytes) { return edge.end - bytes; }

enum way { RECVFROM, RECVMSG, RECVMMSG, WAYS };

struct wish {
  void *buffer;
  size_t length;
  int flags;
  void *name;
  socklen_t name_length;
};

/* The call's result and, in *told, the length of the peer's address. */
static ssize_t receive(int fd, enum way way, struct wish w, socklen_t *told) {
  struct iovec part = {w.buffer, w.length};
  struct mmsghdr message = {.msg_hdr = {.msg_name = w.name, .msg_namelen = w.name_length, .msg_iov = &part, .msg_iovlen = 1}};
  ssize_t got;
  *told = w.name_length;
  switch (way) {
  case RECVFROM: return recvfrom(fd, w.buffer, w.length, w.flags, w.name, w.name != NULL ? told : NULL);
  case RECVMSG:
    got = recvmsg(fd, &message.msg_hdr, w.flags);
    break;
  default:
    got = recvmmsg(fd, &message, 1, (unsigned)w.flags, NULL) == 1 ? (ssize_t)message.msg_len : -1;
    break;
  }
  *told = message.msg_hdr.msg_namelen;
  return got;
}

/* One datagram after the other, by every way. `address_length`: of the sender's address. */
static void datagrams(int to, int from, socklen_t address_length, struct edge data, struct edge name, uint64_t round) {
  unsigned char sent[LENGTH];
  socklen_t told;
  fill(sent, sizeof sent, round, 1);
  for (enum way way = 0; way < WAYS; way++) {
    const struct wish wishes[] = {
      {.buffer = last(data, SHORT), .length = SHORT, .flags = MSG_TRUNC},
      {.buffer = last(data, SHORT), .length = SHORT},
      {.buffer = NULL, .length = 0, .flags = MSG_TRUNC},
      {.buffer = last(data, SHORT), .length = SHORT, .name = last(name, 2), .name_length = 2},
      {.buffer = last(data, SHORT), .length = SHORT, .name = NOWHERE, .name_length = 0},
    };
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
      const struct wish w = wishes[i];
      CHECK(send(to, sent, sizeof sent, 0) == sizeof sent);
      /* How long is it? The common way to ask. */
      const struct wish ask = {.buffer = way == RECVFROM ? NULL : NOWHERE, .length = 0, .flags = MSG_PEEK | MSG_TRUNC};
      CHECK(receive(from, way, ask, &told) == LENGTH);
      CHECK(receive(from, way, w, &told) == (w.flags & MSG_TRUNC ? LENGTH : SHORT));
      if (w.length > 0) verify(w.buffer, w.length, round, 1);
      if (w.name != NULL && way == RECVFROM) CHECK(told == address_length);
    }
  }
}

static void streams(int to, int from, struct edge data, uint64_t round) {
  unsigned char sent[LENGTH];
  socklen_t told;
  fill(sent, sizeof sent, round, 2);
  for (enum way way = 0; way < WAYS; way++) {
    CHECK(send(to, sent, sizeof sent, 0) == sizeof sent);
    /* tcp(7): thrown away; no buffer is looked at. */
    CHECK(receive(from, way, (struct wish){.buffer = NOWHERE, .length = 40, .flags = MSG_TRUNC | MSG_WAITALL}, &told) == 40);
    const struct wish look = {.buffer = last(data, SHORT), .length = SHORT, .flags = MSG_PEEK};
    CHECK(receive(from, way, look, &told) == SHORT);
    verify(look.buffer, SHORT, round + 40, 2);
    CHECK(receive(from, way, (struct wish){.buffer = last(data, 60), .length = 60, .flags = MSG_WAITALL}, &told) == 60);
    verify(last(data, 60), 60, round + 40, 2);
  }
}

static int listener(int family, const struct sockaddr *address, socklen_t length) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0 && bind(fd, address, length) == 0 && listen(fd, 8) == 0);
  return fd;
}

/* Peers whose addresses have no room, or two bytes of it. */
static void accepts(int listening, struct edge name) {
  struct sockaddr_in at;
  socklen_t length = sizeof at;
  CHECK(getsockname(listening, (struct sockaddr *)&at, &length) == 0);
  for (int i = 0; i < 3; i++) {
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client >= 0 && connect(client, (struct sockaddr *)&at, sizeof at) == 0);
    socklen_t told = i == 0 ? 0 : 2;
    void *where = i == 0 ? NOWHERE : last(name, 2);
    const int fd = i == 2 ? accept(listening, where, &told) : accept4(listening, where, &told, SOCK_CLOEXEC);
    CHECK(fd >= 0 && told == sizeof at);
    /* Reset, not closed: no port is left waiting. */
    const struct linger now = {.l_onoff = 1};
    CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0 && close(client) == 0 && close(fd) == 0);
  }
}

/* The interfaces' list is longer than any of these buffers. */
static void netlink(struct edge data) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  CHECK(fd >= 0);
  const struct {
    struct nlmsghdr head;
    struct rtgenmsg body;
  } ask = {{.nlmsg_len = sizeof ask, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}, {AF_UNSPEC}};
  CHECK(send(fd, &ask, sizeof ask, 0) == sizeof ask);
  const ssize_t whole = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
  CHECK(whole > 16 && recv(fd, last(data, 16), 16, MSG_TRUNC) == whole);
  close(fd);
}

/* What an error is about comes back by another queue, at no time as a part of what was received. */
static void errors(struct edge data) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  const int on = 1;
  CHECK(fd >= 0 && other >= 0 && bind(other, (struct sockaddr *)&at, length) == 0);
  CHECK(getsockname(other, (struct sockaddr *)&at, &length) == 0 && close(other) == 0);
  CHECK(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0);
  CHECK(connect(fd, (struct sockaddr *)&at, length) == 0 && send(fd, "a datagram", 10, 0) == 10);
  struct iovec part = {last(data, 4), 4};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  const ssize_t got = recvmsg(fd, &message, MSG_ERRQUEUE);
  /* Somebody else may have taken the port meanwhile. */
  CHECK(got == 4 ? memcmp(part.iov_base, "a da", 4) == 0 : errno == EAGAIN);
  close(fd);
}

/* Calls that fail, with addresses at which nothing is. */
static void refusals(void) {
  CHECK(syscall(SYS_clone3, NOWHERE, 64L) == -1 && errno == EFAULT);
  CHECK(read(-1, NOWHERE, 64) == -1 && errno == EBADF);
  CHECK(syscall(SYS_recvmsg, -1L, NOWHERE, 0L) == -1 && errno == EBADF);
  CHECK(accept(-1, NOWHERE, NOWHERE) == -1 && errno == EBADF);
}

static void *run(void *argument) {
  (void)argument;
  const struct edge data = new_edge(), name = new_edge();
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  int udp[2], pair[2], stream[2];
  for (int i = 0; i < 2; i++) CHECK((udp[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0);
  CHECK(bind(udp[1], (struct sockaddr *)&at, length) == 0 && getsockname(udp[1], (struct sockaddr *)&at, &length) == 0);
  CHECK(connect(udp[0], (struct sockaddr *)&at, length) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0);
  at.sin_port = 0;
  const int listening = listener(AF_INET, (struct sockaddr *)&at, length);
  CHECK(getsockname(listening, (struct sockaddr *)&at, &length) == 0);
  CHECK((stream[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
  CHECK(connect(stream[0], (struct sockaddr *)&at, length) == 0 && (stream[1] = accept(listening, NULL, NULL)) >= 0);
  for (uint64_t round = 0; !atomic_load(&stop); round++) {
    datagrams(udp[0], udp[1], sizeof at, data, name, round);
    datagrams(pair[0], pair[1], 0, data, name, round);
    streams(stream[0], stream[1], data, round);
    accepts(listening, name);
    netlink(data);
    errors(data);
    refusals();
    atomic_fetch_add(&rounds, 1);
    usleep(300);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, run, NULL) == 0);
  say("ready");
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    say("status %llu", (unsigned long long)rounds);
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  say("status %llu", (unsigned long long)rounds);
  return 0;
}
