//! When a program that was just executed can be scoped: as soon as its C library is mapped, which is before any of its own
//! code has run.
//!
//! At the stop of the execve itself there is only the program and its dynamic loader. A static program, and one whose
//! loader is its C library (musl), are complete then. Otherwise the loader maps the libraries; glibc's then names the
//! thread's own memory to the kernel (arch_prctl(ARCH_SET_FS)), before anything of the libraries runs. What another loader
//! does is not known: then it is the first system call from outside of it, which itself goes untold.
use crate::module::names_libc;
use crate::procfs::{Mapping, Process};
use crate::ptrace::{SyscallStop, Tracee};
use crate::refusal::{Reason, Refusal, Result};
use std::ops::Range;

/// Far more than any loader makes: past it the program is let go.
const MOST_CALLS: u32 = 50_000;

pub enum Start {
    /// Where its first instruction is.
    AtEntry,
    ByLoader(Loading),
}

pub struct Loading {
    /// Where the loader is mapped, and the kernel's own page of code.
    inside: Vec<Range<u64>>,
    calls: u32,
    /// The call under way is one behind which all may be there.
    telling: Option<Telling>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    SetsThreadPointer,
    IsOutside,
}

/// How the program whose execve has just stopped begins.
pub fn start(process: &Process, maps: &[Mapping]) -> Result<Start> {
    let auxv = process.read("auxv").map_err(|e| Refusal::io(process.pid, "reading how it was started", &e))?;
    let Some(base) = loader_base(&auxv) else { return Ok(Start::AtEntry) };
    match maps.iter().find(|m| (m.start..m.end).contains(&base)) {
        Some(loader) if loader.is_file() && !names_libc(&loader.path) => Ok(Start::ByLoader(Loading::by(loader, maps))),
        _ => Ok(Start::AtEntry),
    }
}

/// AT_BASE of an auxiliary vector (getauxval(3)). `None`: there is no loader.
fn loader_base(auxv: &[u8]) -> Option<u64> {
    const AT_BASE: u64 = 7;
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    auxv.chunks_exact(16)
        .find(|pair| word(&pair[..8]) == AT_BASE)
        .map(|pair| word(&pair[8..]))
        .filter(|&base| base != 0)
}

impl Loading {
    fn by(loader: &Mapping, maps: &[Mapping]) -> Self {
        let is_inside = |m: &&Mapping| m.path == "[vdso]" || (&m.device, m.inode) == (&loader.device, loader.inode);
        Self { inside: maps.iter().filter(is_inside).map(|m| m.start..m.end).collect(), calls: 0, telling: None }
    }

    /// Takes note of a stop at a system call. True: the program is to be scoped now.
    ///
    /// # Errors
    /// Timeout where it never comes to that.
    pub fn step(&mut self, process: &Process, tracee: &Tracee) -> Result<bool> {
        const ARCH_PRCTL: u64 = 158;
        const ARCH_SET_FS: u64 = 0x1002;
        match tracee.syscall_stop()? {
            SyscallStop::Entry { number, first_argument, pc } => {
                self.calls += 1;
                if self.calls > MOST_CALLS {
                    return Err(Refusal::new(
                        Reason::Timeout,
                        format!("process {}: its program was not loaded after {MOST_CALLS} system calls", process.pid),
                    ));
                }
                self.telling = if (number, first_argument) == (ARCH_PRCTL, ARCH_SET_FS) {
                    Some(Telling::SetsThreadPointer)
                } else if !self.inside.iter().any(|range| range.contains(&pc)) {
                    Some(Telling::IsOutside)
                } else {
                    None
                };
                Ok(false)
            }
            SyscallStop::Exit => match self.telling.take() {
                Some(Telling::SetsThreadPointer) => {
                    Ok(process.maps()?.iter().any(|m| m.execute && names_libc(&m.path)))
                }
                Some(Telling::IsOutside) => Ok(true),
                None => Ok(false),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_is_where_the_vector_says() {
        let vector = |pairs: &[(u64, u64)]| -> Vec<u8> {
            pairs.iter().flat_map(|p| [p.0.to_le_bytes(), p.1.to_le_bytes()].concat()).collect()
        };
        assert_eq!(loader_base(&vector(&[(3, 64), (7, 0x7f00_0000_0000), (0, 0)])), Some(0x7f00_0000_0000));
        assert_eq!(loader_base(&vector(&[(3, 64), (7, 0), (0, 0)])), None);
        assert_eq!(loader_base(&vector(&[(0, 0)])), None);
        assert_eq!(loader_base(b"short"), None);
    }

    #[test]
    fn the_vdso_and_the_loader_are_not_outside() {
        let mapping = |start, inode, path: &str| Mapping {
            start,
            end: start + 0x1000,
            inode,
            device: "fe:00".into(),
            path: path.into(),
            ..Mapping::default()
        };
        let maps =
            [mapping(0x1000, 5, "/lib/ld.so"), mapping(0x3000, 0, "[vdso]"), mapping(0x5000, 6, "/lib/libc.so.6")];
        assert_eq!(Loading::by(&maps[0], &maps).inside, [0x1000..0x2000, 0x3000..0x4000]);
    }
}
