//! What a thread has just made: another thread, a child on its memory (vfork, posix_spawn), or one with memory of its own.
use crate::procfs::Process;
use crate::ptrace::Tracee;
use crate::remote::Memory;

/// One who is born, as seen from its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    pub parent: i32,
    pub is_thread: bool,
    pub shares_memory: bool,
}

/// `maker` stands still at the event of the birth of `child`.
pub fn birth(parent: &Process, maker: &Tracee, child: i32) -> Birth {
    let is_thread = parent.file(&format!("task/{child}/status"), libc::O_RDONLY).is_ok();
    let shares_memory = is_thread
        || match have_one_memory(maker.tid, child) {
            Some(shares) => shares,
            None => asked_for_shared_memory(parent, maker),
        };
    Birth { parent: parent.pid, is_thread, shares_memory }
}

/// As the kernel says. `None`: it was built without kcmp(2), or doesn't tell us.
fn have_one_memory(a: i32, b: i32) -> Option<bool> {
    const KCMP_VM: i32 = 1;
    // SAFETY: a plain system call on numbers.
    match unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_VM, 0, 0) } {
        0 => Some(true),
        1..=3 => Some(false),
        _ => None,
    }
}

/// By the call that it is in: clone's flags, clone3's first word, or vfork.
fn asked_for_shared_memory(parent: &Process, maker: &Tracee) -> bool {
    const CLONE_VM: u64 = 0x100;
    let Ok(r) = maker.registers() else { return true };
    let flags = match i64::try_from(r.orig_rax).unwrap_or(-1) {
        libc::SYS_clone => r.rdi,
        libc::SYS_clone3 => Memory::open(parent).ok().and_then(|m| m.word(r.rdi)).unwrap_or(CLONE_VM),
        libc::SYS_fork => 0,
        _ => CLONE_VM,
    };
    flags & CLONE_VM != 0
}
