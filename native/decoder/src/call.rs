//! System call numbers, x86-64 (arch/x86/entry/syscalls/syscall_64.tbl): those that the payload records.
pub const READ: u16 = 0;
pub const WRITE: u16 = 1;
pub const OPEN: u16 = 2;
pub const CLOSE: u16 = 3;
pub const PREAD64: u16 = 17;
pub const PWRITE64: u16 = 18;
pub const READV: u16 = 19;
pub const WRITEV: u16 = 20;
pub const PIPE: u16 = 22;
pub const DUP: u16 = 32;
pub const DUP2: u16 = 33;
pub const SENDFILE: u16 = 40;
pub const SOCKET: u16 = 41;
pub const CONNECT: u16 = 42;
pub const ACCEPT: u16 = 43;
pub const SENDTO: u16 = 44;
pub const RECVFROM: u16 = 45;
pub const SENDMSG: u16 = 46;
pub const RECVMSG: u16 = 47;
pub const SHUTDOWN: u16 = 48;
pub const BIND: u16 = 49;
pub const LISTEN: u16 = 50;
pub const SOCKETPAIR: u16 = 53;
pub const CLONE: u16 = 56;
pub const FORK: u16 = 57;
pub const VFORK: u16 = 58;
pub const EXECVE: u16 = 59;
pub const EXIT: u16 = 60;
pub const FCNTL: u16 = 72;
pub const RENAME: u16 = 82;
pub const CREAT: u16 = 85;
pub const UNLINK: u16 = 87;
pub const EXIT_GROUP: u16 = 231;
pub const OPENAT: u16 = 257;
pub const UNLINKAT: u16 = 263;
pub const RENAMEAT: u16 = 264;
pub const SPLICE: u16 = 275;
pub const ACCEPT4: u16 = 288;
pub const DUP3: u16 = 292;
pub const PIPE2: u16 = 293;
pub const PREADV: u16 = 295;
pub const PWRITEV: u16 = 296;
pub const RECVMMSG: u16 = 299;
pub const SENDMMSG: u16 = 307;
pub const RENAMEAT2: u16 = 316;
pub const EXECVEAT: u16 = 322;
pub const COPY_FILE_RANGE: u16 = 326;
pub const PREADV2: u16 = 327;
pub const PWRITEV2: u16 = 328;
pub const IO_URING_SETUP: u16 = 425;
pub const CLONE3: u16 = 435;
pub const CLOSE_RANGE: u16 = 436;
pub const OPENAT2: u16 = 437;

/// Calls that make a process or a thread.
pub fn is_fork(number: u16) -> bool {
    matches!(number, FORK | VFORK | CLONE | CLONE3)
}

/// Calls that replace the program.
pub fn is_exec(number: u16) -> bool {
    matches!(number, EXECVE | EXECVEAT)
}

/// Calls whose PRE record acts by itself: no POST is waited for.
pub fn acts_before(number: u16) -> bool {
    matches!(number, CLOSE | CLOSE_RANGE | EXIT | EXIT_GROUP)
}

/// Calls whose POST record belongs to a PRE record, where there is one.
pub fn is_paired(number: u16) -> bool {
    matches!(
        number,
        WRITE
            | PWRITE64
            | WRITEV
            | PWRITEV
            | PWRITEV2
            | SENDTO
            | SENDMSG
            | SENDMMSG
            | OPEN
            | OPENAT
            | OPENAT2
            | CREAT
            | UNLINK
            | UNLINKAT
            | RENAME
            | RENAMEAT
            | RENAMEAT2
            | EXECVE
            | EXECVEAT
            | CONNECT
            | BIND
            // Where durations are asked for.
            | READ
            | PREAD64
            | READV
            | PREADV
            | PREADV2
            | RECVFROM
            | RECVMSG
            | RECVMMSG
            | SENDFILE
            | SPLICE
            | COPY_FILE_RANGE
    )
}
