/* Pairs of threads that move verified bytes: pipes, unix socket pairs and TCP on loopback, by turns of every call that
 * reads and writes. Arguments: the number of pairs (default 50, so 100 threads beside the main one) and a writer's rest
 * after each message in microseconds (default 1000).
 *
 *   run    every writer goes on for ever            -> "running"
 *   pause  waits until all that was written was read -> "paused SENT RECEIVED": bytes through all channels so far
 *   quit   pauses, prints the same, exits 0
 */
#include "tester.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { LARGEST = 16384, PAUSE_US = 2000 };

struct channel {
  unsigned id;
  int socket; /* 1: recv, sendmsg and the like work on it */
  int in, out;
  _Atomic uint64_t sent, received;
};

static _Atomic int running;
static struct channel *channels;
static unsigned pairs = 50, rest_us = 1000;

static ssize_t put(const struct channel *c, unsigned char *bytes, size_t length, unsigned turn) {
  struct iovec parts[2] = {{bytes, length / 3}, {bytes + length / 3, length - length / 3}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  switch (turn % (c->socket ? 4 : 2)) {
    case 0: return write(c->out, bytes, length);
    case 1: return writev(c->out, parts, 2);
    case 2: return send(c->out, bytes, length, 0);
    default: return sendmsg(c->out, &message, 0);
  }
}

static ssize_t get(const struct channel *c, unsigned char *bytes, size_t length, unsigned turn) {
  struct iovec parts[2] = {{bytes, length / 5}, {bytes + length / 5, length - length / 5}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  switch (turn % (c->socket ? 4 : 2)) {
    case 0: return read(c->in, bytes, length);
    case 1: return readv(c->in, parts, 2);
    case 2: return recv(c->in, bytes, length, 0);
    default: return recvmsg(c->in, &message, 0);
  }
}

static void *writer(void *argument) {
  struct channel *c = argument;
  unsigned char bytes[LARGEST];
  uint32_t seed = c->id * 2654435761u + 1;
  for (unsigned turn = 0;; turn++) {
    while (!atomic_load(&running)) usleep(PAUSE_US);
    const size_t length = 5 + next_random(&seed) % (turn % 16 == 0 ? LARGEST - 5 : 1000);
    const uint64_t position = atomic_load(&c->sent);
    fill(bytes, length, position, c->id);
    for (size_t done = 0; done < length;) {
      const ssize_t moved = put(c, bytes + done, length - done, turn);
      if (moved <= 0) fail("channel %u: put turn %u returned %zd", c->id, turn, moved);
      done += (size_t)moved;
    }
    atomic_store(&c->sent, position + length);
    if (rest_us > 0) usleep(rest_us);
  }
}

static void *reader(void *argument) {
  struct channel *c = argument;
  unsigned char bytes[LARGEST];
  uint32_t seed = c->id * 40503u + 7;
  for (unsigned turn = 0;; turn++) {
    const size_t length = 5 + next_random(&seed) % (LARGEST - 5);
    const ssize_t moved = get(c, bytes, length, turn);
    if (moved <= 0) fail("channel %u: get turn %u returned %zd", c->id, turn, moved);
    const uint64_t position = atomic_load(&c->received);
    verify(bytes, (size_t)moved, position, c->id);
    atomic_store(&c->received, position + (size_t)moved);
  }
}

static void connect_pair(int ends[2]) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
  CHECK(listen(listener, 1) == 0);
  CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
  CHECK((ends[1] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
  CHECK(connect(ends[1], (struct sockaddr *)&address, sizeof address) == 0);
  CHECK((ends[0] = accept(listener, NULL, NULL)) >= 0);
  close(listener);
}

static void wait_until_drained(void) {
  atomic_store(&running, 0);
  uint64_t before = UINT64_MAX;
  for (int tries = 0; tries < 5000; tries++) {
    uint64_t sent = 0, received = 0;
    usleep(10 * PAUSE_US); /* every writer has met `running` by then */
    for (unsigned i = 0; i < pairs; i++) sent += atomic_load(&channels[i].sent), received += atomic_load(&channels[i].received);
    if (sent == received && sent == before) {
      say("paused %llu %llu", (unsigned long long)sent, (unsigned long long)received);
      return;
    }
    before = sent;
  }
  fail("the channels did not run dry");
}

int main(int count, char **arguments) {
  if (count > 1) pairs = (unsigned)atoi(arguments[1]);
  if (count > 2) rest_us = (unsigned)atoi(arguments[2]);
  CHECK(pairs > 0);
  channels = calloc(pairs, sizeof *channels);
  CHECK(channels != NULL);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 * 1024);
  for (unsigned i = 0; i < pairs; i++) {
    struct channel *c = &channels[i];
    int ends[2];
    c->id = i;
    c->socket = i % 3 != 0;
    if (i % 3 == 0) CHECK(pipe(ends) == 0);
    else if (i % 3 == 1) CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    else connect_pair(ends);
    c->in = ends[0];
    c->out = ends[1];
    pthread_t thread;
    CHECK(pthread_create(&thread, &attributes, reader, c) == 0);
    CHECK(pthread_create(&thread, &attributes, writer, c) == 0);
  }
  say("ready %u", 2 * pairs + 1);
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "run")) {
      atomic_store(&running, 1);
      say("running");
    } else if (is(word, "pause")) {
      wait_until_drained();
    } else if (is(word, "quit")) {
      wait_until_drained();
      return 0;
    } else {
      fail("unknown command %s", word);
    }
  }
}
