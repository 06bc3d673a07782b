/* The cost of one write(2) of 64 bytes, in nanoseconds. Argument: where to, "null" (/dev/null),
 * "pipe", "socket" (a unix stream; at most 200 writes a burst), or "http" (the same, the writes being the body of an answer).
 *
 *   measure BURSTS COUNT REST -> "took MEDIAN LEAST" nanoseconds for the COUNT writes of the middle and of the fastest of
 *   BURSTS bursts; what is done between bursts (a rest of REST microseconds, and reading the pipe empty) is not counted, so
 *   that a reader of records can keep up.
 */
#include "tester.h"

#include <fcntl.h>
#include <sys/socket.h>

enum { PIPE_BYTES = 1 << 20, SIZE = 64, MOST_BURSTS = 1000 };

static int by_size(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* Over both ends of one connection: a request, and the head of an answer without end. */
static void begin_answer(int client, int server) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n";
  static char back[sizeof head];
  CHECK(write(client, request, sizeof request - 1) == sizeof request - 1);
  CHECK(read(server, back, sizeof request - 1) == sizeof request - 1);
  CHECK(write(server, head, sizeof head - 1) == sizeof head - 1);
  CHECK(read(client, back, sizeof head - 1) == sizeof head - 1);
}

int main(int count, char **arguments) {
  static unsigned char bytes[SIZE], back[PIPE_BYTES];
  int out, in = -1;
  CHECK(count == 2);
  fill(bytes, sizeof bytes, 0, 1);
  if (is(arguments[1], "null")) {
    out = open("/dev/null", O_WRONLY);
  } else if (is(arguments[1], "socket") || is(arguments[1], "http")) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    in = ends[0], out = ends[1];
  } else {
    int ends[2];
    CHECK(pipe(ends) == 0);
    in = ends[0], out = ends[1];
    CHECK(fcntl(out, F_SETPIPE_SZ, PIPE_BYTES) == PIPE_BYTES);
  }
  CHECK(out >= 0);
  say("ready 1");
  for (;;) {
    char words[64];
    next_command(words, sizeof words);
    if (is(words, "quit")) return 0;
    unsigned long bursts = 0, writes = 0;
    unsigned rest = 0;
    CHECK(sscanf(words, "measure %lu %lu %u", &bursts, &writes, &rest) == 3);
    CHECK(in < 0 || writes * SIZE <= PIPE_BYTES);
    static uint64_t took[MOST_BURSTS];
    CHECK(bursts > 0 && bursts <= MOST_BURSTS);
    if (is(arguments[1], "http")) begin_answer(in, out);
    for (unsigned long burst = 0; burst < bursts; burst++) {
      const uint64_t before = now_ns();
      for (unsigned long i = 0; i < writes; i++)
        if (write(out, bytes, SIZE) != SIZE) fail("write");
      took[burst] = now_ns() - before;
      for (size_t left = in < 0 ? 0 : writes * SIZE; left > 0;) {
        const ssize_t got = read(in, back, left);
        if (got <= 0) fail("read");
        left -= (size_t)got;
      }
      if (rest > 0) usleep(rest);
    }
    qsort(took, bursts, sizeof *took, by_size);
    say("took %llu %llu", (unsigned long long)took[bursts / 2], (unsigned long long)took[0]);
  }
}
