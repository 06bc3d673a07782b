//! What can be told without touching the target: whether it can be scoped at all, and if not, why not.
use crate::procfs::{Mapping, Process, Status};
use crate::refusal::{Reason, Refusal, Result};

/// Checks the process in the order in which a person would want to hear of it.
pub fn check(process: &Process, privileged: bool) -> Result<(Status, Vec<Mapping>)> {
    let pid = process.pid;
    let status = process.status()?;
    let refuse = |reason, text: String| Err(Refusal::new(reason, text));
    match status.state {
        'Z' | 'X' => {
            return refuse(
                Reason::Zombie,
                format!(
                    "process {pid} has ended and only waits for its parent to notice (zombie); there is nothing left to scope"
                ),
            );
        }
        'T' => {
            return refuse(
                Reason::Stopped,
                format!("process {pid} is stopped (job control); continue it with `kill -CONT {pid}` and try again"),
            );
        }
        _ => {}
    }
    if process.is_kernel_thread() {
        return refuse(
            Reason::KernelThread,
            format!("process {pid} is a thread of the kernel: it runs no program that could be scoped"),
        );
    }
    if process.link("exe").is_err_and(|e| e.raw_os_error() == Some(libc::ENOENT)) {
        return refuse(Reason::ProcessExited, format!("process {pid} is ending; nothing is left to scope"));
    }
    // SAFETY: getpid has no preconditions.
    if status.tracer != 0 && status.tracer != unsafe { libc::getpid() } {
        return refuse(
            Reason::AlreadyTraced,
            format!("process {pid} is being traced by process {}: detach that debugger or tracer first", status.tracer),
        );
    }
    if !privileged {
        return refuse(Reason::NotRoot, "scoping a process needs root; run it with sudo".to_owned());
    }
    let header = process
        .file("exe", libc::O_RDONLY)
        .and_then(|mut f| {
            let mut bytes = [0u8; 20];
            std::io::Read::read_exact(&mut f, &mut bytes).map(|()| bytes)
        })
        .map_err(|e| Refusal::io(pid, "reading its executable", &e))?;
    if !header.starts_with(b"\x7fELF") {
        return refuse(Reason::UnsupportedArchitecture, format!("the executable of process {pid} is no ELF program"));
    }
    if header[4] == 1 {
        return refuse(
            Reason::ThirtyTwoBit,
            format!("process {pid} is a 32-bit program; only 64-bit x86 programs can be scoped"),
        );
    }
    if u16::from_le_bytes([header[18], header[19]]) != 62 {
        return refuse(
            Reason::UnsupportedArchitecture,
            format!("process {pid} is not an x86-64 program; other processors are not supported yet"),
        );
    }
    if status.shadow_stack {
        return refuse(
            Reason::UnsupportedArchitecture,
            format!("process {pid} runs with a shadow stack, which remote calls would break"),
        );
    }
    let maps = process.maps()?;
    if maps.is_empty() {
        return refuse(Reason::ProcessExited, format!("process {pid} ended meanwhile; nothing is left to scope"));
    }
    Ok((status, maps))
}

/// What the processor must know; without it the payload can't run.
pub fn processor() -> Result<bool> {
    // SAFETY: getauxval has no preconditions.
    let fsgsbase = unsafe { libc::getauxval(libc::AT_HWCAP2) } & 2 != 0;
    let rdtscp = std::arch::x86_64::__cpuid(0x8000_0001).edx >> 27 & 1 == 1;
    if !fsgsbase || !rdtscp {
        return Err(Refusal::new(
            Reason::UnsupportedArchitecture,
            "this processor or kernel lacks RDFSBASE (Linux 5.9) or RDTSCP, which name threads and time without a system call",
        ));
    }
    Ok(std::arch::x86_64::__cpuid_count(7, 0).ecx >> 22 & 1 == 1)
}
