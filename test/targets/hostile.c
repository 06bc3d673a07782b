/* A program that knows it is scoped and does what it can against whoever reads: it finds the memory that it shares with
 * the reader and lies in it, shrinks it where it may, and exhausts what can be exhausted.
 *
 *   work N          moves N bytes through a pipe, honestly                               -> "worked"
 *   words N         N random words at random places of the rings                         -> "done"
 *   lengths N       N fresh records, then every place of the rings, claim 2^32 - 1 bytes -> "done"
 *   cursors N       N times: heads and tails moved back, forth, apart, to nonsense       -> "done"
 *   losses          loss counters that jump, and go back                                 -> "done"
 *   records N       N records of every kind, well committed, about descriptors, threads and sizes that are not -> "done"
 *   requests N      N connections (forged) that each bring the first 16 KiB of a request -> "done"
 *   numbers N       N descriptor numbers made by dup2, as far as the limit goes          -> "done COUNT"
 *   half N          N real connections that each send half a request                     -> "done COUNT"
 *   header          the header says other sizes, places and versions                     -> "done"
 *   shrink          ftruncate and fallocate on the memory itself                         -> "done WHAT"
 *   quit            exits 0
 */
#include "tester.h"

#include "../../native/abi/scope_abi.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static volatile unsigned char *shared;
static unsigned long length;
static struct scope_shared header;
static uint32_t seed = 88172645;

static uint64_t random_word(void) { return (uint64_t)next_random(&seed) << 32 | next_random(&seed); }

/* The mapping of the whole memory: the one that can be written. */
static void find(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  CHECK(maps != NULL);
  char line[512];
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long start, end;
    if (strstr(line, "memfd:" SCOPE_MEMFD_NAME) == NULL || strstr(line, " rw-s ") == NULL) continue;
    CHECK(sscanf(line, "%lx-%lx", &start, &end) == 2);
    shared = (volatile unsigned char *)start;
    length = end - start;
  }
  fclose(maps);
  CHECK(shared != NULL);
  memcpy(&header, (const void *)shared, sizeof header);
}

static volatile struct scope_ring *ring(unsigned number) {
  return (volatile struct scope_ring *)(shared + header.rings_ctl) + number;
}

static volatile unsigned char *bytes_of(unsigned number) { return shared + header.rings + number * header.ring_bytes; }

static void words(unsigned long count) {
  const unsigned long bytes = header.ring_count * header.ring_bytes;
  for (unsigned long i = 0; i < count; i++) {
    const uint64_t word = random_word() >> (random_word() & 63);
    *(volatile uint64_t *)(shared + header.rings + random_word() % (bytes / 8) * 8) = word;
    if (i % 16 != 0) continue;
    /* And over what was recorded a moment ago. */
    close(dup(0));
    for (unsigned r = 0; r < header.ring_count; r++) {
      const uint64_t at = ring(r)->head - 8 * (1 + random_word() % 32);
      *(volatile uint64_t *)(bytes_of(r) + (at & (header.ring_bytes - 1))) = word;
    }
  }
}

static volatile struct scope_record *record_at(unsigned number, uint64_t offset) {
  return (volatile struct scope_record *)(bytes_of(number) + offset);
}

/* A reader that is fast has nearly always read what stands in the rings: so records are damaged as they are made. */
static void lengths(unsigned long count) {
  for (unsigned long i = 0; i < count; i++) {
    uint64_t from[SCOPE_MAX_RINGS];
    for (unsigned r = 0; r < header.ring_count; r++) from[r] = ring(r)->head;
    close(dup(0));
    for (unsigned r = 0; r < header.ring_count; r++) {
      const uint64_t offset = from[r] & (header.ring_bytes - 1);
      if (ring(r)->head == from[r] || header.ring_bytes - offset < sizeof(struct scope_record)) continue;
      record_at(r, offset)->size = 0xffffffffu;
    }
  }
  for (unsigned r = 0; r < header.ring_count; r++)
    for (uint64_t at = 0; at + sizeof(struct scope_record) <= header.ring_bytes; at += 16) record_at(r, at)->size = 0xffffffffu;
}

static void cursors(unsigned long count) {
  for (unsigned long i = 0; i < count; i++) {
    volatile struct scope_ring *c = ring((unsigned)(i % header.ring_count));
    const uint64_t by = random_word() >> (random_word() % 64);
    switch (i % 6) {
    case 0: c->head += by & ~15ull; break;
    case 1: c->tail += by & ~15ull; break;
    case 2: c->head -= by; break;
    case 3: c->tail -= by; break;
    case 4: c->head = random_word(); break;
    default: c->head = c->tail = random_word() & ~15ull; break;
    }
  }
}

static void losses(void) {
  for (unsigned r = 0; r < header.ring_count; r++)
    for (int i = 0; i < 13; i++) (&ring(r)->lost_records)[i] = i % 2 ? ~0ull : (&ring(r)->lost_records)[i] - 1;
}

/* Puts a record where the payload would; waits for room as long as somebody reads. */
static void forge(struct scope_record record, const void *data, unsigned bytes, unsigned type) {
  volatile struct scope_ring *c = ring(0);
  const unsigned size = (unsigned)(sizeof record + (bytes > 0 ? 8 + ((bytes + 7) & ~7u) : 0) + 15) & ~15u;
  for (int tries = 0; tries < 2000; tries++) {
    uint64_t head = c->head;
    uint64_t offset = head & (header.ring_bytes - 1);
    const uint64_t rest = offset + size > header.ring_bytes ? header.ring_bytes - offset : 0;
    if (head + rest + size - c->tail > header.ring_bytes) {
      usleep(500);
      continue;
    }
    if (rest >= sizeof record) {
      volatile struct scope_record *pad = (volatile struct scope_record *)(bytes_of(0) + offset);
      pad->size = (uint32_t)rest;
      pad->kind = SCOPE_KIND_PAD;
      pad->commit = head ^ header.key;
    }
    head += rest;
    offset = head & (header.ring_bytes - 1);
    volatile struct scope_record *to = (volatile struct scope_record *)(bytes_of(0) + offset);
    record.size = size;
    record.tsc = __builtin_ia32_rdtsc();
    record.commit = 0;
    memcpy((void *)to, &record, sizeof record);
    if (bytes > 0) {
      struct scope_chunk chunk = {.type = (uint16_t)type, .length = bytes};
      memcpy((char *)to + sizeof record, &chunk, sizeof chunk);
      memcpy((char *)to + sizeof record + sizeof chunk, data, bytes);
    }
    c->head = head + size;
    __sync_synchronize();
    to->commit = head ^ header.key;
    return;
  }
}

static void records(unsigned long count) {
  static const uint16_t numbers[] = {0,  1,  2,  3,  17, 18, 19, 20, 22, 32, 33,  40,  41,  42,  43,  44,  45,  46,  47,  48,
                                     49, 50, 53, 56, 57, 58, 59, 60, 72, 82, 85,  87,  231, 257, 263, 264, 275, 288, 292, 293,
                                     295, 296, 299, 307, 316, 322, 326, 327, 328, 435, 436, 437};
  unsigned char data[512];
  for (unsigned long i = 0; i < count; i++) {
    for (unsigned j = 0; j < sizeof data; j++) data[j] = (unsigned char)random_word();
    struct scope_record r = {
      .who = (uint64_t)numbers[random_word() % (sizeof numbers / 2)] << 48 | random_word() >> 16,
      .result = random_word() % 3 ? (int64_t)(random_word() % 4096) : (int64_t)random_word(),
      .a1 = random_word() % 4 ? (uint32_t)(random_word() % 100000) : (uint32_t)random_word(),
      .a2 = random_word(),
      .a3 = random_word(),
      .a4 = (uint32_t)random_word(),
      .kind = random_word() % 8 ? (random_word() % 2 ? SCOPE_KIND_PRE : SCOPE_KIND_POST) : (uint8_t)random_word(),
      .flags = (uint8_t)random_word(),
    };
    /* Its own end would be believed: the program lives on. */
    if (r.who >> 48 == 231 || r.who >> 48 == 59) r.who &= (1ull << 48) - 1;
    forge(r, data, (unsigned)(random_word() % sizeof data), (unsigned)(random_word() % 8));
  }
}

static void requests(unsigned long count) {
  static char head[16000];
  memset(head, 'x', sizeof head);
  memcpy(head, "GET /half HTTP/1.1\r\nx-long: ", 28);
  for (unsigned long i = 0; i < count; i++) {
    const uint32_t fd = 1000 + (uint32_t)i;
    forge((struct scope_record){.who = 41ull << 48 | 1, .result = fd, .a1 = 2, .a2 = 1, .kind = SCOPE_KIND_POST}, NULL, 0, 0);
    forge((struct scope_record){.who = 0ull << 48 | 1, .result = sizeof head, .a1 = fd, .a3 = sizeof head, .kind = SCOPE_KIND_POST},
          head, sizeof head, SCOPE_CHUNK_DATA);
  }
}

static unsigned long numbers(unsigned long count) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const struct rlimit all = {.rlim_cur = count + 100, .rlim_max = count + 100};
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &all) != 0) CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  const int pair = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(pair >= 0);
  unsigned long made = 0;
  for (unsigned long i = 0; i < count; i++)
    if (dup2(pair, 100 + (int)i) >= 0) made++;
  return made;
}

static unsigned long half(unsigned long count) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&at, size) == 0 && listen(listener, 128) == 0);
  CHECK(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
  static const char text[] = "GET /half HTTP/1.1\r\nhost: nowhere\r\nx-never: ";
  unsigned long made = 0;
  char got[sizeof text];
  for (unsigned long i = 0; i < count; i++) {
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0) break;
    CHECK(connect(client, (struct sockaddr *)&at, size) == 0);
    const int server = accept(listener, NULL, NULL);
    if (server < 0) break;
    CHECK(write(client, text, sizeof text) == sizeof text && read(server, got, sizeof got) == sizeof got);
    made++;
  }
  return made;
}

static void lie(void) {
  volatile struct scope_shared *h = (volatile struct scope_shared *)shared;
  h->magic = random_word();
  h->abi_version = 77;
  h->site_count = 0xffffffffu;
  h->manifest = h->state_address = random_word();
  h->ring_bytes = h->rings = h->rings_ctl = h->class_table = h->total_bytes = ~0ull;
  h->ring_count = 0xffffffffu;
  h->key = random_word();
}

static void shrink(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (unsigned long)shared, (unsigned long)shared + length);
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    say("done not to be opened");
    return;
  }
  const int cut = ftruncate(fd, 0);
  const int error = errno;
  /* Holes read as zeros. */
  const int hole = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)header.rings, (off_t)header.ring_bytes);
  close(fd);
  say("done %s, %s", cut == 0 ? "shrunk" : strerrorname_np(error), hole == 0 ? "punched" : "not punched");
}

static void work(unsigned long count) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  unsigned char bytes[4096] = {0};
  for (unsigned long left = count; left > 0;) {
    const size_t n = left < sizeof bytes ? left : sizeof bytes;
    CHECK(write(ends[1], bytes, n) == (ssize_t)n && read(ends[0], bytes, n) == (ssize_t)n);
    left -= n;
  }
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  say("ready");
  for (;;) {
    char word[64];
    next_command(word, sizeof word);
    if (shared == NULL) find();
    char *argument = strchr(word, ' ');
    const unsigned long count = argument != NULL ? strtoul(argument + 1, NULL, 10) : 0;
    if (argument != NULL) *argument = 0;
    if (is(word, "work")) {
      work(count);
      say("worked");
      continue;
    }
    if (is(word, "shrink")) {
      shrink();
      continue;
    }
    if (is(word, "numbers") || is(word, "half")) {
      say("done %lu", is(word, "half") ? half(count) : numbers(count));
      continue;
    }
    if (is(word, "words")) words(count);
    else if (is(word, "lengths")) lengths(count);
    else if (is(word, "cursors")) cursors(count);
    else if (is(word, "losses")) losses();
    else if (is(word, "records")) records(count);
    else if (is(word, "requests")) requests(count);
    else if (is(word, "header")) lie();
    else if (is(word, "quit")) return 0;
    else fail("unknown command %s", word);
    say("done");
  }
}
