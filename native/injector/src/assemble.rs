//! Lays out one area of code: the payload, a trampoline for every hook, and the table that tells from each instruction of
//! them where the program stood (`struct scope_unwind`). Pure: bytes in, bytes out.
use crate::plan::{Entry, Hook};
use crate::refusal::{Refusal, Result};
use crate::scan::JUMP;
use scope_abi as abi;

pub const PAYLOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/payload.bin"));
/// Rows of the payload's own functions.
const PAYLOAD_ROWS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/unwind.bin"));

const HEAD_MAGIC: &[u8; 8] = b"SCPAYLD1";
const HEAD_STATE: usize = 16;
const HEAD_GO_TARGET: usize = 24;
const HEAD_FEATURES: usize = 32;
const HEAD_ENTRIES: usize = 40;
const HEAD_UNWIND: usize = 84;
const HEAD_AREAS: usize = 96;
/// Of `test %rax,%rax`.
const TEST_LENGTH: u64 = 3;
/// No trampoline is longer, with its rows.
pub const TRAMPOLINE_MAX: usize = 128 + 16 * ROWS_MAX;
const ROWS_MAX: usize = 12;

/// A patched place: where, and both versions of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pub address: u64,
    pub original: Vec<u8>,
    pub patched: Vec<u8>,
    pub kind: u8,
    /// The window is two instructions: where the second one is.
    pub seam: Option<u64>,
}

/// Bytes that an area with `hooks` hooks takes, a multiple of the page.
pub fn area_bytes(hooks: usize) -> usize {
    (PAYLOAD.len().next_multiple_of(64) + PAYLOAD_ROWS.len() + hooks * TRAMPOLINE_MAX + 64).next_multiple_of(4096)
}

/// What the images of all areas have in common.
#[derive(Clone, Debug)]
pub struct Common {
    /// Address of the hooks' state.
    pub state: u64,
    /// The processor knows RDPID.
    pub has_rdpid: bool,
    /// Where the images will be.
    pub areas: Vec<abi::Area>,
}

/// Builds the image for an area at `base` and the patches that lead to it.
///
/// # Errors
/// InternalError where a distance does not fit in 32 bits: the area was placed too far away.
pub fn assemble(base: u64, hooks: &[&Hook], common: &Common) -> Result<(Vec<u8>, Vec<Patch>)> {
    if !PAYLOAD.starts_with(HEAD_MAGIC) || word(HEAD_MAGIC.len()) != abi::ABI_VERSION {
        return Err(Refusal::internal("the payload inside this program is not of its own version; build it again"));
    }
    let mut image = PAYLOAD.to_vec();
    image.resize(image.len().next_multiple_of(64), 0xcc);
    image[HEAD_STATE..HEAD_STATE + 8].copy_from_slice(&common.state.to_le_bytes());
    image[HEAD_FEATURES..HEAD_FEATURES + 4].copy_from_slice(&u32::from(common.has_rdpid).to_le_bytes());
    for (area, at) in common.areas.iter().take(abi::MAX_AREAS).zip((HEAD_AREAS..).step_by(size_of::<abi::Area>())) {
        image[at..at + 8].copy_from_slice(&area.address.to_le_bytes());
        image[at + 8..at + 16].copy_from_slice(&area.length.to_le_bytes());
    }
    if let Some(go) = hooks.iter().find(|h| h.entry == Entry::GoCall) {
        image[HEAD_GO_TARGET..HEAD_GO_TARGET + 8].copy_from_slice(&go.callee.to_le_bytes());
    }
    let mut patches = Vec::with_capacity(hooks.len());
    let mut rows = PAYLOAD_ROWS.to_vec();
    for hook in hooks {
        let w = &hook.window;
        let target = if hook.entry == Entry::GoCall {
            base + u64::from(entry_offset(hook.entry))
        } else {
            let at = base + image.len() as u64;
            let Trampoline { mut code, rows: more, .. } = trampoline(hook, at, base)?;
            code.resize(code.len().next_multiple_of(16), 0xcc);
            image.extend_from_slice(&code);
            rows.extend(more.iter().flat_map(abi::Unwind::to_bytes));
            at
        };
        // A call that is replaced stays a call, a jump a jump.
        let opcode = if hook.callee == 0 { JMP } else { w.bytes[0] };
        let mut patched = vec![opcode];
        patched.extend_from_slice(&relative(w.address + JUMP as u64, target)?);
        patched.resize(w.bytes.len(), 0x90);
        patches.push(Patch {
            address: w.address,
            original: w.bytes.clone(),
            patched,
            seam: w.less_than.map(|_| w.address + TEST_LENGTH),
            kind: match hook.entry {
                Entry::Before
                | Entry::Entered
                | Entry::Keep
                | Entry::KeepCancel
                | Entry::KeepCp
                | Entry::BeforeClone => abi::SITE_PRE,
                Entry::After | Entry::Kept | Entry::KeptReturn => abi::SITE_POST,
                Entry::Around | Entry::AroundAfter => abi::SITE_AROUND,
                Entry::Cancelled => abi::SITE_CANCELLED,
                Entry::GoCall => abi::SITE_GO_CALL,
                Entry::GoAfter => abi::SITE_GO_POST,
            },
        });
    }
    let end = offset(image.len())?;
    rows.extend(abi::Unwind { start: end, depth: abi::UNWIND_NONE, ..abi::Unwind::default() }.to_bytes());
    let count = offset(rows.len() / size_of::<abi::Unwind>())?;
    image[HEAD_UNWIND..HEAD_UNWIND + 4].copy_from_slice(&end.to_le_bytes());
    image[HEAD_UNWIND + 4..HEAD_UNWIND + 8].copy_from_slice(&count.to_le_bytes());
    image.extend_from_slice(&rows);
    image.resize(area_bytes(hooks.len()).max(image.len().next_multiple_of(4096)), 0xcc);
    Ok((image, patches))
}

/// Names the payload inside this program among all others: FNV-1a.
pub fn build() -> u64 {
    PAYLOAD.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn offset(at: usize) -> Result<u32> {
    u32::try_from(at).map_err(|_| Refusal::internal("an image of more than 4 GiB"))
}

fn word(at: usize) -> u32 {
    u32::from_le_bytes([PAYLOAD[at], PAYLOAD[at + 1], PAYLOAD[at + 2], PAYLOAD[at + 3]])
}

fn entry_offset(entry: Entry) -> u32 {
    let index = match entry {
        Entry::After | Entry::Around | Entry::AroundAfter => 0,
        Entry::Before | Entry::Entered => 1,
        Entry::GoAfter => 2,
        Entry::GoCall => 3,
        Entry::Keep => 4,
        Entry::KeepCancel => 5,
        Entry::KeepCp => 6,
        Entry::Kept => 7,
        Entry::KeptReturn => 8,
        Entry::BeforeClone => 9,
        Entry::Cancelled => 10,
    };
    word(HEAD_ENTRIES + 4 * index)
}

fn relative(from_end: u64, to: u64) -> Result<[u8; 4]> {
    i32::try_from(to.wrapping_sub(from_end).cast_signed())
        .map(i32::to_le_bytes)
        .map_err(|_| Refusal::internal(format!("{to:#x} is out of reach of {from_end:#x}")))
}

/// One trampoline, as it grows.
struct Trampoline<'a> {
    hook: &'a Hook,
    at: u64,
    base: u64,
    code: Vec<u8>,
    rows: Vec<abi::Unwind>,
    /// Where the program stands, as far as anybody else is to know.
    resume: u64,
    /// Bytes on its stack that are ours.
    depth: u16,
}

const JMP: u8 = 0xe9;
const CALL: u8 = 0xe8;
const RED_ZONE: i64 = 128;

/// One trampoline at address `at`. Before a call the displaced instruction runs first (it may set an argument);
/// after a call it runs last (it may set the flags that the next instruction reads).
fn trampoline(hook: &Hook, at: u64, base: u64) -> Result<Trampoline<'_>> {
    let w = &hook.window;
    let behind = w.address + w.bytes.len() as u64;
    // What is called or jumped to instead of another function is as if that one had just been entered.
    let resume = if hook.callee == 0 { w.address } else { hook.callee };
    let code = Vec::with_capacity(TRAMPOLINE_MAX);
    let mut t = Trampoline { hook, at, base, code, rows: Vec::new(), resume, depth: 0 };
    t.stands()?;
    match hook.entry {
        Entry::Before | Entry::Keep => {
            t.displaced()?;
            t.code.extend_from_slice(&w.ahead);
            t.enter(hook.entry)?;
            t.branch(JMP, behind)?;
        }
        Entry::Around | Entry::AroundAfter => {
            t.displaced()?;
            t.code.extend_from_slice(&w.ahead);
            if hook.entry == Entry::Around {
                t.enter(Entry::Before)?;
            }
            t.code.extend_from_slice(&[0x0f, 0x05]); // syscall
            t.resume = behind + w.ahead.len() as u64 + 2;
            t.stands()?;
            t.enter(Entry::After)?;
            t.branch(JMP, behind + w.ahead.len() as u64 + 2)?;
        }
        Entry::Entered | Entry::After | Entry::GoAfter | Entry::GoCall | Entry::Kept | Entry::Cancelled => {
            t.enter(hook.entry)?;
            t.displaced()?;
            if !w.returns {
                t.branch(JMP, behind)?;
            }
        }
        Entry::KeepCancel | Entry::KeepCp => {
            t.code.push(0xb8); // mov $distance,%eax
            t.distance(16)?; // two calls deep
            t.branch(CALL, base + u64::from(entry_offset(hook.entry)))?;
            t.branch(JMP, hook.callee)?;
        }
        Entry::BeforeClone => {
            t.branch(CALL, base + u64::from(entry_offset(hook.entry)))?;
            t.branch(JMP, hook.callee)?;
        }
        Entry::KeptReturn => {
            t.code.push(0xb9); // mov $distance,%ecx
            t.distance(if w.bytes[0] == CALL { 16 } else { 8 })?;
            t.branch(CALL, base + u64::from(entry_offset(hook.entry)))?;
            t.branch(JMP, hook.callee)?;
        }
    }
    Ok(t)
}

impl Trampoline<'_> {
    /// From here on the program stands at `resume`, with `depth` bytes of ours on its stack.
    fn stands(&mut self) -> Result<()> {
        let at = self.at + self.code.len() as u64 - self.base;
        let row = abi::Unwind {
            start: offset(usize::try_from(at).unwrap_or(usize::MAX))?,
            resume: i32::from_le_bytes(relative(self.base, self.resume)?),
            depth: self.depth,
            saved: [0; 6],
        };
        self.rows.push(row);
        Ok(())
    }

    /// An instruction that moves the stack pointer down by so many bytes.
    fn moves(&mut self, bytes: i16, code: &[u8]) -> Result<()> {
        self.code.extend_from_slice(code);
        self.depth = self.depth.wrapping_add_signed(bytes);
        self.stands()
    }

    fn branch(&mut self, opcode: u8, to: u64) -> Result<()> {
        self.code.push(opcode);
        let end = self.at + self.code.len() as u64 + 4;
        self.code.extend_from_slice(&relative(end, to)?);
        Ok(())
    }

    /// The displaced instruction, made to mean the same here.
    fn displaced(&mut self) -> Result<()> {
        let w = &self.hook.window;
        let start = self.code.len();
        if let Some(target) = w.less_than {
            self.code.extend_from_slice(&[0x48, 0x85, 0xc0, 0x0f, 0x8c]); // test %rax,%rax; jl
            let end = self.at + self.code.len() as u64 + 4;
            self.code.extend_from_slice(&relative(end, target)?);
            self.resume = w.address + w.bytes.len() as u64;
            return self.stands();
        }
        let own = if w.returns { &w.bytes[..1] } else { &w.bytes[..] };
        self.code.extend_from_slice(own);
        if let Some((offset, target)) = w.relative {
            let bytes = relative(self.at + self.code.len() as u64, target)?;
            self.code[start + offset..start + offset + 4].copy_from_slice(&bytes);
        }
        self.resume = w.address + w.bytes.len() as u64;
        self.stands()
    }

    /// The call of the payload, with the red zone and the flags kept.
    fn enter(&mut self, entry: Entry) -> Result<()> {
        // Go keeps no red zone, and its stacks are short.
        let red_zone = entry != Entry::GoAfter;
        let keep_flags = self.hook.window.keep_flags;
        if red_zone {
            self.moves(128, &[0x48, 0x8d, 0x64, 0x24, 0x80])?; // lea -128(%rsp),%rsp
        }
        if keep_flags {
            self.moves(8, &[0x9c])?; // pushfq
        }
        let keep_rcx = entry == Entry::Entered;
        if keep_rcx {
            self.moves(8, &[0x51])?; // push %rcx: the fourth argument
        }
        self.code.push(0xb9); // mov $number,%ecx
        if matches!(entry, Entry::Keep | Entry::Kept | Entry::Cancelled) {
            self.distance(RED_ZONE + 8 + i64::from(keep_flags) * 8)?;
        } else {
            self.code.extend_from_slice(&self.hook.number.to_le_bytes());
        }
        self.branch(CALL, self.base + u64::from(entry_offset(entry)))?;
        if keep_rcx {
            self.moves(-8, &[0x59])?; // pop %rcx
        }
        if keep_flags {
            self.moves(-8, &[0x9d])?; // popfq
        }
        if red_zone {
            self.moves(-128, &[0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0])?; // lea 128(%rsp),%rsp
        }
        Ok(())
    }

    /// From the stack pointer in the payload's entry, `own` bytes below the window's, to where it was when the function
    /// was entered.
    fn distance(&mut self, own: i64) -> Result<()> {
        let depth = self.hook.window.depth.ok_or_else(|| Refusal::internal("a hook without a known stack depth"))?;
        let distance = u32::try_from(depth + own).map_err(|_| Refusal::internal("a stack depth below zero"))?;
        self.code.extend_from_slice(&distance.to_le_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Window;
    use iced_x86::{Decoder, DecoderOptions, FlowControl};
    use std::collections::{BTreeMap, BTreeSet};

    fn hook(entry: Entry, bytes: &[u8]) -> Hook {
        let window = Window {
            address: 0x10_0000,
            bytes: bytes.to_vec(),
            relative: None,
            ahead: Vec::new(),
            less_than: None,
            keep_flags: false,
            returns: false,
            depth: None,
        };
        Hook { window, entry, number: 0, callee: if entry == Entry::GoCall { 0x20_0000 } else { 0 } }
    }

    fn common() -> Common {
        Common { state: 0x4000, has_rdpid: true, areas: vec![abi::Area { address: 0x30_0000, length: 0x8000 }] }
    }

    /// Where the program is said to stand when a thread is at `pc`, and how much of the stack is ours: as `row_of` in
    /// payload.c finds it.
    fn stands(image: &[u8], pc: usize) -> Option<(u64, u16)> {
        let u32_at = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().expect("four"));
        let (from, count) = (u32_at(HEAD_UNWIND) as usize, u32_at(HEAD_UNWIND + 4) as usize);
        let rows = (0..count).map(|i| from + i * size_of::<abi::Unwind>());
        let row = rows.take_while(|&row| u32_at(row) as usize <= pc).last()?;
        let depth = u16::from_le_bytes([image[row + 8], image[row + 9]]);
        let resume = u32_at(row + 4).cast_signed();
        (depth != abi::UNWIND_NONE && resume != 0).then(|| (0x30_0000u64.wrapping_add_signed(resume.into()), depth))
    }

    fn trampoline_of(patch: &Patch) -> usize {
        let jump = i32::from_le_bytes(patch.patched[1..5].try_into().expect("four"));
        (patch.address as i64 + 5 + i64::from(jump) - 0x30_0000) as usize
    }

    #[test]
    fn every_instruction_of_a_trampoline_tells_where_the_program_stood() {
        let mut h = hook(Entry::After, &[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff]);
        h.window.keep_flags = true;
        let (image, patches) = assemble(0x30_0000, &[&h], &common()).expect("assembles");
        let at = trampoline_of(&patches[0]);
        let site = 0x10_0000;
        // lea, pushfq, mov, call, popfq, lea, the displaced one, jmp.
        let expected =
            [(0, site, 0), (5, site, 128), (6, site, 136), (11, site, 136), (16, site, 136), (17, site, 128)];
        for (offset, resume, depth) in expected {
            assert_eq!(stands(&image, at + offset), Some((resume, depth)), "at {offset}");
        }
        assert_eq!(stands(&image, at + 25), Some((site, 0)), "before the displaced instruction");
        assert_eq!(stands(&image, at + 31), Some((site + 6, 0)), "behind it");
        assert_eq!(stands(&image, at + 48), None, "nothing of ours runs there");
    }

    #[test]
    fn what_replaces_a_call_stands_where_the_callee_begins() {
        let mut h = hook(Entry::KeepCancel, &[0xe8, 1, 2, 3, 4]);
        (h.callee, h.window.depth) = (0x20_0000, Some(40));
        let (image, patches) = assemble(0x30_0000, &[&h], &common()).expect("assembles");
        for offset in [0, 5, 10] {
            assert_eq!(stands(&image, trampoline_of(&patches[0]) + offset), Some((0x20_0000, 0)));
        }
    }

    #[test]
    fn rows_of_the_payload_ascend_and_reach_through_all_of_its_code() {
        let starts: Vec<u32> = PAYLOAD_ROWS
            .chunks_exact(size_of::<abi::Unwind>())
            .map(|row| u32::from_le_bytes(row[..4].try_into().expect("four")))
            .collect();
        assert!(starts.is_sorted_by(|a, b| a < b));
        assert!(starts.len() > 100 && (*starts.last().expect("some") as usize) <= PAYLOAD.len());
        for index in 0..=10 {
            assert!(starts.contains(&word(HEAD_ENTRIES + 4 * index)), "entry {index} has its row");
        }
    }

    /// Most bytes of stack between `at` and the deepest place that control comes to from there.
    fn deepest(at: u64, known: &mut BTreeMap<u64, u64>) -> u64 {
        if let Some(&bytes) = known.get(&at) {
            return bytes;
        }
        known.insert(at, 0); // none calls itself
        let rows: Vec<(u64, u64)> = PAYLOAD_ROWS
            .chunks_exact(size_of::<abi::Unwind>())
            .map(|r| (u32::from_le_bytes([r[0], r[1], r[2], r[3]]).into(), u16::from_le_bytes([r[8], r[9]]).into()))
            .collect();
        let depth_at = |pc: u64| rows[rows.partition_point(|&(start, _)| start <= pc) - 1].1;
        let (mut most, mut seen, mut work) = (0, BTreeSet::new(), vec![at]);
        while let Some(start) = work.pop() {
            let from = usize::try_from(start).expect("small");
            let mut decoder = Decoder::with_ip(64, &PAYLOAD[from..], start, DecoderOptions::NONE);
            loop {
                let i = decoder.decode();
                if !seen.insert(i.ip()) {
                    break;
                }
                let depth = depth_at(i.ip());
                assert_ne!(depth, u64::from(abi::UNWIND_NONE), "{:#x} is in no function", i.ip());
                most = most.max(depth);
                match i.flow_control() {
                    FlowControl::Call => most = most.max(depth + deepest(i.near_branch_target(), known)),
                    FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                        work.push(i.near_branch_target());
                    }
                    FlowControl::Next | FlowControl::Return | FlowControl::IndirectBranch => {}
                    other => panic!("{other:?} at {:#x}", i.ip()),
                }
                if !matches!(i.flow_control(), FlowControl::Next | FlowControl::Call | FlowControl::ConditionalBranch) {
                    break;
                }
            }
        }
        known.insert(at, most);
        most
    }

    /// Go lets functions that do not look at the stack's end use 800 bytes (runtime.StackLimit). Between the last that
    /// looks and its system call lie syscall.Syscall, RawSyscall6 and Syscall6: less than 250.
    #[test]
    fn a_goroutine_has_room_for_every_way_through_the_payload() {
        for entry in [Entry::GoAfter, Entry::GoCall] {
            let bytes = deepest(entry_offset(entry).into(), &mut BTreeMap::new());
            assert!((200..=448).contains(&bytes), "{entry:?}: {bytes} bytes");
        }
    }

    #[test]
    fn an_after_hook_runs_the_displaced_compare_last_and_jumps_behind_it() {
        let compare = [0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff];
        let h = hook(Entry::After, &compare);
        let (image, patches) = assemble(0x30_0000, &[&h], &common()).expect("assembles");
        assert_eq!(image.len() % 4096, 0);
        let patch = &patches[0];
        assert_eq!((patch.patched[0], patch.patched[5]), (0xe9, 0x90));
        let at = trampoline_of(patch);
        assert_eq!(&image[at..at + 5], &[0x48, 0x8d, 0x64, 0x24, 0x80]);
        let tail = at + 5 + 5 + 5 + 8;
        assert_eq!(&image[tail..tail + 6], &compare);
        let back = i32::from_le_bytes(image[tail + 7..tail + 11].try_into().expect("four"));
        assert_eq!(0x30_0000 + tail as i64 + 11 + i64::from(back), 0x10_0006);
    }

    #[test]
    fn go_keeps_its_call_and_leaves_nothing_on_the_stack() {
        let h = hook(Entry::GoCall, &[0xe8, 1, 2, 3, 4]);
        let (image, patches) = assemble(0x30_0000, &[&h], &common()).expect("assembles");
        assert_eq!(patches[0].patched[0], 0xe8);
        assert_eq!(image[HEAD_GO_TARGET..HEAD_GO_TARGET + 8], 0x20_0000u64.to_le_bytes());
    }

    #[test]
    fn where_a_function_is_entered_its_fourth_argument_and_its_flags_survive() {
        let compare = [0x80, 0x3d, 0x31, 0x33, 0x0e, 0x00, 0x00];
        let h = hook(Entry::Entered, &compare);
        let (image, patches) = assemble(0x30_0000, &[&h], &common()).expect("assembles");
        let code = &image[trampoline_of(&patches[0])..];
        let (push, pop, displaced) = (5, 5 + 1 + 5 + 5, 5 + 1 + 5 + 5 + 1 + 8);
        assert_eq!((code[push], code[pop]), (0x51, 0x59));
        assert_eq!(code[displaced..displaced + 7], compare, "last: what it sets, the next instruction sees");
    }

    #[test]
    fn a_far_area_is_refused() {
        let h = hook(Entry::After, &[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff]);
        assert!(assemble(0x7f00_0000_0000, &[&h], &common()).is_err());
    }
}
