//! Calls that are under way when the scope is put in. Their hook before has not run, so what it would have kept is kept for
//! them while all threads stand still: the hook behind then finds it as if nothing had been different.
use crate::calls::{self, Need};
use crate::layout::Layout;
use crate::ptrace::Registers;
use crate::refusal::Result;
use crate::scan::SYSCALL_LENGTH;
use crate::shared::SharedMemory;
use scope_abi as abi;
use std::collections::BTreeMap;

/// Enough of a funnel's code to find, from a thread inside it, where the library's function was entered.
#[derive(Clone, Debug, Default)]
pub struct Underway {
    /// Behind the system call of a function that is hooked itself: bytes pushed since it was entered.
    pub sites: BTreeMap<u64, i64>,
    /// Behind a system call or a call inside the funnel: the same.
    pub inside: BTreeMap<u64, i64>,
    /// Behind a hooked `call` of the funnel: the same, in the function that calls.
    pub callers: BTreeMap<u64, i64>,
}

impl Underway {
    /// Where the stack pointer was when the library's function was entered in which the thread now waits. `read`: a word
    /// of its stack.
    fn entered(&self, read: impl Fn(u64) -> Option<u64>, r: &Registers) -> Option<u64> {
        const FRAMES: usize = 4;
        let (mut pc, mut sp) = (behind_call(r).1, r.rsp);
        for _ in 0..FRAMES {
            if let Some(&depth) = self.sites.get(&pc) {
                return Some(sp.wrapping_add_signed(depth));
            }
            let return_at = sp.wrapping_add_signed(*self.inside.get(&pc)?);
            pc = read(return_at)?;
            sp = return_at.wrapping_add(8);
            if let Some(&depth) = self.callers.get(&pc) {
                return Some(sp.wrapping_add_signed(depth));
            }
        }
        None
    }

    /// Fills a slot for each stopped thread that waits in a call of interest.
    pub fn keep<'r>(
        &self,
        shared: &SharedMemory,
        layout: &Layout,
        threads: impl Iterator<Item = &'r Registers>,
        read: impl Fn(u64) -> Option<u64>,
    ) -> Result<()> {
        for r in threads {
            let Some(number) = u32::try_from(behind_call(r).0).ok().filter(|&n| is_kept(n)) else { continue };
            let Some(entered) = self.entered(&read, r) else { continue };
            let slot = abi::Slot {
                who: r.fs_base,
                frame: entered as u32,
                number,
                arguments: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9],
            };
            for probe in 0..abi::SLOT_PROBES {
                let at = layout.slots + (slot_index(&slot, probe) * size_of::<abi::Slot>()) as u64;
                if shared.read::<abi::Slot>(at)?.who == 0 {
                    shared.write(at, &slot)?;
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The number of the call that a thread is in, or is just about to make (again), and the address behind it.
fn behind_call(r: &Registers) -> (i64, u64) {
    match r.orig_rax.cast_signed() {
        number @ 0.. => (number, r.rip),
        _ => (r.rax.cast_signed(), r.rip + SYSCALL_LENGTH),
    }
}

/// As `slot_at` of the payload.
fn slot_index(slot: &abi::Slot, probe: usize) -> usize {
    let mixed = ((slot.who >> 6) as u32 ^ slot.frame >> 4).wrapping_mul(0x9e37_79b1);
    ((mixed >> 20) as usize + probe) % abi::SLOTS
}

/// Calls that are told of behind: the others' hook before has been missed.
fn is_kept(number: u32) -> bool {
    calls::need(number)
        .is_some_and(|need| !matches!(need, Need::BeforeElseAfter | Need::BeforeIfAny | Need::MemoryBefore))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(rip: u64, rsp: u64) -> Registers {
        // SAFETY: plain integers.
        let zero: Registers = unsafe { std::mem::zeroed() };
        Registers { rip, rsp, ..zero }
    }

    #[test]
    fn a_thread_two_functions_deep_is_found() {
        let underway = Underway {
            sites: BTreeMap::new(),
            inside: BTreeMap::from([(0x100, 8), (0x200, 24)]),
            callers: BTreeMap::from([(0x300, 16)]),
        };
        // rsp 0x1000, 8 pushed: returns to 0x200 at 0x1008; there 24 pushed: returns to 0x300 at 0x1028; 16 pushed.
        let stack = BTreeMap::from([(0x1008, 0x200), (0x1028, 0x300)]);
        let read = |at: u64| stack.get(&at).copied();
        assert_eq!(underway.entered(read, &registers(0x100, 0x1000)), Some(0x1040));
        assert_eq!(underway.entered(read, &registers(0x104, 0x1000)), None);
    }

    #[test]
    fn a_site_of_its_own_needs_no_stack() {
        let underway = Underway { sites: BTreeMap::from([(0x100, 40)]), ..Underway::default() };
        assert_eq!(underway.entered(|_| None, &registers(0x100, 0x1000)), Some(0x1028));
    }
}
