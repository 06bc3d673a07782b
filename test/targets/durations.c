/* Calls that take a known time: a pipe whose other end waits before it writes, and a file. It times each call itself.
 * Arguments: a folder, and the name of what its descriptors are read by: `read`, `readv` or `recv`.
 *
 *   run   -> "took READ_NS LONGEST_NS ROUNDS"   reads that wait 20 ms each; opens, writes and closes a file each round
 *   quit  -> exits 0
 */
#include "tester.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { ROUNDS = 20, WAIT_NS = 20000000 };
static int ends[2];

static void *late_writer(void *unused) {
  (void)unused;
  for (int i = 0; i < ROUNDS; i++) {
    const struct timespec wait = {0, WAIT_NS};
    nanosleep(&wait, NULL);
    CHECK(write(ends[1], "x", 1) == 1);
  }
  return NULL;
}

static ssize_t get(const char *by, char *byte) {
  struct iovec part = {byte, 1};
  if (is(by, "recv")) return recv(ends[0], byte, 1, 0);
  return is(by, "readv") ? readv(ends[0], &part, 1) : read(ends[0], byte, 1);
}

int main(int count, char **arguments) {
  char word[16], path[512], byte;
  CHECK(count == 3);
  snprintf(path, sizeof path, "%s/timed", arguments[1]);
  CHECK(is(arguments[2], "recv") ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 : pipe(ends) == 0);
  say("ready");
  for (;;) {
    next_command(word, sizeof word);
    if (is(word, "quit")) return 0;
    pthread_t writer;
    uint64_t sum = 0, longest = 0;
    CHECK(pthread_create(&writer, NULL, late_writer, NULL) == 0);
    for (int i = 0; i < ROUNDS; i++) {
      const uint64_t begun = now_ns();
      CHECK(get(arguments[2], &byte) == 1);
      const uint64_t took = now_ns() - begun;
      sum += took;
      if (took > longest) longest = took;
      const int file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
      CHECK(file >= 0 && write(file, path, 100) == 100 && pwrite(file, path, 50, 7) == 50 && close(file) == 0);
    }
    CHECK(pthread_join(writer, NULL) == 0);
    say("took %llu %llu %d", (unsigned long long)sum, (unsigned long long)longest, ROUNDS);
  }
}
