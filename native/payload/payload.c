/* The only code that ever runs inside a target.
 *
 * It notes what a system call did: number, arguments, result, time, thread and the first bytes of its data, in a ring
 * that the agent reads. It makes no system call, takes no lock, waits for nothing, touches no vector register, and
 * returns within a bounded number of steps whatever the ring, the map of pages or the arguments hold.
 *
 * Two rules decide which of the target's memory it may read:
 *   after a call: what the kernel has just written or read for this caller (buffers of read, results of accept): the
 *     call proved it, and nobody else may take it away before the caller has returned. Only so much of it as the kernel has
 *     touched: results and lengths may speak of more (MSG_TRUNC, addresses longer than their buffer), or of nothing
 *   before a call: only pages that the page map vouches for; the caller may be probing a bad address on purpose
 * What a call was given to write is therefore copied before it, never after: once the peer has the bytes, another
 * thread may free and unmap them.
 */
#include "scope_abi.h"

typedef scope_u8 u8;
typedef scope_u16 u16;
typedef scope_u32 u32;
typedef scope_u64 u64;
typedef scope_i64 i64;

#define HIDDEN __attribute__((visibility("hidden")))
#define INLINE static inline __attribute__((always_inline))
#define OUT_OF_LINE static __attribute__((noinline)) void /* small frames: goroutine stacks are short */
#define COLD static __attribute__((noinline, cold))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

_Static_assert(__builtin_offsetof(struct scope_state, class_table) == 32, "entry.S reads class_table at 32");
_Static_assert(__builtin_offsetof(struct scope_state, go_tag) == 80, "entry.S reads go_tag at 80");
_Static_assert(__builtin_offsetof(struct scope_state, timing) == 112, "entry.S reads timing at 112");
_Static_assert(SCOPE_CLASS_COUNT_VALUE == SCOPE_CLASS_COUNT && SCOPE_CLASS_UNKNOWN_VALUE == SCOPE_CLASS_UNKNOWN, "and what is looked at");
_Static_assert(sizeof(struct scope_record) == 64, "records");

extern const u32 scope_features HIDDEN;

/* Linux system call numbers, x86-64 (arch/x86/entry/syscalls/syscall_64.tbl). */
enum {
  NR_read = 0, NR_write = 1, NR_open = 2, NR_close = 3, NR_mmap = 9, NR_mprotect = 10, NR_munmap = 11, NR_brk = 12,
  NR_pread64 = 17, NR_pwrite64 = 18, NR_readv = 19, NR_writev = 20, NR_pipe = 22, NR_mremap = 25, NR_madvise = 28,
  NR_dup = 32, NR_dup2 = 33, NR_sendfile = 40, NR_socket = 41, NR_connect = 42, NR_accept = 43, NR_sendto = 44,
  NR_recvfrom = 45, NR_sendmsg = 46, NR_recvmsg = 47, NR_shutdown = 48, NR_bind = 49, NR_listen = 50,
  NR_socketpair = 53, NR_clone = 56, NR_fork = 57, NR_vfork = 58, NR_execve = 59, NR_exit = 60, NR_fcntl = 72,
  NR_rename = 82, NR_creat = 85, NR_unlink = 87, NR_exit_group = 231, NR_openat = 257, NR_unlinkat = 263,
  NR_renameat = 264, NR_splice = 275, NR_accept4 = 288, NR_dup3 = 292, NR_pipe2 = 293, NR_preadv = 295,
  NR_pwritev = 296, NR_recvmmsg = 299, NR_sendmmsg = 307, NR_renameat2 = 316, NR_execveat = 322,
  NR_copy_file_range = 326, NR_preadv2 = 327, NR_pwritev2 = 328, NR_pkey_mprotect = 329,
  NR_io_uring_setup = 425, NR_clone3 = 435, NR_close_range = 436, NR_openat2 = 437,
};
_Static_assert(SCOPE_WRITE == NR_write, "entry.S knows a write");

enum {
  PAGE = 4096, F_DUPFD = 0, F_DUPFD_CLOEXEC = 1030, MAP_TYPE = 15, MAP_PRIVATE = 2, MAP_FIXED = 16, MAP_ANON = 32,
  MAP_FIXED_NOREPLACE = 0x100000, MAP_HUGETLB = 0x40000, MREMAP_FIXED = 2, PROT_READ = 1, PROT_EXEC = 4, CLONE_VM = 0x100, CLONE_THREAD = 0x10000,
  MADV_GUARD_INSTALL = 102, MSG_PEEK = 2, MSG_TRUNC = 0x20, MSG_ERRQUEUE = 0x2000, PATH_LIMIT = 1024, ADDR_LIMIT = 128, IOV_LIMIT = 64, MESSAGE_LIMIT = 16,
  RESERVE_TRIES = 64,
};

/* Calls whose number is known only as they happen: which are looked at, and which before they run, as bit sets (entry.S
 * tests them for Go). */
#define B(n) (1ull << ((n) & 63))
HIDDEN const u64 scope_wanted[SCOPE_NUMBERS / 64] = {
  [0] = B(NR_read) | B(NR_write) | B(NR_open) | B(NR_close) | B(NR_mmap) | B(NR_mprotect) | B(NR_munmap) | B(NR_brk)
      | B(NR_pread64) | B(NR_pwrite64) | B(NR_readv) | B(NR_writev) | B(NR_pipe) | B(NR_mremap) | B(NR_madvise)
      | B(NR_dup) | B(NR_dup2) | B(NR_sendfile) | B(NR_socket) | B(NR_connect) | B(NR_accept) | B(NR_sendto)
      | B(NR_recvfrom) | B(NR_sendmsg) | B(NR_recvmsg) | B(NR_shutdown) | B(NR_bind) | B(NR_listen)
      | B(NR_socketpair) | B(NR_clone) | B(NR_fork) | B(NR_vfork) | B(NR_execve) | B(NR_exit),
  [1] = B(NR_fcntl) | B(NR_rename) | B(NR_creat) | B(NR_unlink),
  [3] = B(NR_exit_group),
  [4] = B(NR_openat) | B(NR_unlinkat) | B(NR_renameat) | B(NR_splice) | B(NR_accept4) | B(NR_dup3) | B(NR_pipe2)
      | B(NR_preadv) | B(NR_pwritev) | B(NR_recvmmsg) | B(NR_sendmmsg) | B(NR_renameat2),
  [5] = B(NR_execveat) | B(NR_copy_file_range) | B(NR_preadv2) | B(NR_pwritev2) | B(NR_pkey_mprotect),
  [6] = B(NR_io_uring_setup) | B(NR_clone3) | B(NR_close_range) | B(NR_openat2),
};
/* Seen before the call only where durations are asked for. */
HIDDEN const u64 scope_timed[SCOPE_NUMBERS / 64] = {
  [0] = B(NR_read) | B(NR_pread64) | B(NR_readv) | B(NR_sendfile) | B(NR_recvfrom) | B(NR_recvmsg),
  [4] = B(NR_splice) | B(NR_preadv) | B(NR_recvmmsg),
  [5] = B(NR_copy_file_range) | B(NR_preadv2),
};
HIDDEN const u64 scope_before[SCOPE_NUMBERS / 64] = {
  [0] = B(NR_write) | B(NR_open) | B(NR_close) | B(NR_mmap) | B(NR_mprotect) | B(NR_munmap) | B(NR_brk) | B(NR_pwrite64)
      | B(NR_writev) | B(NR_mremap) | B(NR_madvise) | B(NR_connect) | B(NR_sendto) | B(NR_sendmsg) | B(NR_bind)
      | B(NR_clone) | B(NR_vfork) | B(NR_execve) | B(NR_exit),
  [1] = B(NR_rename) | B(NR_creat) | B(NR_unlink),
  [3] = B(NR_exit_group),
  [4] = B(NR_openat) | B(NR_unlinkat) | B(NR_renameat) | B(NR_pwritev) | B(NR_sendmmsg) | B(NR_renameat2),
  [5] = B(NR_execveat) | B(NR_pwritev2) | B(NR_pkey_mprotect),
  [6] = B(NR_clone3) | B(NR_close_range) | B(NR_openat2),
};

/* What a hook finds on the stack; entry.S pushes it. */
struct frame { u64 a6, a5, a4, a3, a2, a1; i64 result; };

struct iovec { u64 base, length; };
struct msghdr { u64 name; u32 name_length, pad; u64 iov, iov_count, control, control_length; u32 flags, pad2; };
struct mmsghdr { struct msghdr header; u32 length, pad; };

/* ---- small tools -------------------------------------------------------------------------------------------- */

INLINE u64 load(const u64 *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
INLINE void add(u64 *p, u64 n) { __atomic_fetch_add(p, n, __ATOMIC_RELAXED); }
INLINE u64 least(u64 a, u64 b) { return a < b ? a : b; }
INLINE u64 up(u64 n, u64 to) { return (n + to - 1) & ~(to - 1); }

/* Short pieces by words: `rep movsb` takes some forty cycles to start. */
INLINE void copy(void *to, const void *from, u64 n) {
  struct words { u64 w; } __attribute__((packed, may_alias));
  if (n <= 256) {
    u8 *t = to;
    const u8 *f = from;
    for (; n >= 8; n -= 8, t += 8, f += 8) ((struct words *)t)->w = ((const struct words *)f)->w;
    for (; n; n--) *t++ = *f++;
    return;
  }
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}

INLINE u64 thread(void) {
  u64 base;
  __asm__ volatile("rdfsbase %0" : "=r"(base));
  return base;
}

INLINE u64 now(void) {
  u32 low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (u64)high << 32 | low;
}

INLINE u32 cpu(void) {
  if (likely(scope_features & 1)) {
    u64 id;
    __asm__ volatile("rdpid %0" : "=r"(id));
    return (u32)id & 0xfff;
  }
  u32 low, high, id;
  __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(id));
  return id & 0xfff;
}

/* ---- the page map ------------------------------------------------------------------------------------------- */

INLINE struct scope_block *block_at(const struct scope_state *s, u64 key, u64 probe) {
  return &((struct scope_pagemap *)s->pagemap)->blocks[SCOPE_PAGEMAP_SLOT(key, probe)];
}

static struct scope_block *find_block(const struct scope_state *s, u64 key) {
  for (u64 i = 0; i < SCOPE_PAGEMAP_PROBES; i++) {
    struct scope_block *b = block_at(s, key, i);
    u64 k = load(&b->key);
    if (k == key) return b;
    if (k == 0) return 0;
  }
  return 0;
}

static struct scope_block *make_block(const struct scope_state *s, u64 key) {
  for (u64 i = 0; i < SCOPE_PAGEMAP_PROBES; i++) {
    struct scope_block *b = block_at(s, key, i);
    u64 k = load(&b->key);
    if (k == 0 && __atomic_compare_exchange_n(&b->key, &k, key, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return b;
    if (k == key || load(&b->key) == key) return b;
  }
  return 0;
}

/* Whether [at, at + n) may be read now. n = 0: yes. */
static int readable(const struct scope_state *s, u64 at, u64 n) {
  if (n == 0) return 1;
  u64 end = at + n - 1;
  if (unlikely(end < at || end >> 47)) return 0;
  u64 page = at / PAGE, last = end / PAGE;
  if (unlikely(last - page > SCOPE_MAX_CAPTURE / PAGE + 1)) return 0;
  struct scope_block *b = 0;
  for (; page <= last; page++) {
    u64 key = page >> 9;
    if (!b || load(&b->key) != key) b = find_block(s, key);
    if (!b || !(load(&b->readable[page >> 6 & 7]) >> (page & 63) & 1)) return 0;
  }
  return 1;
}

enum change { MAPPED, MAPPED_READABLE, PROTECTED, READABLE, GONE };

/* Follows one change of [at, at + n). Growth past 4 GiB at once is left uncovered; a loss never is. */
static void change_pages(const struct scope_state *s, u64 at, u64 n, enum change what) {
  u64 page = at / PAGE, end = up(at + n, PAGE) / PAGE;
  if (at >> 47 || n == 0 || (at + n) >> 47) return;
  int growth = what == MAPPED || what == MAPPED_READABLE;
  if (growth && n > 4ull << 30) return;
  if (!growth && (end - page) >> 9 > SCOPE_PAGEMAP_BLOCKS) {
    /* Larger than the whole table: walk the table instead of the range. */
    for (u64 i = 0; i < SCOPE_PAGEMAP_BLOCKS; i++) {
      struct scope_block *b = &((struct scope_pagemap *)s->pagemap)->blocks[i];
      u64 key = load(&b->key);
      if (!key || key < page >> 9 || key > (end - 1) >> 9 || what == READABLE) continue;
      for (u64 w = 0; w < 8; w++) {
        __atomic_store_n(&b->readable[w], 0, __ATOMIC_RELAXED);
        if (what == GONE) __atomic_store_n(&b->anonymous[w], 0, __ATOMIC_RELAXED);
      }
    }
    return;
  }
  while (page < end) {
    u64 key = page >> 9;
    u64 stop = least(end, (key + 1) << 9);
    struct scope_block *b = growth ? make_block(s, key) : find_block(s, key);
    if (!b) {
      page = stop;
      continue;
    }
    while (page < stop) {
      u64 upto = least(stop, (page | 63) + 1);
      u64 width = upto - page;
      u64 mask = (width == 64 ? ~0ull : (1ull << width) - 1) << (page & 63);
      u64 *r = &b->readable[page >> 6 & 7], *a = &b->anonymous[page >> 6 & 7];
      switch (what) {
      case MAPPED_READABLE:
        __atomic_fetch_or(a, mask, __ATOMIC_RELAXED);
        __atomic_fetch_or(r, mask, __ATOMIC_RELAXED);
        break;
      case MAPPED: __atomic_fetch_or(a, mask, __ATOMIC_RELAXED); break;
      case READABLE: __atomic_fetch_or(r, mask & load(a), __ATOMIC_RELAXED); break;
      case GONE: __atomic_fetch_and(a, ~mask, __ATOMIC_RELAXED); __attribute__((fallthrough));
      case PROTECTED: __atomic_fetch_and(r, ~mask, __ATOMIC_RELAXED); break;
      }
      page = upto;
    }
  }
}

static int covered(const struct scope_state *s, u64 at, u64 n) {
  if (n == 0 || n > 1ull << 30) return 0;
  for (u64 page = at / PAGE; page < up(at + n, PAGE) / PAGE; page++) {
    struct scope_block *b = find_block(s, page >> 9);
    if (!b || !(load(&b->readable[page >> 6 & 7]) & load(&b->anonymous[page >> 6 & 7]) & (1ull << (page & 63)))) return 0;
  }
  return 1;
}

/* Calls that change what is mapped. Nonzero: it was one, and there is nothing else to do before the call. */
COLD int memory_before(struct scope_state *s, const struct frame *f, u32 nr) {
  switch (nr) {
  case NR_munmap: change_pages(s, f->a1, f->a2, GONE); return 1;
  case NR_mmap:
    if (f->a4 & MAP_FIXED) change_pages(s, f->a1, f->a2, GONE);
    return 1;
  case NR_mprotect:
    if (!(f->a3 & PROT_READ)) change_pages(s, f->a1, f->a2, PROTECTED);
    return 1;
  case NR_pkey_mprotect: change_pages(s, f->a1, f->a2, PROTECTED); return 1;
  case NR_madvise:
    if (f->a3 == MADV_GUARD_INSTALL) change_pages(s, f->a1, f->a2, PROTECTED);
    return 1;
  case NR_mremap:
    __atomic_store_n(&s->mremap_who, covered(s, f->a1, f->a2) ? thread() : 0, __ATOMIC_RELAXED);
    change_pages(s, f->a1, f->a2, GONE);
    if (f->a4 & MREMAP_FIXED) change_pages(s, f->a5, f->a3, GONE); /* whatever was there before */
    return 1;
  case NR_brk:
    if (f->a1 && f->a1 < load(&s->brk)) change_pages(s, f->a1, s->brk - f->a1, GONE);
    return 1;
  default: return 0;
  }
}

/* The same, after the call. Nonzero: nothing to record. */
COLD int memory_after(struct scope_state *s, const struct frame *f, u32 nr) {
  int failed = f->result < 0 && f->result >= -4095;
  switch (nr) {
  case NR_mmap:
    if (failed) return 1;
    /* A huge page that was never touched may turn out not to be had: SIGBUS. */
    if ((f->a4 & MAP_TYPE) == MAP_PRIVATE && f->a4 & MAP_ANON && !(f->a4 & MAP_HUGETLB))
      change_pages(s, (u64)f->result, f->a2, f->a3 & PROT_READ ? MAPPED_READABLE : MAPPED);
    return !(f->a3 & PROT_EXEC) || f->a4 & MAP_ANON;
  case NR_mprotect:
    if (!failed && f->a3 & PROT_READ) change_pages(s, f->a1, f->a2, READABLE);
    return 1;
  case NR_mremap:
    if (__atomic_load_n(&s->mremap_who, __ATOMIC_RELAXED) == thread()) {
      __atomic_store_n(&s->mremap_who, 0, __ATOMIC_RELAXED);
      if (failed) change_pages(s, f->a1, f->a2, MAPPED_READABLE);
      else change_pages(s, (u64)f->result, f->a3, MAPPED_READABLE);
    }
    return 1;
  case NR_brk: {
    u64 old = load(&s->brk), new = (u64)f->result;
    if (new > old) change_pages(s, up(old, PAGE), new - up(old, PAGE), MAPPED_READABLE);
    __atomic_store_n(&s->brk, new, __ATOMIC_RELAXED);
    return 1;
  }
  case NR_munmap: case NR_madvise: case NR_pkey_mprotect: return 1;
  default: return 0;
  }
}

/* ---- the ring ----------------------------------------------------------------------------------------------- */

enum family { OTHER, READ, WRITE, RECV, SEND, TRANSFER };

INLINE enum family family_of(u32 nr) {
  switch (nr) {
  case NR_read: case NR_pread64: case NR_readv: case NR_preadv: case NR_preadv2: return READ;
  case NR_write: case NR_pwrite64: case NR_writev: case NR_pwritev: case NR_pwritev2: return WRITE;
  case NR_recvfrom: case NR_recvmsg: case NR_recvmmsg: return RECV;
  case NR_sendto: case NR_sendmsg: case NR_sendmmsg: return SEND;
  case NR_sendfile: case NR_splice: case NR_copy_file_range: return TRANSFER;
  default: return OTHER;
  }
}

/* Bytes that a call moved: recvmmsg and sendmmsg return messages, the lengths stand in their array. */
static u64 moved(const struct frame *f, u32 nr) {
  if (f->result <= 0) return 0;
  if (nr != NR_recvmmsg && nr != NR_sendmmsg) return (u64)f->result;
  const struct mmsghdr *m = (const struct mmsghdr *)f->a2;
  u64 sum = 0;
  for (i64 i = 0; i < f->result && i < 1024; i++) sum += m[i].length;
  return sum;
}

struct writer {
  struct scope_record *record; /* 0: nothing reserved */
  u64 commit;
  u8 *at, *end;
  u32 size;
};

COLD void count_lost(struct scope_ring *ring, const struct frame *f, u32 nr, int after) {
  add(&ring->lost_records, 1);
  if (!after) return;
  u64 bytes = moved(f, nr);
  switch (family_of(nr)) {
  case READ: add(&ring->lost_read_calls, 1); add(&ring->lost_read_bytes, bytes); break;
  case WRITE: add(&ring->lost_write_calls, 1); add(&ring->lost_write_bytes, bytes); break;
  case RECV: add(&ring->lost_recv_calls, 1); add(&ring->lost_recv_bytes, bytes); break;
  case SEND: add(&ring->lost_send_calls, 1); add(&ring->lost_send_bytes, bytes); break;
  case TRANSFER: add(&ring->lost_transfer_calls, 1); add(&ring->lost_transfer_bytes, bytes); break;
  case OTHER: break;
  }
}

INLINE struct scope_ring *ring_of(const struct scope_state *s, u32 number) {
  return &((struct scope_ring *)s->rings_ctl)[number];
}

COLD void fill_end(u8 *at, u64 rest, u64 commit) {
  struct scope_record *pad = (struct scope_record *)at;
  if (rest < sizeof *pad) return;
  pad->size = (u32)rest;
  pad->kind = SCOPE_KIND_PAD;
  __atomic_store_n(&pad->commit, commit, __ATOMIC_RELEASE);
}

/* Reserves a record with room for `extra` bytes of chunks and fills its fixed part; lost ones are counted. */
INLINE struct writer begin(const struct scope_state *s, const struct frame *f, u32 nr, int after, u64 extra) {
  struct writer w = {0};
  u64 bytes = s->ring_bytes, size = up(sizeof(struct scope_record) + extra, 16);
  u32 number = cpu() & s->ring_mask;
  struct scope_ring *ring = ring_of(s, number);
  u8 *base = (u8 *)s->rings + number * bytes;
  u64 head = load(&ring->head), rest = 0;
  for (int tries = 0;; tries++) {
    u64 offset = head & (bytes - 1), tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    rest = offset + size > bytes ? bytes - offset : 0;
    if (unlikely(head + rest + size - tail > bytes || tries == RESERVE_TRIES)) {
      /* A thread that was held up after it looked at the head finds the reader ahead of it: it looks again. */
      if ((i64)(head - tail) < 0 && tries < RESERVE_TRIES) {
        head = load(&ring->head);
        continue;
      }
      count_lost(ring, f, nr & ~SCOPE_GO_BIT, after);
      return w;
    }
    if (likely(__atomic_compare_exchange_n(&ring->head, &head, head + rest + size, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)))
      break;
  }
  if (unlikely(rest)) {
    fill_end(base + (head & (bytes - 1)), rest, head ^ s->key);
    head += rest;
  }
  struct scope_record *r = (struct scope_record *)(base + (head & (bytes - 1)));
  r->tsc = now();
  r->who = (thread() & 0xffffffffffffull) | (u64)(nr & 0xffff & ~SCOPE_GO_BIT) << 48;
  r->result = after ? f->result : 0;
  r->size = (u32)size;
  r->a1 = (u32)f->a1;
  r->a2 = f->a2;
  r->a3 = f->a3;
  r->a4 = (u32)f->a4;
  r->kind = after ? SCOPE_KIND_POST : SCOPE_KIND_PRE;
  r->flags = nr & SCOPE_GO_BIT ? SCOPE_FLAG_GO : 0;
  r->pad = 0;
  /* The next record's cache lines come over from the reader's processor while the kernel makes the call. */
  for (u64 ahead = 0; ahead < 4; ahead++) __builtin_prefetch((u8 *)r + up(size, 64) + 64 * ahead, 1, 3);
  w.record = r;
  w.commit = head ^ s->key;
  w.at = (u8 *)(r + 1);
  w.end = (u8 *)r + size;
  return w;
}

/* The same, out of line, for the calls that are rare. */
static __attribute__((noinline)) struct writer begin_rare(const struct scope_state *s, const struct frame *f, u32 nr, int after, u64 extra) {
  return begin(s, f, nr, after, extra);
}

/* Opens a chunk; the caller then puts at most `room` bytes and closes it with what it put. */
INLINE u64 chunk_room(const struct writer *w) {
  u64 left = (u64)(w->end - w->at);
  return left > sizeof(struct scope_chunk) ? left - sizeof(struct scope_chunk) : 0;
}

INLINE u8 *chunk_open(struct writer *w, u16 type, u16 index) {
  struct scope_chunk *c = (struct scope_chunk *)w->at;
  c->type = type;
  c->index = index;
  return (u8 *)(c + 1);
}

INLINE void chunk_close(struct writer *w, u64 length) {
  struct scope_chunk *c = (struct scope_chunk *)w->at;
  c->length = (u32)length;
  w->at += sizeof(struct scope_chunk) + up(length, 8);
}

INLINE void put(struct writer *w, u16 type, u16 index, const void *from, u64 n) {
  if (chunk_room(w) < n) return;
  copy(chunk_open(w, type, index), from, n);
  chunk_close(w, n);
}

INLINE void end(struct writer *w) {
  if (w->at + sizeof(struct scope_chunk) <= w->end) *(u64 *)w->at = 0;
  __atomic_store_n(&w->record->commit, w->commit, __ATOMIC_RELEASE);
}

INLINE u64 chunk_size(u64 n) { return sizeof(struct scope_chunk) + up(n, 8); }

/* ---- data --------------------------------------------------------------------------------------------------- */

INLINE u8 class_of(const struct scope_state *s, u64 fd) {
  return (u32)fd < SCOPE_CLASS_COUNT ? ((const volatile u8 *)s->class_table)[(u32)fd] : SCOPE_CLASS_UNKNOWN;
}

INLINE int is_file(const struct scope_state *s, u64 fd) { return class_of(s, fd) == SCOPE_CLASS_FILE; }

/* Whether anybody has a use for the bytes that go through it. */
INLINE int is_looked_at(const struct scope_state *s, u64 fd) { return class_of(s, fd) == SCOPE_CLASS_UNKNOWN; }

INLINE struct scope_tally *tally_of(const struct scope_state *s, u64 fd) {
  return (struct scope_tally *)(s->class_table + SCOPE_CLASS_COUNT) + (u32)fd;
}

/* A call and its bytes, in two counters side by side: by one locked instruction, of which each takes as long as all else
 * here; where somebody was faster by one each, so that nobody ever waits. FSGSBASE processors have CMPXCHG16B. */
INLINE void count_call(u64 *pair, u64 bytes) {
  u64 calls = load(&pair[0]), sum = load(&pair[1]);
  int done;
  __asm__ volatile("lock cmpxchg16b %1"
                   : "=@ccz"(done), "+m"(*(unsigned __int128 *)pair), "+a"(calls), "+d"(sum)
                   : "b"(calls + 1), "c"(sum + bytes));
  if (likely(done)) return;
  add(&pair[0], 1);
  add(&pair[1], bytes);
}

/* Whether a call that came back needs no record: it moved bytes of a file, and is counted. */
INLINE int tallied(const struct scope_state *s, const struct frame *f, enum family family) {
  if ((u32)f->a1 >= SCOPE_TALLIES || !is_file(s, f->a1) || f->result < 0) return 0;
  if (unlikely(s->timing) || (unlikely(load(&s->vfork_who) != 0) && load(&s->vfork_who) == thread())) return 0;
  struct scope_tally *t = tally_of(s, f->a1);
  count_call(family == READ ? &t->read_calls : &t->write_calls, (u64)f->result);
  return 1;
}

INLINE u64 take(u64 *count) { return __atomic_exchange_n(count, 0, __ATOMIC_RELAXED); }

/* Tells what was moved by the number so far, since it stands for something else from now on. */
OUT_OF_LINE settle(const struct scope_state *s, u64 fd) {
  if (fd >= SCOPE_TALLIES || load(&s->vfork_who) == thread()) return;
  struct scope_tally *t = tally_of(s, fd);
  if (!(load(&t->read_calls) | load(&t->read_bytes) | load(&t->write_calls) | load(&t->write_bytes))) return;
  const struct frame f = {.a1 = fd};
  struct writer w = begin_rare(s, &f, NR_read, 0, chunk_size(4 * sizeof(u64)));
  if (!w.record) return;
  u64 *total = (u64 *)chunk_open(&w, SCOPE_CHUNK_ARGS, 0);
  total[0] = take(&t->read_calls);
  total[1] = take(&t->read_bytes);
  total[2] = take(&t->write_calls);
  total[3] = take(&t->write_bytes);
  chunk_close(&w, 4 * sizeof(u64));
  w.record->flags |= SCOPE_FLAG_TOTAL;
  end(&w);
}

/* Whatever the number stood for, it is something else from now on. */
OUT_OF_LINE set_class(const struct scope_state *s, i64 fd, u8 class) {
  if (fd < 0 || fd >= (i64)SCOPE_CLASS_COUNT) return;
  if (fd <= 2) class = SCOPE_CLASS_UNKNOWN; /* lines for a console go through anything */
  /* A vfork child has a descriptor table of its own: what it opens says nothing about ours. */
  if (class != SCOPE_CLASS_FILE || load(&s->vfork_who) != thread()) ((u8 *)s->class_table)[fd] = class;
  settle(s, (u64)fd);
}

/* Copies up to `limit` bytes of an iovec into the open chunk. `check`: only what the page map vouches for. Returns
 * the bytes copied; *missed is set where a piece was not covered. The array itself is the caller's to vouch for. */
static u64 gather(const struct scope_state *s, u8 *to, u64 limit, u64 iov, u64 count, int check, int *missed) {
  u64 done = 0;
  for (u64 i = 0; i < count && i < IOV_LIMIT && done < limit; i++) {
    const volatile struct iovec *v = (const volatile struct iovec *)iov + i;
    u64 base = v->base, n = least(v->length, limit - done);
    if (check && !readable(s, base, n)) {
      *missed = 1;
      break;
    }
    copy(to + done, (const void *)base, n);
    done += n;
  }
  return done;
}

/* Few where the ring fills, since many calls told with the beginning of their bytes, which is where protocols have their
 * heads, are worth more than some that are told whole and many lost. */
static __attribute__((noinline)) u64 most_of_many(const struct scope_state *s, u64 n) {
  const struct scope_ring *ring = ring_of(s, cpu() & s->ring_mask);
  u64 full = load(&ring->head) - load(&ring->tail), bytes = s->ring_bytes;
  if (likely(full < bytes / 2)) return n;
  return least(n, full < bytes / 4 * 3 ? 4096 : 1024);
}

/* Most data bytes that a record carries of so many. */
INLINE u64 most(const struct scope_state *s, u64 n) {
  n = least(n, s->capture_bytes);
  return likely(n <= 1024) ? n : most_of_many(s, n);
}

/* How many bytes of it are worth a reservation, before the copy. */
static u64 iov_bytes(u64 iov, u64 count, u64 limit) {
  u64 sum = 0;
  for (u64 i = 0; i < count && i < IOV_LIMIT && sum < limit; i++) {
    u64 n = ((const volatile struct iovec *)iov)[i].length;
    sum += least(n, limit - sum);
  }
  return sum;
}

/* Length of the string at `at`, at most PATH_LIMIT; -1 where the page map does not cover it. */
static i64 path_length(const struct scope_state *s, u64 at) {
  for (u64 n = 0; n < PATH_LIMIT; n++) {
    if ((n == 0 || ((at + n) & (PAGE - 1)) == 0) && !readable(s, at + n, 1)) return -1;
    if (*(const volatile u8 *)(at + n) == 0) return (i64)n;
  }
  return PATH_LIMIT;
}

COLD void uncopied(const struct scope_state *s, u64 bytes) {
  struct scope_ring *ring = ring_of(s, 0);
  add(&ring->uncopied_calls, 1);
  add(&ring->uncopied_bytes, bytes);
}

/* ---- after a call ------------------------------------------------------------------------------------------- */

/* Flags with which a call returns what is no part of the stream: a look ahead, an error's datagram. The reader wants none of
 * it. With MSG_TRUNC the result may count bytes that no buffer got: of a datagram longer than it, or thrown away (tcp(7)). */
INLINE int is_aside(u64 flags) { return (flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0; }

/* How much of a peer's address can be read at `address`. The kernel has written its whole length at `told`, but only so much
 * of the address as the caller had room for, which may be nothing. The page of `told` is there: it was just written. */
static u64 name_length(const struct scope_state *s, u64 address, u64 told, u32 length) {
  u64 n = least(length, ADDR_LIMIT);
  if (!address || n == 0) return 0;
  if (address / PAGE == told / PAGE && (address + n - 1) / PAGE == told / PAGE) return n;
  return readable(s, address, n) ? n : 0;
}

/* read, pread64. */
OUT_OF_LINE after_read(const struct scope_state *s, const struct frame *f, u32 nr) {
  u64 n = 0;
  if (f->result > 0 && is_looked_at(s, f->a1)) n = most(s, least((u64)f->result, f->a3));
  struct writer w = begin(s, f, nr, 1, n ? chunk_size(n) : 0);
  if (!w.record) return;
  if (n) put(&w, SCOPE_CHUNK_DATA, 0, (const void *)f->a2, n);
  if (f->result > 0 && n < (u64)f->result) w.record->flags |= SCOPE_FLAG_TRUNCATED;
  end(&w);
}

OUT_OF_LINE after_recvfrom(const struct scope_state *s, const struct frame *f, u32 nr) {
  u64 n = 0, name = 0;
  if (f->result > 0 && is_looked_at(s, f->a1) && !is_aside(f->a4)) n = most(s, least((u64)f->result, f->a3));
  if (unlikely(n && f->a4 & MSG_TRUNC)) {
    uncopied(s, n);
    n = 0;
  }
  if (f->result >= 0 && f->a5 && f->a6) name = name_length(s, f->a5, f->a6, *(const u32 *)f->a6);
  struct writer w = begin(s, f, nr, 1, (n ? chunk_size(n) : 0) + (name ? chunk_size(name) : 0));
  if (!w.record) return;
  if (n) put(&w, SCOPE_CHUNK_DATA, 0, (const void *)f->a2, n);
  if (name) put(&w, SCOPE_CHUNK_ADDR, 0, (const void *)f->a5, name);
  if (f->result > 0 && n < (u64)f->result) w.record->flags |= SCOPE_FLAG_TRUNCATED;
  end(&w);
}

INLINE u64 name_of(const struct scope_state *s, const struct msghdr *m) {
  return name_length(s, m->name, (u64)&m->name_length, m->name_length);
}

/* readv and its kin; `m`: recvmsg, which came back. */
OUT_OF_LINE after_vector(const struct scope_state *s, const struct frame *f, u32 nr, u64 iov, u64 count, const struct msghdr *m) {
  u64 n = 0, name = m ? name_of(s, m) : 0, flags = m ? f->a3 : 0;
  int missed = 0;
  if (f->result > 0 && is_looked_at(s, f->a1) && !is_aside(flags)) n = iov_bytes(iov, count, most(s, (u64)f->result));
  if (unlikely(n && flags & MSG_TRUNC)) {
    uncopied(s, n);
    n = 0;
  }
  struct writer w = begin_rare(s, f, nr, 1, (n ? chunk_size(n) : 0) + (name ? chunk_size(name) : 0));
  if (!w.record) return;
  if (n) {
    u8 *to = chunk_open(&w, SCOPE_CHUNK_DATA, 0);
    chunk_close(&w, gather(s, to, n, iov, count, 0, &missed));
  }
  if (name) put(&w, SCOPE_CHUNK_ADDR, 0, (const void *)m->name, name);
  if (f->result > 0 && n < (u64)f->result) w.record->flags |= SCOPE_FLAG_TRUNCATED;
  end(&w);
}

/* recvmmsg (with data) and sendmmsg (lengths only: its data went ahead). */
OUT_OF_LINE after_messages(const struct scope_state *s, const struct frame *f, u32 nr, int data) {
  const struct mmsghdr *m = (const struct mmsghdr *)f->a2;
  u64 count = f->result > 0 ? least((u64)f->result, MESSAGE_LIMIT) : 0;
  u64 extra = count ? chunk_size(4 * count) : 0, limit = most(s, s->capture_bytes);
  data = data && is_looked_at(s, f->a1) && !is_aside(f->a4);
  if (unlikely(data && f->a4 & MSG_TRUNC)) {
    uncopied(s, moved(f, NR_recvmmsg));
    data = 0;
  }
  for (u64 i = 0; data && i < count; i++) {
    if (i && extra > limit) break;
    extra += chunk_size(iov_bytes(m[i].header.iov, m[i].header.iov_count, least(m[i].length, limit)));
    u64 name = name_of(s, &m[i].header);
    if (name) extra += chunk_size(name);
  }
  struct writer w = begin_rare(s, f, nr, 1, extra);
  if (!w.record) return;
  if (count) {
    u32 *lengths = (u32 *)chunk_open(&w, SCOPE_CHUNK_LENS, 0);
    for (u64 i = 0; i < count; i++) lengths[i] = m[i].length;
    chunk_close(&w, 4 * count);
  }
  for (u64 i = 0; data && i < count; i++) {
    u64 room = chunk_room(&w), n = iov_bytes(m[i].header.iov, m[i].header.iov_count, least(m[i].length, limit));
    int missed = 0;
    if (n > room) {
      w.record->flags |= SCOPE_FLAG_TRUNCATED;
      break;
    }
    u8 *to = chunk_open(&w, SCOPE_CHUNK_DATA, (u16)i);
    chunk_close(&w, gather(s, to, n, m[i].header.iov, m[i].header.iov_count, 0, &missed));
    u64 name = name_of(s, &m[i].header);
    if (name) put(&w, SCOPE_CHUNK_ADDR, (u16)i, (const void *)m[i].header.name, name);
  }
  if ((u64)f->result > count && f->result > 0) w.record->flags |= SCOPE_FLAG_TRUNCATED;
  end(&w);
}

OUT_OF_LINE after_plain(const struct scope_state *s, const struct frame *f, u32 nr) {
  struct writer w = begin(s, f, nr, 1, 0);
  if (w.record) end(&w);
}

OUT_OF_LINE after_args(const struct scope_state *s, const struct frame *f, u32 nr, u64 x, u64 y) {
  u64 args[2] = {x, y};
  struct writer w = begin_rare(s, f, nr, 1, chunk_size(sizeof args));
  if (!w.record) return;
  put(&w, SCOPE_CHUNK_ARGS, 0, args, sizeof args);
  end(&w);
}

OUT_OF_LINE after_descriptors(const struct scope_state *s, const struct frame *f, u32 nr, u64 pair, u8 class) {
  const int *fds = (const int *)pair;
  if (f->result == 0) {
    set_class(s, fds[0], class);
    set_class(s, fds[1], class);
  }
  struct writer w = begin_rare(s, f, nr, 1, f->result == 0 ? chunk_size(8) : 0);
  if (!w.record) return;
  if (f->result == 0) put(&w, SCOPE_CHUNK_FDS, 0, fds, 8);
  end(&w);
}

/* accept, accept4: the peer's address. */
OUT_OF_LINE after_accept(const struct scope_state *s, const struct frame *f, u32 nr) {
  u64 name = f->result >= 0 && f->a2 && f->a3 ? name_length(s, f->a2, f->a3, *(const u32 *)f->a3) : 0;
  struct writer w = begin_rare(s, f, nr, 1, name ? chunk_size(name) : 0);
  if (!w.record) return;
  if (name) put(&w, SCOPE_CHUNK_ADDR, 0, (const void *)f->a2, name);
  end(&w);
}

/* All calls but the most frequent ones. */
OUT_OF_LINE after_other(struct scope_state *s, const struct frame *f, u32 tagged) {
  u32 nr = tagged & ~SCOPE_GO_BIT;
  switch (nr) {
  case NR_pread64:
    if (!tallied(s, f, READ)) after_read(s, f, tagged);
    return;
  case NR_recvfrom: after_recvfrom(s, f, tagged); return;
  case NR_readv: case NR_preadv: case NR_preadv2:
    if (!tallied(s, f, READ)) after_vector(s, f, tagged, f->a2, f->a3, 0);
    return;
  case NR_pwrite64: case NR_pwritev: case NR_pwritev2:
    if (!tallied(s, f, WRITE)) after_plain(s, f, tagged);
    return;
  case NR_recvmsg: {
    const struct msghdr *m = (const struct msghdr *)f->a2;
    if (f->result < 0) after_plain(s, f, tagged);
    else after_vector(s, f, tagged, m->iov, m->iov_count, m);
    return;
  }
  case NR_recvmmsg: after_messages(s, f, tagged, 1); return;
  case NR_sendmmsg: after_messages(s, f, tagged, 0); return;
  case NR_accept: case NR_accept4:
    set_class(s, f->result, SCOPE_CLASS_UNKNOWN);
    after_accept(s, f, tagged);
    return;
  case NR_open: case NR_openat: case NR_openat2: case NR_creat:
    set_class(s, f->result, SCOPE_CLASS_FILE);
    after_plain(s, f, tagged);
    return;
  case NR_socket: case NR_io_uring_setup:
    set_class(s, f->result, SCOPE_CLASS_UNKNOWN);
    after_plain(s, f, tagged);
    return;
  case NR_pipe: case NR_pipe2: after_descriptors(s, f, tagged, f->a1, SCOPE_CLASS_FILE); return;
  case NR_socketpair: after_descriptors(s, f, tagged, f->a4, SCOPE_CLASS_UNKNOWN); return;
  case NR_fcntl:
    if (f->a2 != F_DUPFD && f->a2 != F_DUPFD_CLOEXEC) return;
    __attribute__((fallthrough));
  case NR_dup: case NR_dup2: case NR_dup3:
    if (f->result >= 0) set_class(s, f->result, is_file(s, f->a1) ? SCOPE_CLASS_FILE : SCOPE_CLASS_UNKNOWN);
    after_plain(s, f, tagged);
    return;
  case NR_sendfile: case NR_splice: case NR_copy_file_range: after_args(s, f, tagged, f->a5, f->a6); return;
  case NR_fork: case NR_vfork: case NR_clone:
    if (nr == NR_clone && f->result == 0 && f->a1 & CLONE_THREAD) return; /* a new thread's first step */
    if (f->result > 0 && load(&s->vfork_who) == thread()) __atomic_store_n(&s->vfork_who, 0, __ATOMIC_RELAXED);
    after_plain(s, f, tagged);
    return;
  case NR_clone3: {
    if (f->result == 0) return; /* the child: its parent has told of it before the call */
    u64 flags = f->result > 0 && f->a2 >= 8 ? *(const u64 *)f->a1 : 0; /* where it failed, nobody has read them */
    if (f->result > 0 && load(&s->vfork_who) == thread()) __atomic_store_n(&s->vfork_who, 0, __ATOMIC_RELAXED);
    after_args(s, f, tagged, flags, 0);
    return;
  }
  case NR_mmap: case NR_mprotect: case NR_munmap: case NR_mremap: case NR_brk: case NR_madvise: case NR_pkey_mprotect:
    if (!memory_after(s, f, nr)) after_plain(s, f, tagged);
    return;
  case NR_close: case NR_close_range: case NR_exit: case NR_exit_group:
    if (tagged & SCOPE_GO_BIT) return; /* told before the call */
    if (nr == NR_close) set_class(s, (i64)(u32)f->a1, SCOPE_CLASS_UNKNOWN);
    after_plain(s, f, tagged);
    return;
  default: after_plain(s, f, tagged); return;
  }
}

HIDDEN void scope_post(const struct frame *f, struct scope_state *s, u32 tagged) {
  u32 nr = tagged & ~SCOPE_GO_BIT;
  if (likely(nr == NR_read)) {
    if (!tallied(s, f, READ)) after_read(s, f, tagged);
  } else if (likely(nr == NR_write || nr == NR_writev)) {
    if (!tallied(s, f, WRITE)) after_plain(s, f, tagged);
  } else if (likely(nr == NR_sendto)) {
    after_plain(s, f, tagged);
  } else {
    after_other(s, f, tagged);
  }
}

/* ---- before a call ------------------------------------------------------------------------------------------ */

OUT_OF_LINE before_plain(const struct scope_state *s, const struct frame *f, u32 nr) {
  struct writer w = begin_rare(s, f, nr, 0, 0);
  if (w.record) end(&w);
}

OUT_OF_LINE before_empty(const struct scope_state *s, const struct frame *f, u32 nr, u64 bytes) {
  uncopied(s, bytes);
  struct writer w = begin_rare(s, f, nr, 0, 0);
  if (!w.record) return;
  w.record->flags |= SCOPE_FLAG_NO_DATA;
  end(&w);
}

/* write, pwrite64, sendto. */
OUT_OF_LINE before_buffer(const struct scope_state *s, const struct frame *f, u32 nr, u64 address, u64 address_length) {
  if (!is_looked_at(s, f->a1)) {
    if (unlikely(s->timing)) before_plain(s, f, nr);
    return;
  }
  u64 n = most(s, f->a3), name = address ? least((u32)address_length, ADDR_LIMIT) : 0;
  if (unlikely(!readable(s, f->a2, n))) {
    before_empty(s, f, nr, f->a3);
    return;
  }
  if (name && !readable(s, address, name)) name = 0;
  struct writer w = begin(s, f, nr, 0, chunk_size(n) + (name ? chunk_size(name) : 0));
  if (!w.record) return;
  put(&w, SCOPE_CHUNK_DATA, 0, (const void *)f->a2, n);
  if (name) put(&w, SCOPE_CHUNK_ADDR, 0, (const void *)address, name);
  if (n < f->a3) w.record->flags |= SCOPE_FLAG_TRUNCATED;
  end(&w);
}

OUT_OF_LINE before_vector(const struct scope_state *s, const struct frame *f, u32 nr, u64 iov, u64 count, u64 address, u64 address_length) {
  if (!is_looked_at(s, f->a1)) {
    if (unlikely(s->timing)) before_plain(s, f, nr);
    return;
  }
  u64 seen = least(count, IOV_LIMIT);
  if (!readable(s, iov, seen * sizeof(struct iovec))) {
    before_empty(s, f, nr, 0);
    return;
  }
  u64 limit = most(s, s->capture_bytes), n = iov_bytes(iov, count, limit);
  u64 name = address ? least((u32)address_length, ADDR_LIMIT) : 0;
  int missed = 0;
  if (name && !readable(s, address, name)) name = 0;
  struct writer w = begin_rare(s, f, nr, 0, chunk_size(n) + (name ? chunk_size(name) : 0));
  if (!w.record) return;
  u8 *to = chunk_open(&w, SCOPE_CHUNK_DATA, 0);
  u64 done = gather(s, to, n, iov, count, 1, &missed);
  chunk_close(&w, done);
  if (name) put(&w, SCOPE_CHUNK_ADDR, 0, (const void *)address, name);
  if (missed) {
    uncopied(s, n - done);
    w.record->flags |= done ? SCOPE_FLAG_TRUNCATED : SCOPE_FLAG_NO_DATA;
  }
  if (done == limit || count > seen) w.record->flags |= SCOPE_FLAG_TRUNCATED;
  end(&w);
}

OUT_OF_LINE before_message(const struct scope_state *s, const struct frame *f, u32 nr) {
  const volatile struct msghdr *m = (const volatile struct msghdr *)f->a2;
  if (!readable(s, f->a2, sizeof *m)) before_empty(s, f, nr, 0);
  else before_vector(s, f, nr, m->iov, m->iov_count, m->name, m->name_length);
}

OUT_OF_LINE before_messages(const struct scope_state *s, const struct frame *f, u32 nr) {
  const volatile struct mmsghdr *m = (const volatile struct mmsghdr *)f->a2;
  u64 count = least((u32)f->a3, MESSAGE_LIMIT), extra = 0, upto = 0, limit = most(s, s->capture_bytes);
  if (!readable(s, f->a2, count * sizeof *m)) {
    before_empty(s, f, nr, 0);
    return;
  }
  for (; upto < count && extra < limit; upto++) {
    u64 iov = m[upto].header.iov, pieces = least(m[upto].header.iov_count, IOV_LIMIT);
    if (!readable(s, iov, pieces * sizeof(struct iovec))) break;
    extra += chunk_size(iov_bytes(iov, pieces, limit));
    if (m[upto].header.name) extra += chunk_size(least(m[upto].header.name_length, ADDR_LIMIT));
  }
  struct writer w = begin_rare(s, f, nr, 0, extra);
  if (!w.record) return;
  for (u64 i = 0; i < upto; i++) {
    u64 iov = m[i].header.iov, pieces = least(m[i].header.iov_count, IOV_LIMIT);
    u64 name = m[i].header.name, name_length = name ? least(m[i].header.name_length, ADDR_LIMIT) : 0;
    int missed = 0;
    if (!readable(s, iov, pieces * sizeof(struct iovec))) break;
    u64 n = iov_bytes(iov, pieces, limit);
    if (n > chunk_room(&w)) break;
    u8 *to = chunk_open(&w, SCOPE_CHUNK_DATA, (u16)i);
    chunk_close(&w, gather(s, to, n, iov, pieces, 1, &missed));
    if (missed) w.record->flags |= SCOPE_FLAG_TRUNCATED;
    if (name_length && readable(s, name, name_length))
      put(&w, SCOPE_CHUNK_ADDR, (u16)i, (const void *)name, name_length);
  }
  if (upto < (u32)f->a3) w.record->flags |= SCOPE_FLAG_TRUNCATED;
  end(&w);
}

/* One or two paths, and openat2's struct open_how {flags, mode, resolve}. */
OUT_OF_LINE before_paths(const struct scope_state *s, const struct frame *f, u32 nr, u64 first, u64 second, u64 how) {
  i64 n = path_length(s, first), m = second ? path_length(s, second) : -1;
  u64 extra = (n >= 0 ? chunk_size((u64)n) : 0) + (m >= 0 ? chunk_size((u64)m) : 0) + (how ? chunk_size(16) : 0);
  struct writer w = begin_rare(s, f, nr, 0, extra);
  if (!w.record) return;
  if (n >= 0) put(&w, SCOPE_CHUNK_PATH, 0, (const void *)first, (u64)n);
  else w.record->flags |= SCOPE_FLAG_NO_DATA;
  if (m >= 0) put(&w, SCOPE_CHUNK_PATH, 1, (const void *)second, (u64)m);
  if (how && readable(s, how, 16)) put(&w, SCOPE_CHUNK_ARGS, 0, (const void *)how, 16);
  if (n == PATH_LIMIT || m == PATH_LIMIT) w.record->flags |= SCOPE_FLAG_TRUNCATED;
  end(&w);
  if (n < 0) uncopied(s, 0);
}

OUT_OF_LINE before_address(const struct scope_state *s, const struct frame *f, u32 nr) {
  u64 n = least((u32)f->a3, ADDR_LIMIT);
  if (!n || !readable(s, f->a2, n)) {
    before_empty(s, f, nr, n);
    return;
  }
  struct writer w = begin_rare(s, f, nr, 0, chunk_size(n));
  if (!w.record) return;
  put(&w, SCOPE_CHUNK_ADDR, 0, (const void *)f->a2, n);
  end(&w);
}

/* vfork, clone, clone3: only children that run on our memory matter. */
OUT_OF_LINE before_child(struct scope_state *s, const struct frame *f, u32 nr) {
  u64 flags = CLONE_VM;
  if ((nr & ~SCOPE_GO_BIT) == NR_clone) flags = f->a1;
  if ((nr & ~SCOPE_GO_BIT) == NR_clone3) flags = f->a2 >= 8 && readable(s, f->a1, 8) ? *(const u64 *)f->a1 : 0;
  if ((flags & (CLONE_VM | CLONE_THREAD)) != CLONE_VM) return;
  __atomic_store_n(&s->vfork_who, thread(), __ATOMIC_RELAXED);
  before_plain(s, f, nr);
}

/* The child is about to leave our memory, if it is one. */
INLINE void leave_child(struct scope_state *s) {
  if (load(&s->vfork_who) == thread()) __atomic_store_n(&s->vfork_who, 0, __ATOMIC_RELAXED);
}

OUT_OF_LINE before_close_range(const struct scope_state *s, const struct frame *f, u32 nr) {
  enum { CLOEXEC = 4 };
  if (!((u32)f->a3 & CLOEXEC)) {
    u64 last = least((u32)f->a2, SCOPE_CLASS_COUNT - 1);
    for (u64 fd = (u32)f->a1; fd <= last; fd++) {
      u8 *class = (u8 *)s->class_table + fd;
      if (*class == SCOPE_CLASS_UNKNOWN) continue;
      *class = SCOPE_CLASS_UNKNOWN;
      settle(s, fd);
    }
  }
  before_plain(s, f, nr);
}

HIDDEN void scope_pre(const struct frame *f, struct scope_state *s, u32 tagged) {
  u32 nr = tagged & ~SCOPE_GO_BIT;
  if (likely(nr == NR_write)) {
    before_buffer(s, f, tagged, 0, 0);
    return;
  }
  switch (nr) {
  case NR_pwrite64: before_buffer(s, f, tagged, 0, 0); return;
  case NR_sendto: before_buffer(s, f, tagged, f->a5, f->a6); return;
  case NR_writev: case NR_pwritev: case NR_pwritev2: before_vector(s, f, tagged, f->a2, f->a3, 0, 0); return;
  case NR_sendmsg: before_message(s, f, tagged); return;
  case NR_sendmmsg: before_messages(s, f, tagged); return;
  case NR_execve: case NR_execveat:
    leave_child(s);
    before_paths(s, f, tagged, nr == NR_execve ? f->a1 : f->a2, 0, 0);
    return;
  case NR_open: case NR_creat: case NR_unlink: before_paths(s, f, tagged, f->a1, 0, 0); return;
  case NR_openat: case NR_unlinkat: before_paths(s, f, tagged, f->a2, 0, 0); return;
  case NR_openat2: before_paths(s, f, tagged, f->a2, 0, f->a4 >= 16 ? f->a3 : 0); return;
  case NR_rename: before_paths(s, f, tagged, f->a1, f->a2, 0); return;
  case NR_renameat: case NR_renameat2: before_paths(s, f, tagged, f->a2, f->a4, 0); return;
  case NR_connect: case NR_bind: before_address(s, f, tagged); return;
  case NR_close:
    set_class(s, (i64)(u32)f->a1, SCOPE_CLASS_UNKNOWN);
    before_plain(s, f, tagged);
    return;
  case NR_close_range: before_close_range(s, f, tagged); return;
  case NR_vfork: case NR_clone: case NR_clone3: before_child(s, f, tagged); return;
  case NR_exit: case NR_exit_group:
    leave_child(s);
    before_plain(s, f, tagged);
    return;
  default:
    if (!memory_before(s, f, nr)) before_plain(s, f, tagged);
    return;
  }
}

/* ---- calls under way ---------------------------------------------------------------------------------------- */

INLINE struct scope_slot *slot_at(const struct scope_state *s, u64 who, u32 frame, u32 probe) {
  u32 mixed = ((u32)(who >> 6) ^ frame >> 4) * 0x9e3779b1u;
  return &((struct scope_slot *)s->slots)[((mixed >> 20) + probe) & (SCOPE_SLOTS - 1)];
}

/* The slot that an earlier call left at the same place, or a free one, now taken. */
static struct scope_slot *take_slot(const struct scope_state *s, u64 who, u32 frame) {
  for (u32 i = 0; i < SCOPE_SLOT_PROBES; i++) {
    struct scope_slot *slot = slot_at(s, who, frame, i);
    u64 owner = load(&slot->who);
    if (owner == who && slot->frame == frame) return slot;
    if (owner == 0 && __atomic_compare_exchange_n(&slot->who, &owner, who, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      slot->frame = frame;
      return slot;
    }
  }
  return 0;
}

INLINE int has(const u64 *set, u32 nr) { return set[nr / 64] >> (nr % 64) & 1; }

HIDDEN void scope_keep(struct frame *f, struct scope_state *s, u32 nr, u64 entered) {
  if (nr >= SCOPE_NUMBERS || !has(scope_wanted, nr)) return;
  if (nr != NR_close && nr != NR_close_range && nr != NR_exit && nr != NR_exit_group) { /* told before the call */
    struct scope_slot *slot = take_slot(s, thread(), (u32)entered);
    if (likely(slot != 0)) {
      slot->number = nr;
      slot->arguments[0] = f->a1;
      slot->arguments[1] = f->a2;
      slot->arguments[2] = f->a3;
      slot->arguments[3] = f->a4;
      slot->arguments[4] = f->a5;
      slot->arguments[5] = f->a6;
    } else {
      struct frame unknown = {0};
      count_lost(ring_of(s, cpu() & s->ring_mask), &unknown, nr, 1);
    }
  }
  if (has(scope_before, nr) || (s->timing && has(scope_timed, nr))) scope_pre(f, s, nr);
}

HIDDEN void scope_kept(struct scope_state *s, u64 entered, i64 result) {
  u64 who = thread();
  for (u32 i = 0; i < SCOPE_SLOT_PROBES; i++) {
    struct scope_slot *slot = slot_at(s, who, (u32)entered, i);
    if (load(&slot->who) != who || slot->frame != (u32)entered) continue;
    const u64 *a = slot->arguments;
    struct frame f = {.a1 = a[0], .a2 = a[1], .a3 = a[2], .a4 = a[3], .a5 = a[4], .a6 = a[5], .result = result};
    u32 nr = slot->number;
    /* A child on our memory comes by first; its parent still needs the slot. */
    if (result || (nr != NR_vfork && nr != NR_clone && nr != NR_clone3)) {
      slot->frame = 0;
      __atomic_store_n(&slot->who, 0, __ATOMIC_RELEASE);
    }
    scope_post(&f, s, nr);
    return;
  }
}

/* ---- cancellation ------------------------------------------------------------------------------------------- */

/* Registers of an interrupted thread, as the kernel leaves them for a signal handler: struct sigcontext, which stands at 40
 * in struct ucontext. rt_sigframe has that right above the handler's return address (arch/x86/include/asm/sigframe.h). */
struct context { u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip; };

extern const u8 scope_head[] HIDDEN;
extern const u32 scope_unwind_table[2] HIDDEN;
extern const struct scope_area scope_areas[SCOPE_MAX_AREAS] HIDDEN;

/* The row for `pc`, and the start of its area. 0: it is not in code of ours. */
static const struct scope_unwind *row_of(u64 pc, u64 *area) {
  for (u32 i = 0; i < SCOPE_MAX_AREAS; i++) {
    u64 start = scope_areas[i].address;
    if (pc - start >= scope_areas[i].length) continue;
    const u32 *table = (const u32 *)(start + (u64)((const u8 *)scope_unwind_table - scope_head));
    const struct scope_unwind *rows = (const struct scope_unwind *)(start + table[0]);
    u32 low = 0, high = table[1];
    while (low < high) {
      u32 middle = (low + high) / 2;
      if (rows[middle].start <= pc - start) low = middle + 1;
      else high = middle;
    }
    *area = start;
    return low && rows[low - 1].depth != SCOPE_UNWIND_NONE ? &rows[low - 1] : 0;
  }
  return 0;
}

/* A thread is about to be cancelled, and its stack unwound from where a signal found it. glibc up to 2.40 lets that happen at
 * any instruction between two of its own around a system call; an unwinder that comes to one of ours knows no way on, and
 * the program's destructors would not run. So the thread is told to have been where the hook was entered from: the
 * registers that the unwinder looks at are set to what they were there. Nobody returns into the hook any more.
 * `entered`: the stack pointer at which the signal's handler was entered. */
HIDDEN void scope_cancelled(u64 entered) {
  enum { DEEPEST = 16, SIGCONTEXT = 8 + 40 };
  struct context *c = (struct context *)(entered + SIGCONTEXT);
  u64 kept[6] = {c->rbx, c->rbp, c->r12, c->r13, c->r14, c->r15}, sp = c->rsp, pc = c->rip, area = 0;
  for (int level = 0; level < DEEPEST; level++) {
    const struct scope_unwind *row = row_of(pc, &area);
    if (!row) return;
    sp += row->depth;
    if (row->resume) {
      c->rip = area + (u64)(i64)row->resume;
      c->rsp = sp;
      c->rbx = kept[0];
      c->rbp = kept[1];
      c->r12 = kept[2];
      c->r13 = kept[3];
      c->r14 = kept[4];
      c->r15 = kept[5];
      return;
    }
    for (int i = 0; i < 6; i++)
      if (row->saved[i]) kept[i] = *(const u64 *)(sp - 8 * row->saved[i]);
    pc = *(const u64 *)(sp - 8);
  }
}
