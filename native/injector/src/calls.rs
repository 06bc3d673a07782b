//! Which system calls are of interest, and what a hook around each must see.

/// What is needed around one call. `Before` hooks stand on the instruction before `syscall`, `After` on the one behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// After only.
    After,
    /// After; with a hook before where one fits, which adds what the call was given.
    AfterAndBefore,
    /// Before; after where no hook fits before (the order of close and reuse is then unproven).
    BeforeElseAfter,
    /// Before, if anything: it does not return, and that the process ends is told from outside as well.
    BeforeIfAny,
    /// Both where they fit, each useful alone.
    Either,
    /// Changes what memory is mapped: without the hook before it, nothing may be copied ahead of any call.
    MemoryBefore,
    MemoryBoth,
}

/// Linux x86-64 numbers (arch/x86/entry/syscalls/syscall_64.tbl), with what each needs.
pub const CALLS: &[(u32, &str, Need)] = &[
    (0, "read", Need::After),
    (1, "write", Need::AfterAndBefore),
    (2, "open", Need::AfterAndBefore),
    (3, "close", Need::BeforeElseAfter),
    (9, "mmap", Need::MemoryBoth),
    (10, "mprotect", Need::MemoryBoth),
    (11, "munmap", Need::MemoryBefore),
    (12, "brk", Need::MemoryBoth),
    (17, "pread64", Need::After),
    (18, "pwrite64", Need::AfterAndBefore),
    (19, "readv", Need::After),
    (20, "writev", Need::AfterAndBefore),
    (22, "pipe", Need::After),
    (25, "mremap", Need::MemoryBoth),
    (28, "madvise", Need::MemoryBefore),
    (32, "dup", Need::After),
    (33, "dup2", Need::After),
    (40, "sendfile", Need::After),
    (41, "socket", Need::After),
    (42, "connect", Need::AfterAndBefore),
    (43, "accept", Need::After),
    (44, "sendto", Need::AfterAndBefore),
    (45, "recvfrom", Need::After),
    (46, "sendmsg", Need::AfterAndBefore),
    (47, "recvmsg", Need::After),
    (48, "shutdown", Need::After),
    (49, "bind", Need::AfterAndBefore),
    (50, "listen", Need::After),
    (53, "socketpair", Need::After),
    (56, "clone", Need::Either),
    (57, "fork", Need::After),
    (58, "vfork", Need::Either),
    (59, "execve", Need::Either),
    (60, "exit", Need::BeforeIfAny),
    (72, "fcntl", Need::After),
    (82, "rename", Need::AfterAndBefore),
    (85, "creat", Need::AfterAndBefore),
    (87, "unlink", Need::AfterAndBefore),
    (231, "exit_group", Need::BeforeIfAny),
    (257, "openat", Need::AfterAndBefore),
    (263, "unlinkat", Need::AfterAndBefore),
    (264, "renameat", Need::AfterAndBefore),
    (275, "splice", Need::After),
    (288, "accept4", Need::After),
    (292, "dup3", Need::After),
    (293, "pipe2", Need::After),
    (295, "preadv", Need::After),
    (296, "pwritev", Need::AfterAndBefore),
    (299, "recvmmsg", Need::After),
    (307, "sendmmsg", Need::AfterAndBefore),
    (316, "renameat2", Need::AfterAndBefore),
    (322, "execveat", Need::Either),
    (326, "copy_file_range", Need::After),
    (327, "preadv2", Need::After),
    (328, "pwritev2", Need::AfterAndBefore),
    (329, "pkey_mprotect", Need::MemoryBefore),
    (IO_URING_SETUP, "io_uring_setup", Need::After),
    (435, "clone3", Need::Either),
    (436, "close_range", Need::BeforeElseAfter),
    (437, "openat2", Need::AfterAndBefore),
];

pub const MMAP: u32 = 9;
pub const MUNMAP: u32 = 11;
pub const BRK: u32 = 12;
pub const CLONE: u32 = 56;
pub const VFORK: u32 = 58;
pub const CLONE3: u32 = 435;
/// No C library makes it: what does, brings its own.
pub const IO_URING_SETUP: u32 = 425;
/// The number is known only as the call happens.
pub const BY_NUMBER: u32 = 0x7fff;

pub fn need(number: u32) -> Option<Need> {
    CALLS.iter().find(|c| c.0 == number).map(|c| c.2)
}

/// Calls during which a thread may wait for ever: it must then stand where the program put it, with nothing of ours below.
pub fn may_wait(number: u32) -> bool {
    const NEVER: &[&str] = &[
        "mmap",
        "mprotect",
        "munmap",
        "brk",
        "pipe",
        "mremap",
        "madvise",
        "dup",
        "dup2",
        "socket",
        "shutdown",
        "bind",
        "listen",
        "socketpair",
        "fork",
        "vfork",
        "fcntl",
        "rename",
        "unlink",
        "unlinkat",
        "renameat",
        "dup3",
        "pipe2",
        "renameat2",
        "pkey_mprotect",
    ];
    !NEVER.contains(&name(number))
}

/// Calls that need no hook before them but for their duration.
pub fn is_timed(number: u32) -> bool {
    const TIMED: &[&str] = &[
        "read",
        "pread64",
        "readv",
        "preadv",
        "preadv2",
        "recvfrom",
        "recvmsg",
        "recvmmsg",
        "sendfile",
        "splice",
        "copy_file_range",
    ];
    TIMED.contains(&name(number))
}

pub fn name(number: u32) -> &'static str {
    CALLS.iter().find(|c| c.0 == number).map_or("?", |c| c.1)
}

impl Need {
    pub fn is_memory(self) -> bool {
        matches!(self, Self::MemoryBefore | Self::MemoryBoth)
    }
}
