/* What the testers share. A tester says "ready" on stdout, obeys one-word commands on stdin, prints one line per answer,
 * and ends with a line "FAIL what" and exit code 1 at the first thing that is not as it must be. */
#ifndef TESTER_H
#define TESTER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id /* glibc has no name for it */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Says what went wrong and ends the whole process at once; safe from any thread. */
static inline void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...) {
  char line[512];
  const int error = errno;
  va_list arguments;
  va_start(arguments, format);
  int length = snprintf(line, sizeof line, "FAIL ");
  length += vsnprintf(line + length, sizeof line - (size_t)length - 40, format, arguments);
  va_end(arguments);
  length += snprintf(line + length, sizeof line - (size_t)length, " (errno %d)\n", error);
  if (write(1, line, (size_t)length) < 0) _exit(2);
  _exit(1);
}

#define CHECK(condition) \
  do { \
    if (!(condition)) fail("%s:%d: %s", __FILE__, __LINE__, #condition); \
  } while (0)

static inline void __attribute__((format(printf, 1, 2))) say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  fflush(stdout);
}

/* Waits for the next command; at the end of input the harness is gone, and so are we. */
static inline void next_command(char *word, size_t size) {
  size_t length = 0;
  for (;;) {
    char byte;
    const ssize_t got = read(0, &byte, 1);
    if (got < 0 && errno == EINTR) fail("read of a command returned EINTR");
    if (got <= 0) _exit(0);
    if (byte == '\n') break;
    if (length + 1 < size) word[length++] = byte;
  }
  word[length] = 0;
}

static inline int is(const char *word, const char *other) { return strcmp(word, other) == 0; }

/* Byte `position` of stream `id`: any byte that was moved, doubled or dropped shows. */
static inline unsigned char pattern(uint64_t position, unsigned id) {
  uint64_t x = position * 0x9e3779b97f4a7c15ull + id * 0xc2b2ae3d27d4eb4full;
  x ^= x >> 29;
  return (unsigned char)(x * 0xbf58476d1ce4e5b9ull >> 56);
}

static inline void fill(unsigned char *bytes, size_t length, uint64_t position, unsigned id) {
  for (size_t i = 0; i < length; i++) bytes[i] = pattern(position + i, id);
}

static inline void verify(const unsigned char *bytes, size_t length, uint64_t position, unsigned id) {
  for (size_t i = 0; i < length; i++)
    if (bytes[i] != pattern(position + i, id))
      fail("stream %u, byte %llu: %02x instead of %02x", id, (unsigned long long)(position + i), bytes[i],
           pattern(position + i, id));
}

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* xorshift: repeatable lengths, one state per thread. */
static inline uint32_t next_random(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

#endif
