/* The memory that a target, the injector and the agent share: one layout, written down once.
 *
 * The Rust view (src/lib.rs) repeats these numbers and a test compiles this header and compares every
 * offset; payload, injector and decoder all refuse an `abi_version` other than their own.
 *
 * One memfd, "memfd:scope-ring", made by the target at the injector's wish and sized by the injector:
 *
 *   0           struct scope_shared      who, what, where (one page)
 *   rings_ctl   struct scope_ring[n]     cursors and loss counters, one per ring
 *   class       u8[SCOPE_CLASS_COUNT]    what a descriptor is, so that no more is copied than is of use
 *   tallies     struct scope_tally[SCOPE_TALLIES], right behind it: what was moved by descriptors of class FILE
 *   pagemap     struct scope_pagemap     which pages may be read before a call
 *   slots       struct scope_slot[]      calls under way whose arguments would be gone behind them
 *   manifest    struct scope_site[m]     every patched place with its original bytes
 *   code        payload + trampolines    mapped R-X near the text it serves, once per area
 *   rings       u8[n][ring_bytes]        records
 *
 * Whoever reads this from outside treats every byte as hostile: the target can write all of it.
 * All integers are little-endian; all offsets are bytes from the start of the memfd.
 */
#ifndef SCOPE_ABI_H
#define SCOPE_ABI_H

typedef unsigned char scope_u8;
typedef unsigned short scope_u16;
typedef unsigned int scope_u32;
typedef unsigned long long scope_u64;
typedef long long scope_i64;
typedef int scope_i32;

#define SCOPE_ABI_VERSION 2u
#define SCOPE_MAGIC 0x31474e5245504f53ull /* "SOPERNG1" */
#define SCOPE_MEMFD_NAME "scope-ring"

#define SCOPE_CLASS_COUNT 65536u
#define SCOPE_MAX_RINGS 64u
#define SCOPE_MAX_AREAS 8u
#define SCOPE_MAX_CAPTURE 65536u

/* How a descriptor is treated by the payload. A descriptor at or above SCOPE_CLASS_COUNT is UNKNOWN. */
#define SCOPE_CLASS_UNKNOWN 0u /* data captured */
#define SCOPE_CLASS_FILE 1u    /* a file, a pipe, a device: counts only, no data */
#define SCOPE_CLASS_OPAQUE 2u  /* a stream whose bytes the reader has no use for: a record behind each call, no data */

/* Descriptors below this one have a tally. */
#define SCOPE_TALLIES 4096u

/* Calls that read and wrote a descriptor of class FILE, and the bytes that they moved, since the tally was last taken: such
 * calls have no record of their own. Taken, by exchange with 0, by the hooks when the number changes hands (a record with
 * SCOPE_FLAG_TOTAL), and by the reader when it wants to know. Where that record can't be reserved the tally stays.
 */
struct scope_tally {
  scope_u64 read_calls;
  scope_u64 read_bytes;
  scope_u64 write_calls;
  scope_u64 write_bytes;
  scope_u64 pad[4];
};

struct scope_area {
  scope_u64 address; /* in the target */
  scope_u64 length;
};

/* At offset 0. Written by the injector before any site is patched, never by the payload.
 * Everything down to `state_value`, struct scope_site, and `enabled` at the start of the state, stay where they are in
 * every version: by them any version takes out any other's scope. */
struct scope_shared {
  scope_u64 magic;
  scope_u32 abi_version;
  scope_u32 site_count;
  scope_u64 manifest;      /* offset */
  scope_u64 state_address; /* of struct scope_state in the target */
  scope_u64 start_time;    /* /proc/PID/stat field 22: clock ticks since boot */
  scope_i32 pid;           /* as the injector saw it */
  scope_u32 state_value;   /* what the injector has done so far: SCOPE_PHASE_* */

  scope_u64 total_bytes;   /* of the memfd */
  scope_u64 ring_bytes;    /* of one ring: power of two */
  scope_u32 ring_count;    /* power of two, 1..SCOPE_MAX_RINGS; a record goes to ring (cpu & (count-1)) */
  scope_u32 capture_bytes; /* most data bytes that one record carries */
  scope_u64 rings_ctl;     /* offsets ... */
  scope_u64 class_table;
  scope_u64 pagemap;
  scope_u64 slots;
  scope_u64 code;
  scope_u64 rings;
  scope_u64 key;           /* random; see scope_record.commit */
  scope_u64 shared_address;/* where this memfd is mapped whole in the target */
  scope_u64 attach_tsc;
  scope_u64 go_tag;        /* see scope_state */
  scope_u64 code_bytes;    /* of one area's image */
  struct scope_area areas[SCOPE_MAX_AREAS];
  scope_u64 build;         /* a hash of the payload: who takes a scope over replaces another build's */
};

#define SCOPE_PHASE_MAPPED 1u   /* memory is there, no text was touched */
#define SCOPE_PHASE_PATCHING 2u /* any subset of the manifest's sites may be patched */
#define SCOPE_PHASE_ATTACHED 3u
#define SCOPE_PHASE_DETACHED 4u /* text is original again; memory left since a thread may still return to it */

#define SCOPE_TSC_SLACK 10000u

/* One ring's cursors. Positions only grow; the byte of position p lies at p & (ring_bytes - 1).
 *   writer: reserve by compare-and-swap on head, only while head + size - tail <= ring_bytes
 *   reader: owns tail; may move it to any committed record's end
 * A record never wraps: when it would, the writer reserves the ring's end along with it and fills that with one
 * SCOPE_KIND_PAD record; an end shorter than a record's header stays empty, and the reader steps over it.
 * The time stamp is taken after the reservation, but not serialised: a reader that orders by time allows
 * SCOPE_TSC_SLACK ticks for it.
 */
struct scope_ring {
  scope_u64 head;
  scope_u64 pad0[7];
  scope_u64 tail;
  scope_u64 pad1[7];
  /* Records that did not fit. Each dropped call is counted once, here, by what it would have said. */
  scope_u64 lost_records;
  scope_u64 lost_read_calls;  /* read, readv, pread64, preadv, preadv2 (any result) */
  scope_u64 lost_read_bytes;
  scope_u64 lost_write_calls; /* write, writev, pwrite64, pwritev, pwritev2 (any result) */
  scope_u64 lost_write_bytes;
  scope_u64 lost_recv_calls;  /* recvfrom, recvmsg, recvmmsg */
  scope_u64 lost_recv_bytes;
  scope_u64 lost_send_calls;  /* sendto, sendmsg, sendmmsg */
  scope_u64 lost_send_bytes;
  /* Data that was not copied since the page map did not vouch for it. The call's record is there, with
   * SCOPE_FLAG_NO_DATA. */
  scope_u64 uncopied_calls;
  scope_u64 uncopied_bytes;
  scope_u64 lost_transfer_calls; /* sendfile, splice, copy_file_range: read from one descriptor, written to another */
  scope_u64 lost_transfer_bytes;
  scope_u64 pad2[3];
};

/* A private page of the target (MADV_WIPEONFORK: a forked child reads zeros, so every hook in it is inert). */
struct scope_state {
  scope_u32 enabled; /* 0: every hook returns at its first branch */
  scope_u32 abi_version;
  scope_u64 shared;      /* address of the memfd's mapping */
  scope_u64 rings_ctl;   /* addresses ... */
  scope_u64 rings;
  scope_u64 class_table;
  scope_u64 pagemap;
  scope_u64 slots;
  scope_u64 ring_bytes;
  scope_u32 ring_mask;   /* ring_count - 1 */
  scope_u32 capture_bytes;
  scope_u64 key;
  scope_u64 go_tag;      /* random, low 16 bits zero; r12 = go_tag | nr between Go's two hooks */
  scope_u64 brk;         /* the program break, as last seen */
  scope_u64 vfork_who;   /* FS base of a thread whose vfork child runs on our memory, or 0 */
  scope_u64 mremap_who;  /* FS base of a thread inside mremap of memory that was covered, or 0 */
  scope_u32 timing;      /* not 0: durations are asked for; every call that moves bytes has timed records, none a tally */
  scope_u32 pad;
};

/* One record: 64 bytes, then `size - 64` bytes of chunks. Positions and sizes are multiples of 16.
 * It is there when commit == (position ^ key); anything else: not yet, or garbage.
 */
struct scope_record {
  scope_u64 commit;
  scope_u64 tsc;    /* taken after the reservation: what is reserved later is later. 0: as the record before it in its ring */
  scope_u64 who;    /* low 48 bits: FS base, the thread's name inside the target; high 16: system call number */
  scope_i64 result; /* as the kernel returned it (negative errno); 0 in a PRE record */
  scope_u32 size;   /* whole record */
  scope_u32 a1;     /* first argument, low 32 bits: mostly the descriptor */
  scope_u64 a2;
  scope_u64 a3;
  scope_u32 a4;     /* low 32 bits */
  scope_u8 kind;    /* SCOPE_KIND_* */
  scope_u8 flags;   /* SCOPE_FLAG_* */
  scope_u16 pad;
};

#define SCOPE_KIND_PAD 1u  /* fills a ring's end; only commit and size are set */
#define SCOPE_KIND_PRE 2u  /* before the call: what it was given (data to write, a path, an address to connect to) */
#define SCOPE_KIND_POST 3u /* after the call: its result, and what it read */

#define SCOPE_FLAG_TRUNCATED 1u /* a chunk holds less than the call moved */
#define SCOPE_FLAG_NO_DATA 2u   /* nothing was copied: the page map did not cover it */
#define SCOPE_FLAG_GO 4u        /* seen through Go's syscall package */
#define SCOPE_FLAG_TOTAL 8u     /* no call: ARGS is the tally of a1 (four words), as it was taken */

/* A chunk: 8 bytes of header, `length` bytes, padding to a multiple of 8. Type 0, or the record's end, ends the list. */
struct scope_chunk {
  scope_u16 type;   /* SCOPE_CHUNK_* */
  scope_u16 index;  /* DATA of recvmmsg/sendmmsg: the message's number; PATH: 0 or 1; else 0 */
  scope_u32 length; /* bytes present */
};

#define SCOPE_CHUNK_DATA 1u  /* bytes read or to be written, iovecs joined */
#define SCOPE_CHUNK_ADDR 2u  /* struct sockaddr: connect, bind, accept, sendto, recvfrom, ...msg */
#define SCOPE_CHUNK_PATH 3u  /* without the final NUL; index 1: the second path (rename) */
#define SCOPE_CHUNK_FDS 4u   /* two i32: pipe, pipe2, socketpair */
#define SCOPE_CHUNK_ARGS 5u  /* u64 each, call-specific: see the table below */
#define SCOPE_CHUNK_LENS 6u  /* u32 each: length of each message (sendmmsg, recvmmsg) */

/* What is recorded for each call (a1..a4 always):
 *
 *   POST with DATA: read pread64 readv preadv preadv2 recvfrom(+ADDR) recvmsg(+ADDR) recvmmsg(+LENS, DATA per message)
 *   PRE with DATA, then POST without: write pwrite64 writev pwritev pwritev2 sendto(+ADDR) sendmsg(+ADDR) sendmmsg
 *     (sendmmsg's POST carries LENS). No PRE for a descriptor of class FILE; where it has a tally, no POST either unless
 *     the call failed.
 *     The reader pairs a PRE with the next POST of the same who, a1 and a2; the call moved the first `result` bytes.
 *   PRE with PATH, then POST: open openat openat2 creat unlink unlinkat rename renameat renameat2 execve execveat
 *     (openat2: ARGS = flags, mode; renameat*: a1 = old dirfd, a3 = new dirfd, two PATHs)
 *   PRE with ADDR, then POST: connect bind
 *   POST with ADDR: accept accept4.   POST with FDS: pipe pipe2 socketpair
 *   POST: socket listen shutdown dup dup2 dup3 fcntl(F_DUPFD, F_DUPFD_CLOEXEC only)
 *   POST: sendfile splice copy_file_range (ARGS = a5, a6 where they matter)
 *   POST: fork vfork clone clone3 (in the parent: result = the child's pid; a1 = flags of clone; ARGS = flags of clone3)
 *   PRE: vfork, clone, clone3 (same), when the child shares memory and is no thread: what the same thread does until its
 *     execve or exit happens in a child with a descriptor table of its own.
 *     Go: a POST with result 0 says the same from inside the child, and the parent's POST ends it. A POST with a
 *     positive result always ends it.
 *   Where durations are asked for, also PRE, where a hook fits before the call: read pread64 readv preadv preadv2 recvfrom
 *     recvmsg recvmmsg sendfile splice copy_file_range, and write and its kin of a descriptor of class FILE.
 *   PRE: close close_range exit exit_group (the number may be reused as soon as the call runs).
 *     Where no hook fits before the call: POST instead.
 *   POST: mmap with PROT_EXEC of a file: new code to look at.
 */

/* Which pages may be read before a call runs: an open-addressed table of 2 MiB blocks.
 * key = address >> 21 (0: free; keys never leave). Slots are in groups of 32, one group for 64 MiB of addresses, so that
 * neighbours share pages of the table; which group is hashed, so that mappings far apart can't crowd each other out
 * whatever their addresses have in common. SCOPE_PAGEMAP_PROBES groups are tried; a block that finds no slot is not
 * covered.
 * `anonymous`: private anonymous memory is mapped there, whatever its protection (or a loaded program image).
 * `readable`: and it can be read. Set by the injector at attach and by hooks after mmap, mprotect, mremap and brk;
 * cleared by hooks before munmap, mremap, mprotect, brk, MADV_GUARD_INSTALL and MAP_FIXED take effect. File and shared
 * mappings stay out: another process can truncate them, and a read would then raise SIGBUS.
 */
#define SCOPE_PAGEMAP_BLOCKS 16384u
#define SCOPE_PAGEMAP_PROBES 16u
#define SCOPE_PAGEMAP_HASH(key) (((key) >> 5) * 0x9e3779b97f4a7c15ull)
/* Slot of `key` (64 bits) at its probe number `probe`: groups a hashed, odd step apart. */
#define SCOPE_PAGEMAP_SLOT(key, probe)                                                                                 \
  ((((SCOPE_PAGEMAP_HASH(key) >> 55) + (probe) * (SCOPE_PAGEMAP_HASH(key) >> 40 | 1)) & (SCOPE_PAGEMAP_BLOCKS / 32 - 1)) \
       << 5                                                                                                            \
   | ((key) & 31))

struct scope_block {
  scope_u64 key;
  scope_u64 readable[8]; /* one bit per 4 KiB page */
  scope_u64 anonymous[8];
};

struct scope_pagemap {
  struct scope_block blocks[SCOPE_PAGEMAP_BLOCKS];
};

/* A call under way, kept by the hook before it for the one behind it, where the C library's own function between them uses
 * up the registers. Found by thread and by the stack pointer at which the library's function was entered, so that a
 * signal handler's calls do not mix with those that it interrupted. A thread that is cancelled, or jumps out of a handler,
 * leaves its slot behind, for the next call at the same place. Where no slot is free the call is counted as lost.
 */
#define SCOPE_SLOTS 4096u
#define SCOPE_SLOT_PROBES 32u

struct scope_slot {
  scope_u64 who;   /* FS base; 0: free */
  scope_u32 frame; /* low half of the stack pointer */
  scope_u32 number;
  scope_u64 arguments[6];
};

/* One patched place. `original` and `patched` hold `length` bytes each. */
#define SCOPE_SITE_MAX 15u
struct scope_site {
  scope_u64 address;
  scope_u8 length;
  scope_u8 original[SCOPE_SITE_MAX];
  scope_u8 patched[SCOPE_SITE_MAX];
  scope_u8 kind; /* SCOPE_SITE_* */
};

#define SCOPE_SITE_POST 1u
#define SCOPE_SITE_PRE 2u
#define SCOPE_SITE_GO_CALL 3u
#define SCOPE_SITE_GO_POST 4u
#define SCOPE_SITE_AROUND 5u
#define SCOPE_SITE_CANCELLED 6u

/* How to get from an instruction of the payload, or of a trampoline, to where the program itself stood: the table in every
 * area's image, by ascending `start`. A row holds from there to the next one's start. All but `resume` is about the stack
 * pointer and the registers that a function must keep: rbx, rbp, r12, r13, r14, r15, in this order.
 */
struct scope_unwind {
  scope_u32 start;   /* offset in the image */
  scope_i32 resume;  /* 0: a function of the payload. Else a trampoline: where the program stood, from the area's start on */
  scope_u16 depth;   /* bytes from the stack pointer up to the caller's (0, the return address below it), or the program's */
  scope_u8 saved[6]; /* words from there down to where the register is kept; 0: it was not changed */
};

#define SCOPE_UNWIND_NONE 0xffffu /* depth: nothing of ours runs there */

#endif
