//! Finds every `syscall` instruction of a module, which call it makes, and which single instruction around it can
//! carry a hook. Decodes forward from where a function starts, never from a guess: in a large program most byte pairs
//! 0f 05 are no instruction at all.
use crate::calls;
use crate::flow::{self, Flow};
use crate::module::{Function, Module};
use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};
use std::cell::OnceCell;
use std::collections::BTreeSet;

/// An instruction that may be replaced by a jump: at least five bytes, within one page, and able to run elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub address: u64,
    pub bytes: Vec<u8>,
    /// Offset in `bytes` of a RIP-relative displacement, and the address that it means.
    pub relative: Option<(usize, u64)>,
    /// Copies of the instructions between this one and the system call. Before a call the hook runs them to see the
    /// arguments that they set; then they run again in their place, to the same effect.
    pub ahead: Vec<u8>,
    /// The window is `test %rax,%rax; jl target`, two instructions: where the branch goes.
    pub less_than: Option<u64>,
    /// Whether the arithmetic flags must survive the hook.
    pub keep_flags: bool,
    /// The instruction returns: nothing follows it.
    pub returns: bool,
    /// Bytes pushed since the function's start, where the hook runs: at this instruction, or at the system call that it
    /// stands before.
    pub depth: Option<i64>,
}

/// Why no hook fits there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoWindow {
    TooShort,
    Branches,
    AcrossPages,
    AtFunctionStart,
    FunctionEnds,
}

impl NoWindow {
    pub fn text(self) -> &'static str {
        match self {
            Self::TooShort => "the instruction beside the system call is shorter than a jump",
            Self::Branches => "the instruction beside the system call branches",
            Self::AcrossPages => "the instruction beside the system call lies across two pages",
            Self::AtFunctionStart => "no instruction stands before the system call",
            Self::FunctionEnds => "no instruction stands behind the system call",
        }
    }
}

/// One system call instruction.
#[derive(Clone, Debug)]
pub struct SyscallSite {
    pub address: u64,
    pub function: Function,
    /// The call's number, where one constant reaches it on every path.
    pub number: Option<u32>,
    pub before: Result<Window, NoWindow>,
    pub after: Result<Window, NoWindow>,
    /// Before the call, where nothing can come in between: for a hook that makes the call itself.
    pub around: Result<Window, NoWindow>,
    /// Where the function is entered, if it makes no other call: the arguments are in place there already.
    pub entry: Result<Window, NoWindow>,
    /// In glibc's `_dl_early_allocate`, which grows the break once, before a static program's main.
    pub is_startup: bool,
}

/// A function's instructions, in order.
pub struct Decoded {
    pub function: Function,
    pub code: Vec<u8>,
    pub instructions: Vec<Instruction>,
    relative: Vec<Option<usize>>,
    targets: BTreeSet<u64>,
    flow: Vec<Option<Flow>>,
}

pub const JUMP: usize = 5;
pub const SYSCALL_LENGTH: u64 = 2;
const PAGE: u64 = 4096;

/// Decodes a function from its start, up to the first bytes that are no instruction. `None`: its bytes can't be had.
pub fn decode(module: &Module, function: &Function) -> Option<Decoded> {
    let code = module.code(&function.range)?.to_vec();
    let mut decoder = Decoder::with_ip(64, &code, function.range.start, DecoderOptions::NONE);
    let (mut instructions, mut relative, mut targets) = (Vec::new(), Vec::new(), BTreeSet::new());
    while decoder.can_decode() {
        let i = decoder.decode();
        if i.is_invalid() {
            break; // data behind the code: what came before it stands
        }
        let offsets = decoder.get_constant_offsets(&i);
        relative.push(i.is_ip_rel_memory_operand().then_some(offsets.displacement_offset()));
        if i.is_jmp_short_or_near() || i.is_jcc_short_or_near() || i.is_call_near() || i.is_jcx_short() || i.is_loop() {
            targets.insert(i.near_branch_target());
        }
        instructions.push(i);
    }
    let flow = flow::follow(&instructions);
    Some(Decoded { function: function.clone(), code, instructions, relative, targets, flow })
}

/// Where functions start, in a module without an unwind table (musl has none).
pub struct Starts<'a> {
    module: &'a Module,
    starts: BTreeSet<u64>,
    ends: Vec<u64>,
}

impl Starts<'_> {
    pub fn at(&self, address: u64) -> Option<Function> {
        const LONGEST: u64 = 64 << 10;
        let start = *self.starts.range(..=address).next_back()?;
        let text_end = *self.ends.iter().find(|&&end| address < end)?;
        let end = self.starts.range(address + 1..).next().copied().unwrap_or(text_end).min(text_end);
        let name = self.module.unsized_symbols.get(&start).cloned().unwrap_or_default();
        (end - start <= LONGEST).then_some(Function { name, range: start..end, is_guess: true })
    }
}

/// Collects function starts: symbols and pointers in data, then whatever code calls or takes the address of, until
/// nothing new comes. A start that is none does no harm: only what control reaches from it is looked at, and a site needs
/// its number and a whole window besides.
pub fn discover(module: &Module) -> Starts<'_> {
    /// The largest programs without an unwind table (Bun, Deno) have 80 MiB, which takes half a second.
    const MOST_TEXT: u64 = 256 << 20;
    let ends: Vec<u64> = module.text.iter().map(|m| m.end).collect();
    let mut starts = BTreeSet::new();
    if module.text.iter().map(|m| m.end - m.start).sum::<u64>() > MOST_TEXT {
        return Starts { module, starts, ends };
    }
    let mut work = module.function_seeds();
    while let Some(start) = work.pop() {
        if !module.is_text(start) || !starts.insert(start) {
            continue;
        }
        let upto = starts.range(start + 1..).next().copied();
        let Some(code) = module.code_from(start, upto) else { continue };
        let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
        let mut farthest = start;
        while decoder.can_decode() {
            let i = decoder.decode();
            if i.is_invalid() {
                break;
            }
            let taken = i.mnemonic() == Mnemonic::Lea && i.is_ip_rel_memory_operand();
            if i.code() == Code::Call_rel32_64 {
                work.push(i.near_branch_target());
            } else if taken {
                work.push(i.ip_rel_memory_address());
            } else if matches!(i.flow_control(), FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch) {
                let target = i.near_branch_target();
                let leaves = i.is_jmp_short_or_near() && (i.next_ip() > farthest || target < start);
                // A tail call; what is nothing but a jump, is another function's second name.
                let is_alias = i.ip() == start && i.flow_control() == FlowControl::UnconditionalBranch;
                if leaves && (is_alias || looks_like_start(module, target)) {
                    work.push(target);
                } else if target > i.ip() && target - i.ip() < 4096 {
                    farthest = farthest.max(target);
                }
            }
            // The end: control goes on nowhere behind it, and nothing has jumped over it.
            let ends_here = matches!(
                i.flow_control(),
                FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
            );
            if ends_here && i.next_ip() > farthest {
                break;
            }
        }
    }
    Starts { module, starts, ends }
}

/// Whether a jump to `target` goes to another function: a landing instruction stands there, or the end of one before it.
fn looks_like_start(module: &Module, target: u64) -> bool {
    const LANDING: &[u8] = b"\xf3\x0f\x1e\xfa";
    const ENDS: &[u8] = &[0xc3, 0x90, 0xcc];
    let landing = module.code(&(target..target + 4)).is_some_and(|b| b == LANDING);
    landing || target.is_multiple_of(16) && module.code(&(target - 1..target)).is_some_and(|b| ENDS.contains(&b[0]))
}

/// All system call instructions of the module, by address, and the count of those whose function is unknown.
pub fn scan(module: &Module) -> (Vec<SyscallSite>, usize) {
    let mut functions: Vec<Function> = Vec::new();
    let guesses = OnceCell::new();
    let mut unknown = 0;
    for address in module.syscall_bytes() {
        if functions.last().is_some_and(|f| f.range.contains(&address)) {
            continue;
        }
        match module.function_at(address).or_else(|| guesses.get_or_init(|| discover(module)).at(address)) {
            Some(f) => functions.push(f),
            None => unknown += 1,
        }
    }
    let mut sites = Vec::new();
    for function in &functions {
        match decode(module, function) {
            Some(decoded) => sites.extend(decoded.sites()),
            None => unknown += 1,
        }
    }
    sites.sort_by_key(|s| s.address);
    sites.dedup_by_key(|s| s.address);
    (sites, unknown)
}

impl Decoded {
    fn sites(&self) -> Vec<SyscallSite> {
        (0..self.instructions.len())
            .filter(|&i| {
                self.instructions[i].code() == Code::Syscall && (!self.function.is_guess || self.is_reached(i))
            })
            .map(|i| self.site(i))
            .collect()
    }

    fn site(&self, at: usize) -> SyscallSite {
        let address = self.instructions[at].ip();
        let number = self.constant(Register::RAX, at);
        let keep_flags = self.flags_live_after(at);
        let before = self.window_before(at, keep_flags);
        let after = self.window_after(at, keep_flags, number);
        let around = self.window_around(at, keep_flags);
        let is_startup = number == Some(calls::BRK) && self.is_early_allocation();
        let entry = self.window_at_entry();
        SyscallSite { address, function: self.function.clone(), number, before, after, around, entry, is_startup }
    }

    /// The window on the function's first instruction, where every system call in it is the same one.
    fn window_at_entry(&self) -> Result<Window, NoWindow> {
        let mut calls = (0..self.instructions.len()).filter(|&i| self.instructions[i].code() == Code::Syscall);
        let number = calls.next().and_then(|i| self.constant(Register::RAX, i));
        if self.function.is_guess || number.is_none() || calls.any(|i| self.constant(Register::RAX, i) != number) {
            return Err(NoWindow::AtFunctionStart);
        }
        let landing = self.instructions.first().is_some_and(|i| i.code() == Code::Endbr64);
        self.window(usize::from(landing), false)
    }

    /// brk for the end, brk to move it, mmap if it won't: and no other system call.
    fn is_early_allocation(&self) -> bool {
        let calls = self.instructions.iter().enumerate().filter(|(_, i)| i.code() == Code::Syscall);
        let numbers: Vec<_> = calls.map(|(index, _)| self.constant(Register::RAX, index)).collect();
        numbers == [Some(calls::BRK), Some(calls::BRK), Some(calls::MMAP)]
    }

    /// The window on instruction `index`.
    pub fn window(&self, index: usize, keep_flags: bool) -> Result<Window, NoWindow> {
        let i = &self.instructions[index];
        let returns = i.code() == Code::Retnq;
        let mut length = i.len();
        if returns {
            length += self.padding_after(index);
        } else if i.flow_control() != FlowControl::Next || i.code() == Code::Syscall {
            return Err(NoWindow::Branches);
        }
        if length < JUMP {
            return Err(NoWindow::TooShort);
        }
        let length = if returns { JUMP } else { i.len() };
        if i.ip() / PAGE != (i.ip() + length as u64 - 1) / PAGE {
            return Err(NoWindow::AcrossPages);
        }
        let from = usize::try_from(i.ip() - self.function.range.start).unwrap_or(usize::MAX);
        Ok(Window {
            address: i.ip(),
            bytes: self.code[from..from + length].to_vec(),
            relative: self.relative[index].map(|o| (o, i.ip_rel_memory_address())),
            ahead: Vec::new(),
            less_than: None,
            keep_flags: keep_flags && !returns,
            returns,
            depth: self.depth(index),
        })
    }

    /// The window behind the system call at `at`. `push` in between (vfork keeps its return address in a register), and a
    /// copy of the result for later, change none of what the hook looks at.
    fn window_after(&self, at: usize, keep_flags: bool, number: Option<u32>) -> Result<Window, NoWindow> {
        let pushes = self.instructions[at + 1..].iter().take(2).take_while(|i| i.code() == Code::Push_r64).count();
        let index = at + 1 + pushes;
        let index = if self.keeps_result(index) { index + 1 } else { index };
        if index >= self.instructions.len() {
            return Err(NoWindow::FunctionEnds);
        }
        let plain = self.window(index, keep_flags);
        match number {
            Some(calls::CLONE | calls::CLONE3) if plain.is_err() => {
                self.test_and_branch(index).ok_or(NoWindow::TooShort)
            }
            _ => plain,
        }
    }

    /// Whether instruction `index` copies the result of a call into a register that no call looks at, and nothing but it
    /// leads to the next one.
    fn keeps_result(&self, index: usize) -> bool {
        let Some((i, next)) = self.instructions.get(index).zip(self.instructions.get(index + 1)) else { return false };
        matches!(i.mnemonic(), Mnemonic::Mov | Mnemonic::Movsxd)
            && i.op1_kind() == OpKind::Register
            && i.op1_register().full_register() == Register::RAX
            && i.op1_register().size() >= 4
            && i.op0_kind() == OpKind::Register
            && matches!(
                i.op0_register().full_register(),
                Register::RBX | Register::R12 | Register::R13 | Register::R14 | Register::R15
            )
            && !self.targets.contains(&next.ip())
    }

    /// clone and clone3 are followed by `test %rax,%rax; jl`: the one window of two instructions. A thread stands between
    /// them only if it was stopped exactly there, which the injector looks for; nothing jumps there, and no call returns.
    fn test_and_branch(&self, index: usize) -> Option<Window> {
        let (test, branch) = (self.instructions.get(index)?, self.instructions.get(index + 1)?);
        let fits = test.code() == Code::Test_rm64_r64
            && test.op0_register() == Register::RAX
            && test.op1_register() == Register::RAX
            && branch.code() == Code::Jl_rel8_64
            && test.len() + branch.len() == JUMP
            && test.ip() / PAGE == (test.ip() + JUMP as u64 - 1) / PAGE
            && !self.targets.contains(&branch.ip());
        let from = usize::try_from(test.ip() - self.function.range.start).ok()?;
        fits.then(|| Window {
            address: test.ip(),
            bytes: self.code[from..from + JUMP].to_vec(),
            relative: None,
            ahead: Vec::new(),
            less_than: Some(branch.near_branch_target()),
            keep_flags: false,
            returns: false,
            depth: self.depth(index),
        })
    }

    /// Bytes pushed since the function's start, where that is one number on every way to instruction `index`.
    pub fn depth(&self, index: usize) -> Option<i64> {
        self.flow[index].as_ref()?.depth
    }

    pub fn is_reached(&self, index: usize) -> bool {
        self.flow[index].as_ref().is_some_and(|f| f.is_direct)
    }

    /// The `call` or `jmp` at `index` as a place for a hook: whole, five bytes, with a direct target.
    pub fn branch(&self, index: usize) -> Result<Window, NoWindow> {
        let i = &self.instructions[index];
        if !matches!(i.code(), Code::Call_rel32_64 | Code::Jmp_rel32_64) || i.len() != JUMP {
            return Err(NoWindow::TooShort);
        }
        if i.ip() / PAGE != (i.ip() + JUMP as u64 - 1) / PAGE {
            return Err(NoWindow::AcrossPages);
        }
        let from = usize::try_from(i.ip() - self.function.range.start).unwrap_or(usize::MAX);
        Ok(Window {
            address: i.ip(),
            bytes: self.code[from..from + JUMP].to_vec(),
            relative: None,
            ahead: Vec::new(),
            less_than: None,
            keep_flags: false,
            returns: false,
            depth: self.depth(index),
        })
    }

    /// The nearest window before instruction `at`, a few instructions away at most. A jump that enters between the two
    /// would skip the hook, not break it.
    fn window_before(&self, at: usize, keep_flags: bool) -> Result<Window, NoWindow> {
        const FARTHEST: usize = 5;
        let mut refused = NoWindow::AtFunctionStart;
        for index in (at.saturating_sub(FARTHEST)..at).rev() {
            match self.window(index, keep_flags) {
                Ok(mut window) => {
                    let (from, upto) = (self.instructions[index].next_ip(), self.instructions[at].ip());
                    let offset = |ip: u64| usize::try_from(ip - self.function.range.start).unwrap_or(usize::MAX);
                    window.ahead = self.code[offset(from)..offset(upto)].to_vec();
                    window.depth = self.depth(at);
                    return Ok(window);
                }
                Err(NoWindow::Branches) => return Err(if index + 1 == at { NoWindow::Branches } else { refused }),
                Err(e) => refused = if index + 1 == at { e } else { refused },
            }
            if !self.repeatable(index, at) {
                return Err(refused);
            }
        }
        Err(refused)
    }

    /// The nearest window before instruction `at` from which control goes straight to it, and to which alone it comes.
    fn window_around(&self, at: usize, keep_flags: bool) -> Result<Window, NoWindow> {
        const FARTHEST: usize = 5;
        let mut refused = NoWindow::AtFunctionStart;
        for index in (at.saturating_sub(FARTHEST)..at).rev() {
            if self.targets.contains(&self.instructions[index + 1].ip()) {
                return Err(NoWindow::Branches);
            }
            match self.window(index, keep_flags) {
                Ok(mut window) => {
                    let (from, upto) = (self.instructions[index].next_ip(), self.instructions[at].ip());
                    let offset = |ip: u64| usize::try_from(ip - self.function.range.start).unwrap_or(usize::MAX);
                    window.ahead = self.code[offset(from)..offset(upto)].to_vec();
                    window.depth = self.depth(at);
                    return Ok(window);
                }
                Err(e) => refused = if index + 1 == at { e } else { refused },
            }
            if self.relative[index].is_some() || self.instructions[index].flow_control() != FlowControl::Next {
                return Err(refused);
            }
        }
        Err(refused)
    }

    /// Whether instructions [from, upto) do the same when they run twice with a hook between (which changes rcx, r11):
    /// plain loads and moves whose targets none of them reads.
    fn repeatable(&self, from: usize, upto: usize) -> bool {
        let mut factory = InstructionInfoFactory::new();
        let (mut read, mut written) = (Vec::new(), Vec::new());
        for (k, i) in self.instructions[from..upto].iter().enumerate() {
            let zero = i.mnemonic() == Mnemonic::Xor
                && i.op0_register() == i.op1_register()
                && i.op0_kind() == OpKind::Register;
            let load = i.mnemonic() == Mnemonic::Mov && i.op0_kind() == OpKind::Register;
            if !(zero || load) || self.relative[from + k].is_some() {
                return false;
            }
            for u in factory.info(i).used_registers() {
                let register = u.register().full_register();
                if matches!(u.access(), OpAccess::Write | OpAccess::CondWrite) || zero {
                    written.push(register);
                } else {
                    read.push(register);
                }
            }
        }
        !read.iter().any(|r| matches!(r, Register::RCX | Register::R11) || written.contains(r))
    }

    /// Bytes of padding that nothing can reach right behind a `ret`.
    fn padding_after(&self, index: usize) -> usize {
        let mut bytes = 0;
        for i in &self.instructions[index + 1..] {
            let pad = matches!(i.code(), Code::Int3) || i.mnemonic() == Mnemonic::Nop;
            if !pad || self.targets.contains(&i.ip()) {
                break;
            }
            bytes += i.len();
        }
        bytes
    }

    /// The constant in `register` at instruction `at`, the same on every way to it.
    pub fn constant(&self, register: Register, at: usize) -> Option<u32> {
        self.flow[at].as_ref()?.constant(register)
    }

    /// Whether some instruction behind the system call reads flags that were set before it.
    fn flags_live_after(&self, at: usize) -> bool {
        for i in &self.instructions[at + 1..] {
            if i.rflags_read() != 0 {
                return true;
            }
            let all = iced_x86::RflagsBits::OF
                | iced_x86::RflagsBits::SF
                | iced_x86::RflagsBits::ZF
                | iced_x86::RflagsBits::AF
                | iced_x86::RflagsBits::CF
                | iced_x86::RflagsBits::PF;
            if i.rflags_modified() & all == all {
                return false;
            }
            match i.flow_control() {
                FlowControl::Next => {}
                // The calling convention keeps no flags across these.
                FlowControl::Return | FlowControl::Call | FlowControl::IndirectCall => return false,
                _ => return true,
            }
        }
        true
    }
}
