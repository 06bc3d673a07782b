//! Takes a scope out of a process: after a session, or after a program like this one was killed at any point of its
//! work. What it finds tells what to do; it never assumes that the last one finished.
use crate::layout::PAGE;
use crate::plan::{Entry, Gadgets, Hook, Plan};
use crate::procfs::{Mapping, Process};
use crate::refusal::{Reason, Refusal, Result};
use crate::remote::{Memory, Worker};
use crate::scan::Window;
use crate::shared::SharedMemory;
use crate::world::{self, World};
use scope_abi as abi;
use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;

/// How often a thread is looked for in our code before the code is left where it is: for some 5 s.
const LAST_LOOK: u64 = 160;
/// The same before the hook for cancelled threads is taken out: for some 1 s.
const FIRST_LOOK: u64 = 36;

/// What is left of a scope in a process.
pub struct Remains {
    pub mappings: Vec<Mapping>,
    pub memory: Option<SharedMemory>,
    pub header: abi::Shared,
    pub sites: Vec<abi::Site>,
}

#[derive(Clone, Debug, Default)]
pub struct Mended {
    pub restored: usize,
    /// Sites that somebody else has changed since: left alone.
    pub foreign: usize,
    pub unmapped: bool,
    /// Why it is not: threads that were in the code until the end of our patience, as "tid 12 at 0x…, disk sleep".
    pub inside: Vec<String>,
    pub threads: usize,
    /// How long they stood still at a time.
    pub stopped: Duration,
}

impl Mended {
    /// Adds what another scope's end did.
    pub fn and(self, other: &Self) -> Self {
        Self {
            restored: self.restored + other.restored,
            foreign: self.foreign + other.foreign,
            unmapped: self.unmapped && other.unmapped,
            inside: [self.inside, other.inside.clone()].concat(),
            threads: self.threads.max(other.threads),
            stopped: self.stopped + other.stopped,
        }
    }
}

/// Which sites get their original bytes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restore {
    AllButCancellation,
    All,
}

/// Looks for memory of ours in the target: one for every scope that left some, mostly none or one. A scope whose code was
/// still in use when it ended stays beside the next one.
pub fn find(process: &Process, maps: &[Mapping]) -> Result<Vec<Remains>> {
    let mut by_file: BTreeMap<(&str, u64), Vec<Mapping>> = BTreeMap::new();
    for m in maps.iter().filter(|m| m.is_ring()) {
        by_file.entry((&m.device, m.inode)).or_default().push(m.clone());
    }
    let mut found = Vec::new();
    for mappings in by_file.into_values() {
        found.extend(open(process, mappings)?);
    }
    Ok(found)
}

/// `None`: all of it went away meanwhile. A thread that hung in its parachute when its caller was killed may be making the
/// last call only now.
fn open(process: &Process, mappings: Vec<Mapping>) -> Result<Option<Remains>> {
    for m in &mappings {
        match process.file(&format!("map_files/{:x}-{:x}", m.start, m.end), libc::O_RDWR) {
            Ok(file) => return read(&file, mappings).map(Some),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
            Err(e) => return Err(Refusal::io(process.pid, "opening the memory shared with it", &e)),
        }
    }
    Ok(None)
}

fn read(file: &File, mappings: Vec<Mapping>) -> Result<Remains> {
    let bytes = file.metadata().map_or(0, |m| m.len());
    if bytes < PAGE {
        return Ok(Remains { mappings, memory: None, header: abi::Shared::default(), sites: Vec::new() });
    }
    let memory = SharedMemory::map(file)?;
    let header = memory.header()?;
    if header.magic != abi::MAGIC {
        // Killed before the first word was written: no text was touched.
        return Ok(Remains { mappings, memory: Some(memory), header: abi::Shared::default(), sites: Vec::new() });
    }
    // A manifest that makes no sense ends early: its sites are put back by the program's file.
    let at = |i: u64| header.manifest.wrapping_add(i * size_of::<abi::Site>() as u64);
    let sites = (0..u64::from(header.site_count.min(1 << 20))).map_while(|i| memory.read(at(i)).ok()).collect();
    Ok(Remains { mappings, memory: Some(memory), header, sites })
}

impl Remains {
    /// Whether it was attached to this very process, rather than to the one that forked it.
    fn is_of(&self, process: &Process) -> bool {
        process.start_time().is_ok_and(|t| t == self.header.start_time)
    }

    /// Attached for real: the ring is mapped and the hooks are switched on. A forked child is not (its state page
    /// reads zero), nor is what a killed attach left.
    pub fn is_live(&self, process: &Process, memory: &Memory) -> bool {
        let mut enabled = [0u8; 4];
        self.header.state_value == abi::PHASE_ATTACHED
            && self.is_of(process)
            && memory.read(self.header.state_address, &mut enabled).is_ok()
            && u32::from_le_bytes(enabled) != 0
    }

    /// Puts the original text back, and removes the memory where no thread can still return to it.
    pub fn remove(
        &self,
        process: &Process,
        memory: &Memory,
        gadgets: Option<Gadgets>,
        plan: &Plan,
        suspend_seccomp: bool,
    ) -> Result<Mended> {
        let mut mended = Mended::default();
        // A scope that ended with its code still in use has put the text back already; it may be another's by now.
        if !(self.is_of(process) && self.header.state_value == abi::PHASE_DETACHED) {
            let restore = |what: Restore, mended: &mut Mended| -> Result<()> {
                let world = World::stop(process, suspend_seccomp)?;
                mended.threads = world.len();
                let restored = self.restore_text(memory, what, mended).and_then(|()| {
                    self.restore_by_file(memory, &plan.hooks, what, mended)?;
                    if what == Restore::All { self.tell_detached(process) } else { Ok(()) }
                });
                mended.stopped = mended.stopped.max(world.resume());
                restored
            };
            // A thread that is cancelled while it is still in our code is unwound whole as long as this hook stands.
            if self.has_cancellation(plan) {
                restore(Restore::AllButCancellation, &mut mended)?;
                self.wait_until_out(process, memory, suspend_seccomp, FIRST_LOOK)?;
            }
            restore(Restore::All, &mut mended)?;
        }
        mended.inside = self.wait_until_out(process, memory, suspend_seccomp, LAST_LOOK)?;
        if let (true, Some(gadgets)) = (mended.inside.is_empty(), gadgets) {
            let mut worker = Worker::find(process, memory, gadgets, suspend_seccomp, &plan.goroutine_calls)?;
            let done = self.unmap(process, &mut worker);
            worker.release()?;
            done?;
            mended.unmapped = true;
        }
        Ok(mended)
    }

    fn has_cancellation(&self, plan: &Plan) -> bool {
        self.sites.iter().any(|s| s.kind == abi::SITE_CANCELLED)
            || plan.hooks.iter().any(|h| h.entry == Entry::Cancelled)
    }

    /// No thread can get into our code any more. Those that are there leave it soon, unless a signal handler interrupted
    /// them and takes its time: who they are after all our patience.
    fn wait_until_out(
        &self,
        process: &Process,
        memory: &Memory,
        suspend_seccomp: bool,
        looks: u64,
    ) -> Result<Vec<String>> {
        let mut waiting = process.threads()?;
        let mut inside = Vec::new();
        for attempt in 0..looks {
            let mut still = Vec::new();
            inside.clear();
            let maps = process.maps()?;
            for tid in waiting {
                if let Some(place) = self.inside(process, memory, &maps, tid, suspend_seccomp)? {
                    inside.push(format!("thread {tid} {place}"));
                    still.push(tid);
                }
            }
            waiting = still;
            if waiting.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1 << attempt.min(5)));
        }
        Ok(inside)
    }

    fn tell_detached(&self, process: &Process) -> Result<()> {
        match &self.memory {
            Some(shared) if self.header.magic == abi::MAGIC && self.is_of(process) => {
                shared.write(std::mem::offset_of!(abi::Shared, state_value) as u64, &abi::PHASE_DETACHED)
            }
            _ => Ok(()),
        }
    }

    fn restore_text(&self, memory: &Memory, what: Restore, mended: &mut Mended) -> Result<()> {
        if self.mappings.iter().any(|m| self.has_state_behind(m)) {
            memory.write(self.header.state_address, &0u32.to_le_bytes())?;
        }
        let mut sites: Vec<&abi::Site> = self
            .sites
            .iter()
            .filter(|s| s.length > 0 && usize::from(s.length) <= abi::SITE_MAX)
            .filter(|s| what == Restore::All || s.kind != abi::SITE_CANCELLED)
            .collect();
        sites.sort_unstable_by_key(|s| s.address);
        for group in sites.chunk_by(|a, b| a.address / PAGE == b.address / PAGE) {
            restore_page(memory, group, mended)?;
        }
        Ok(())
    }

    /// The manifest is where the target can write. What still leads into our code is put back as the program's file has it.
    fn restore_by_file(&self, memory: &Memory, hooks: &[Hook], what: Restore, mended: &mut Mended) -> Result<()> {
        let wanted = hooks.iter().filter(|hook| what == Restore::All || hook.entry != Entry::Cancelled);
        for Window { address, bytes, .. } in wanted.map(|hook| &hook.window) {
            let mut now = vec![0u8; bytes.len()];
            if memory.read(*address, &mut now).is_ok() && now != *bytes && self.is_led_to(*address, &now) {
                memory.write(*address, bytes)?;
                mended.restored += 1;
            }
        }
        Ok(())
    }

    /// Whether the instruction is a jump or a call into our code.
    fn is_led_to(&self, address: u64, bytes: &[u8]) -> bool {
        let [0xe8 | 0xe9, a, b, c, d, ..] = *bytes else { return false };
        let to = address.wrapping_add(5).wrapping_add_signed(i32::from_le_bytes([a, b, c, d]).into());
        self.mappings.iter().any(|m| m.execute && (m.start..m.end).contains(&to))
    }

    /// Where a thread is in our code: right now, or below a signal handler that interrupted it there. Only that thread
    /// is stopped for the answer; once it is nowhere, it stays out.
    fn inside(
        &self,
        process: &Process,
        memory: &Memory,
        maps: &[Mapping],
        tid: i32,
        suspend_seccomp: bool,
    ) -> Result<Option<String>> {
        const STACKS: usize = 4;
        const DEEP: usize = 256 << 10;
        let (tracee, r) = match world::stop_one(process, tid, suspend_seccomp) {
            Ok(Some(stopped)) => stopped,
            Ok(None) => return Ok(None),
            // Nobody knows: then the code stays.
            Err(e) if e.reason == Reason::Timeout => return Ok(Some(e.message)),
            Err(e) => return Err(e),
        };
        let ours = |address: u64| self.mappings.iter().any(|m| m.execute && (m.start..m.end).contains(&address));
        if ours(r.rip) {
            return Ok(Some(format!("at {:#x}, system call {}", r.rip, r.orig_rax.cast_signed())));
        }
        // A handler on an alternate stack has left the stack on which it interrupted the thread: its frame names that.
        let (mut stacks, mut seen) = (vec![r.rsp], 0);
        while let (Some(&start), true) = (stacks.get(seen), seen < STACKS) {
            // Behind the end of its mapping begins another thread's.
            let room = maps.iter().find(|m| (m.start..m.end).contains(&start)).map_or(u64::MAX, |m| m.end - start);
            let words = stack_words(memory, start, DEEP.min(usize::try_from(room).unwrap_or(DEEP)));
            let end = start + 8 * words.len() as u64;
            for frame in signal_frames(&words, start).filter(|frame| frame.is_live(r.rsp)) {
                if ours(frame.rip) {
                    return Ok(Some(format!("at {:#x}, interrupted by a signal's handler", frame.rip)));
                }
                if !(start..end).contains(&frame.rsp) {
                    stacks.push(frame.rsp);
                }
            }
            seen += 1;
        }
        drop(tracee);
        Ok(None)
    }

    /// The page of the hooks' state has no name of its own: it is known by the code right before it, with which it comes
    /// and goes. Without that its place may be anybody's.
    fn has_state_behind(&self, m: &Mapping) -> bool {
        m.execute && m.end == self.header.state_address
    }

    fn unmap(&self, process: &Process, worker: &mut Worker<'_>) -> Result<()> {
        // What is gone by now may have given its place to another.
        let now = process.maps()?;
        let is_there = |m: &&Mapping| now.iter().any(|n| n.start == m.start && n.end == m.end && n.inode == m.inode);
        for m in self.mappings.iter().filter(is_there) {
            let end = if self.has_state_behind(m) { m.end + PAGE } else { m.end };
            let _ = worker.call(libc::SYS_munmap, [m.start, end - m.start, 0, 0, 0, 0])?;
        }
        Ok(())
    }
}

/// Puts back the sites of one page with a single write: it can't be cut in half.
fn restore_page(memory: &Memory, sites: &[&abi::Site], mended: &mut Mended) -> Result<()> {
    let (Some(first), Some(last)) = (sites.first(), sites.last()) else { return Ok(()) };
    let length = last.address - first.address + u64::from(last.length);
    let mut bytes = vec![0u8; usize::try_from(length).unwrap_or(0)];
    if length > PAGE + abi::SITE_MAX as u64 || memory.read(first.address, &mut bytes).is_err() {
        return Ok(()); // unmapped meanwhile (dlclose)
    }
    let mut changed = 0;
    for site in sites {
        let (at, n) = (usize::try_from(site.address - first.address).unwrap_or(0), usize::from(site.length));
        let now = &mut bytes[at..at + n];
        if *now == site.patched[..n] {
            now.copy_from_slice(&site.original[..n]);
            changed += 1;
        } else if *now != site.original[..n] {
            mended.foreign += 1;
        }
    }
    if changed > 0 {
        memory.write(first.address, &bytes)?;
        mended.restored += changed;
    }
    Ok(())
}

/// Where a signal handler's frame says that it interrupted its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interrupted {
    /// Where the frame itself lies.
    at: u64,
    /// The alternate stack of the thread when it was interrupted; empty without one.
    alternate: (u64, u64),
    rsp: u64,
    rip: u64,
}

impl Interrupted {
    /// A frame on an alternate stack that its thread has left (by siglongjmp) is what remains of one. Programs that have
    /// that stack inside another one keep it above their stack pointer.
    fn is_live(&self, rsp: u64) -> bool {
        let alternate = self.alternate.0..self.alternate.0.saturating_add(self.alternate.1);
        !alternate.contains(&self.at) || alternate.contains(&rsp)
    }
}

/// Whether a signal handler near the top of a stack has interrupted its thread at one of these addresses.
pub fn returns_to(memory: &Memory, rsp: u64, addresses: &[u64]) -> bool {
    const NEAR: usize = 16 << 10;
    signal_frames(&stack_words(memory, rsp, NEAR), rsp).any(|f| f.is_live(rsp) && addresses.contains(&f.rip))
}

/// Up to `bytes` of a stack, from its pointer upwards.
fn stack_words(memory: &Memory, from: u64, bytes: usize) -> Vec<u64> {
    let mut stack = vec![0u8; bytes];
    while memory.read(from, &mut stack).is_err() {
        stack.truncate(stack.len() / 2);
        if stack.len() < 64 {
            return Vec::new();
        }
    }
    stack.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap_or_default())).collect()
}

/// Signal frames among the words of a stack that starts at `start`, told by what the kernel writes into every one (struct ucontext): flags that
/// fit in four bits, no link, then at words 20 to 23 rsp, rip, the processor's flags (interrupts on, the reserved bit
/// set), and in one word cs, gs, fs and ss (0 before Linux 4.5).
fn signal_frames(words: &[u64], start: u64) -> impl Iterator<Item = Interrupted> + '_ {
    const SEGMENTS: [u64; 2] = [0x002b_0000_0000_0033, 0x33];
    const FLAGS_ALWAYS: u64 = 0x202;
    const FLAGS_LIMIT: u64 = 1 << 22;
    const SS_DISABLE: u64 = 2;
    words
        .windows(24)
        .enumerate()
        .filter(|(_, w)| SEGMENTS.contains(&w[23]) && w[22] & FLAGS_ALWAYS == FLAGS_ALWAYS && w[22] < FLAGS_LIMIT)
        .filter(|(_, w)| w[0] < 16 && w[1] == 0)
        .map(move |(index, w)| Interrupted {
            at: start + 8 * index as u64,
            alternate: if w[3] & SS_DISABLE == 0 { (w[2], w[4]) } else { (0, 0) },
            rsp: w[20],
            rip: w[21],
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack that holds what the kernel writes for a handler, from the word before it on.
    fn frame(link: u64, flags: u64, segments: u64) -> Vec<u64> {
        let mut words = vec![0x40_2000, 7, link];
        words.extend([0; 18]);
        words.extend([0x7ffd_0000, 0x40_1000, flags, segments, 0, 0]);
        words
    }

    const STACK: u64 = 0x7ffc_0000;

    fn found(words: &[u64]) -> Vec<Interrupted> {
        signal_frames(words, STACK).collect()
    }

    #[test]
    fn a_signal_frame_is_found_on_new_and_old_kernels() {
        let there = [Interrupted { at: STACK + 8, alternate: (0, 0), rsp: 0x7ffd_0000, rip: 0x40_1000 }];
        assert_eq!(found(&frame(0, 0x246, 0x002b_0000_0000_0033)), there);
        assert_eq!(found(&frame(0, 0x1_0287, 0x33)), there);
    }

    #[test]
    fn a_frame_on_an_alternate_stack_lives_as_long_as_its_thread_is_there() {
        let mut words = frame(0, 0x246, 0x33);
        (words[3], words[5]) = (STACK, 0x1000);
        let frame = found(&words)[0];
        assert_eq!(frame.alternate, (STACK, 0x1000));
        assert!(frame.is_live(STACK + 0x800));
        assert!(!frame.is_live(STACK - 0x800));
        assert!(Interrupted { at: STACK + 0x2000, ..frame }.is_live(STACK - 0x800), "on the thread's own stack");
    }

    #[test]
    fn a_number_that_looks_like_a_segment_is_none() {
        // A return address into our code and the descriptor 51, left on the stack by a call long over.
        assert_eq!(found(&frame(0, 0x40, 0x33)), []);
        assert_eq!(found(&frame(0x7ffd_0000, 0x246, 0x33)), []);
        assert_eq!(found(&frame(0, 0x246, 0x7_0000_0033)), []);
    }
}
