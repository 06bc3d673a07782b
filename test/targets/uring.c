/* Uses io_uring as liburing does, by bare system calls: `make` makes a ring, and `write` writes ten bytes to /dev/null by it.
 * `forget` closes the ring's descriptor: its mappings stay. "no ring ERRNO": this kernel gives none. */
#include "tester.h"
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static struct io_uring_params params;
static int ring = -1;
static char *submissions, *completions;
static struct io_uring_sqe *entries;

static void *map(size_t length, off_t offset) {
  void *at = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, offset);
  CHECK(at != MAP_FAILED);
  return at;
}

static int make(void) {
  ring = (int)syscall(SYS_io_uring_setup, 8, &params);
  if (ring < 0) return 0;
  submissions = map(params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
  completions = map(params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
  entries = map(params.sq_entries * sizeof *entries, IORING_OFF_SQES);
  return 1;
}

static void write_by_ring(int fd) {
  _Atomic unsigned *tail = (void *)(submissions + params.sq_off.tail), *done = (void *)(completions + params.cq_off.head);
  const unsigned index = *tail & (params.sq_entries - 1);
  entries[index] = (struct io_uring_sqe){.opcode = IORING_OP_WRITE, .fd = fd, .addr = (uint64_t) "ten bytes\n", .len = 10};
  ((unsigned *)(submissions + params.sq_off.array))[index] = index;
  atomic_fetch_add(tail, 1);
  CHECK(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) == 1);
  const struct io_uring_cqe *answers = (void *)(completions + params.cq_off.cqes);
  CHECK(answers[*done & (params.cq_entries - 1)].res == 10);
  atomic_fetch_add(done, 1);
}

int main(void) {
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(null >= 0);
  say("ready");
  for (;;) {
    char word[32];
    next_command(word, sizeof word);
    if (is(word, "make")) {
      if (make()) say("made %d", ring);
      else say("no ring %s", strerrorname_np(errno));
    } else if (is(word, "write")) {
      write_by_ring(null);
      say("written");
    } else if (is(word, "forget")) {
      CHECK(close(ring) == 0);
      say("forgotten");
    } else {
      CHECK(is(word, "quit"));
      return 0;
    }
  }
}
