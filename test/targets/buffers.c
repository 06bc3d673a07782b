/* What is handed to a call to be written may be nothing at all, and may be gone as soon as the other side has it.
 *
 * Probes: calls with bad pointers must return what they returned before anybody looked. Each is made once at the start,
 * which is the truth, and then again and again.
 * Senders: each fills a mapping of its own and sends it; whoever receives it unmaps it at once, while the sender may not
 * have come back from its call.
 *
 *   status  -> "status PROBES SENDS"      quit -> same line, exit 0
 */
#include "tester.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PAGE = 4096, LONGEST = 3 * PAGE, PAIRS = 2, MAPPING = 16 * PAGE, SENT = 512 };

static _Atomic unsigned long probes, sends;
static _Atomic int stop;

/* ---- probes */

enum way { WRITE, WRITEV, SEND, SENDMSG, SENDTO, WAYS };
enum place { NULL_PAGE, LOW, KERNEL_HALF, LAST_PAGE, NO_ACCESS, OVER_THE_EDGE, UNMAPPED_NOW, GOOD, PLACES };

static unsigned char *edge; /* two pages: the second can't be read */
static int to, from;

static const void *at(enum place place) {
  switch (place) {
    case NULL_PAGE: return NULL;
    case LOW: return (void *)0x1234;
    case KERNEL_HALF: return (void *)0xffffffff81000000ul;
    case LAST_PAGE: return (void *)0xfffffffffffffff0ul; /* its end wraps around */
    case NO_ACCESS: return edge + PAGE + 8;
    case OVER_THE_EDGE: return edge + PAGE - 24;
    case UNMAPPED_NOW: {
      /* Where the kernel puts nothing of the senders'. */
      void *gone = mmap((void *)0x10000000000ul, LONGEST, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
      CHECK(gone != MAP_FAILED);
      memset(gone, 7, LONGEST);
      CHECK(munmap(gone, LONGEST) == 0);
      return gone;
    }
    default: return edge;
  }
}

/* What the call returned: a count, or a negative errno. */
static long probe(enum way way, enum place place, size_t length) {
  void *bad = (void *)(uintptr_t)at(place);
  struct iovec parts[2] = {{edge, 16}, {bad, length}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  long result;
  switch (way) {
    case WRITE: result = write(to, bad, length); break;
    case WRITEV: result = writev(to, parts, 2); break;
    case SEND: result = send(to, bad, length, MSG_DONTWAIT); break;
    case SENDMSG: result = sendmsg(to, &message, MSG_DONTWAIT); break;
    default: result = sendto(to, bad, length, MSG_DONTWAIT, NULL, 0); break;
  }
  if (result < 0) return -errno;
  unsigned char taken[4 * PAGE];
  for (long left = result; left > 0;) {
    const ssize_t n = read(from, taken, sizeof taken);
    CHECK(n > 0);
    left -= n;
  }
  return result;
}

static const size_t lengths[] = {0, 1, 64, 300, LONGEST};
enum { LENGTHS = sizeof lengths / sizeof *lengths };
static long truth[WAYS][PLACES][LENGTHS];

static unsigned long probe_all(int learn) {
  unsigned long made = 0;
  for (int way = 0; way < WAYS; way++)
    for (int place = 0; place < PLACES; place++)
      for (int i = 0; i < LENGTHS; i++, made++) {
        const size_t length = place == GOOD && lengths[i] > PAGE ? PAGE : lengths[i];
        const long result = probe((enum way)way, (enum place)place, length);
        if (learn) truth[way][place][i] = result;
        else if (result != truth[way][place][i])
          fail("way %d at place %d, %zu bytes: %ld instead of %ld", way, place, length, result, truth[way][place][i]);
      }
  return made;
}

static void *prober(void *argument) {
  while (!atomic_load(&stop)) atomic_fetch_add(&probes, probe_all(0));
  return argument;
}

/* ---- senders */

struct pair { int out, in; };

static void *sender(void *argument) {
  const struct pair *pair = argument;
  while (!atomic_load(&stop)) {
    unsigned char *mapping = mmap(NULL, MAPPING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mapping != MAP_FAILED);
    memset(mapping, 9, SENT);
    memcpy(mapping, &mapping, sizeof mapping); /* where it is, for who unmaps it */
    CHECK(send(pair->out, mapping, SENT, 0) == SENT);
    atomic_fetch_add(&sends, 1);
  }
  CHECK(shutdown(pair->out, SHUT_WR) == 0);
  return NULL;
}

static void *receiver(void *argument) {
  const struct pair *pair = argument;
  unsigned char bytes[SENT];
  for (;;) {
    const ssize_t n = recv(pair->in, bytes, sizeof bytes, 0);
    if (n == 0) return NULL;
    CHECK(n == SENT);
    void *mapping;
    memcpy(&mapping, bytes, sizeof mapping);
    CHECK(munmap(mapping, MAPPING) == 0);
    for (int i = sizeof mapping; i < SENT; i++) CHECK(bytes[i] == 9);
  }
}

static void tell(void) { say("status %lu %lu", atomic_load(&probes), atomic_load(&sends)); }

int main(void) {
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  to = ends[1], from = ends[0];
  edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(edge != MAP_FAILED);
  memset(edge, 5, PAGE);
  CHECK(mprotect(edge + PAGE, PAGE, PROT_NONE) == 0);
  probe_all(1);
  if (truth[WRITE][NULL_PAGE][2] != -EFAULT) fail("a write of nothing returned %ld", truth[WRITE][NULL_PAGE][2]);

  pthread_t threads[1 + 2 * PAIRS];
  struct pair pairs[PAIRS];
  CHECK(pthread_create(&threads[0], NULL, prober, NULL) == 0);
  for (int i = 0; i < PAIRS; i++) {
    /* Packets: each is taken whole. */
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    pairs[i] = (struct pair){ends[1], ends[0]};
    CHECK(pthread_create(&threads[1 + 2 * i], NULL, sender, &pairs[i]) == 0);
    CHECK(pthread_create(&threads[2 + 2 * i], NULL, receiver, &pairs[i]) == 0);
  }
  say("ready %d", 2 + 2 * PAIRS);
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    tell();
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < 1 + 2 * PAIRS; i++) pthread_join(threads[i], NULL);
  tell();
  return 0;
}
