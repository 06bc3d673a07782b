//! What is known at each instruction of a function, whichever way control came to it: how much is pushed, and which
//! registers hold constants. Direct jumps only; what is reached by others alone stays unknown.
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use std::collections::BTreeSet;

/// The 16 general registers.
type Constants = [Option<u32>; 16];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes pushed since the function's start. `None`: that differs between the ways that lead here, or can't be told.
    pub depth: Option<i64>,
    constants: Constants,
    /// The constant that the instruction before pushed: small code takes a call's number by `push; pop`.
    pushed: Option<u32>,
    /// Direct jumps lead here from the function's start.
    pub is_direct: bool,
}

impl Flow {
    /// The low 32 bits of a general register.
    pub fn constant(&self, register: Register) -> Option<u32> {
        self.constants[number(register)?]
    }

    /// What holds on both ways.
    fn meet(&self, other: &Self) -> Self {
        let mut constants = self.constants;
        for (mine, theirs) in constants.iter_mut().zip(other.constants) {
            *mine = mine.filter(|_| *mine == theirs);
        }
        let depth = self.depth.filter(|_| self.depth == other.depth);
        let pushed = self.pushed.filter(|_| self.pushed == other.pushed);
        Self { depth, constants, pushed, is_direct: self.is_direct || other.is_direct }
    }

    fn after(&self, i: &Instruction, factory: &mut InstructionInfoFactory) -> Self {
        let mut next = self.clone();
        next.depth = self.depth.and_then(|depth| Some(depth - stack_change(i)?));
        next.pushed = (i.mnemonic() == Mnemonic::Push && is_immediate(i.op0_kind())).then(|| i.immediate(0) as u32);
        let value = match i.mnemonic() {
            Mnemonic::Pop => self.pushed,
            Mnemonic::Mov if is_immediate(i.op1_kind()) => Some(i.immediate(1) as u32),
            Mnemonic::Mov if i.op1_kind() == OpKind::Register => self.constant(i.op1_register()),
            Mnemonic::Xor if i.op1_kind() == OpKind::Register && i.op0_register() == i.op1_register() => Some(0),
            _ => None,
        };
        for used in factory.info(i).used_registers() {
            if !matches!(used.access(), OpAccess::Read | OpAccess::CondRead)
                && let Some(n) = number(used.register())
            {
                next.constants[n] = None;
            }
        }
        match i.flow_control() {
            // The calling convention keeps rbx, rsp, rbp, r12 to r15 across a call; the kernel all but rax, rcx, r11.
            _ if i.mnemonic() == Mnemonic::Syscall => next.forget(&[0, 1, 11]),
            FlowControl::Call | FlowControl::IndirectCall => next.forget(&[0, 1, 2, 6, 7, 8, 9, 10, 11]),
            _ => {}
        }
        // Writing a register's lower half clears the upper one; smaller writes leave the rest as it was.
        let whole = matches!(i.op0_register().size(), 4 | 8) && i.op0_kind() == OpKind::Register;
        if let (true, Some(n)) = (whole && value.is_some(), number(i.op0_register())) {
            next.constants[n] = value;
        }
        next
    }

    fn forget(&mut self, registers: &[usize]) {
        for &n in registers {
            self.constants[n] = None;
        }
    }
}

/// One state for each instruction. What only a jump table leads to starts with nothing known.
pub fn follow(instructions: &[Instruction]) -> Vec<Option<Flow>> {
    let mut known: Vec<Option<Flow>> = vec![None; instructions.len()];
    let targets: BTreeSet<u64> = instructions
        .iter()
        .filter(|i| i.is_jmp_short_or_near() || i.is_jcc_short_or_near())
        .map(Instruction::near_branch_target)
        .collect();
    spread(instructions, &targets, &mut known, 0, Flow { depth: Some(0), is_direct: true, ..Flow::default() });
    for at in 0..instructions.len() {
        let padding = matches!(instructions[at].mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
        if known[at].is_none() && !padding {
            spread(instructions, &targets, &mut known, at, Flow::default());
        }
    }
    known
}

fn spread(
    instructions: &[Instruction],
    targets: &BTreeSet<u64>,
    known: &mut [Option<Flow>],
    start: usize,
    state: Flow,
) {
    let mut factory = InstructionInfoFactory::new();
    let index_of = |ip: u64| instructions.binary_search_by_key(&ip, Instruction::ip).ok();
    let mut work = vec![(start, state)];
    while let Some((at, now)) = work.pop() {
        let (Some(i), Some(slot)) = (instructions.get(at), known.get_mut(at)) else { continue };
        let merged = match slot {
            Some(old) => old.meet(&now),
            None => now,
        };
        if slot.as_ref() == Some(&merged) {
            continue;
        }
        let next = merged.after(i, &mut factory);
        *slot = Some(merged);
        let control = i.flow_control();
        // `test %eax,%eax; jne`: where it does not jump, eax is 0 (glibc's read takes its number from there).
        let zero =
            at.checked_sub(1).and_then(|before| tested(&instructions[before])).filter(|_| !targets.contains(&i.ip()));
        let on_zero = |state: &Flow| {
            let mut state = state.clone();
            if let Some(n) = zero {
                state.constants[n] = Some(0);
            }
            state
        };
        if matches!(control, FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch)
            && let Some(to) = index_of(i.near_branch_target())
        {
            work.push((to, if i.mnemonic() == Mnemonic::Je { on_zero(&next) } else { next.clone() }));
        }
        let goes_on = matches!(
            control,
            FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall | FlowControl::ConditionalBranch
        );
        if goes_on {
            work.push((at + 1, if i.mnemonic() == Mnemonic::Jne { on_zero(&next) } else { next }));
        }
    }
}

/// The register that an instruction compares with zero.
fn tested(i: &Instruction) -> Option<usize> {
    let itself = i.mnemonic() == Mnemonic::Test && i.op0_register() == i.op1_register() && i.op0_register().size() >= 4;
    if itself { number(i.op0_register()) } else { None }
}

/// What an instruction adds to the stack pointer. `None`: that can't be told.
fn stack_change(i: &Instruction) -> Option<i64> {
    let own = i.op0_register() == Register::RSP && i.op0_kind() == OpKind::Register;
    match i.mnemonic() {
        Mnemonic::Call | Mnemonic::Syscall | Mnemonic::Cmp | Mnemonic::Test => Some(0),
        Mnemonic::Add if own && is_immediate(i.op1_kind()) => Some(i.immediate(1).cast_signed()),
        Mnemonic::Sub if own && is_immediate(i.op1_kind()) => Some(-i.immediate(1).cast_signed()),
        Mnemonic::Lea if own => (i.memory_base() == Register::RSP && i.memory_index() == Register::None)
            .then(|| i.memory_displacement64().cast_signed()),
        Mnemonic::Push | Mnemonic::Pop if !own => Some(i.stack_pointer_increment().into()),
        Mnemonic::Leave | Mnemonic::Enter => None,
        _ if own || i.stack_pointer_increment() != 0 => None,
        _ => Some(0),
    }
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32
            | OpKind::Immediate32to64
            | OpKind::Immediate64
    )
}

fn number(register: Register) -> Option<usize> {
    register.is_gpr().then(|| register.full_register().number())
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions};

    fn at_each(code: &[u8]) -> Vec<Option<Flow>> {
        let instructions: Vec<Instruction> = Decoder::with_ip(64, code, 0x1000, DecoderOptions::NONE).iter().collect();
        follow(&instructions)
    }

    #[test]
    fn a_number_travels_through_another_register() {
        // mov $12,%edx; mov %rdx,%rax; syscall; mov %rdx,%rax; syscall
        let flow = at_each(&[0xba, 12, 0, 0, 0, 0x48, 0x89, 0xd0, 0x0f, 5, 0x48, 0x89, 0xd0, 0x0f, 5]);
        assert_eq!(flow[2].as_ref().expect("reached").constant(Register::RAX), Some(12));
        assert_eq!(flow[3].as_ref().expect("reached").constant(Register::RAX), None);
        assert_eq!(flow[4].as_ref().expect("reached").constant(Register::RAX), Some(12));
    }

    #[test]
    fn a_number_may_be_pushed_and_popped() {
        // push $73; pop %rax; push $8; pop %rsi; syscall; push $3; nop; pop %rax; syscall
        let code = [0x6a, 73, 0x58, 0x6a, 8, 0x5e, 0x0f, 5, 0x6a, 3, 0x90, 0x58, 0x0f, 5];
        let flow = at_each(&code);
        assert_eq!(flow[4].as_ref().expect("reached").constant(Register::RAX), Some(73));
        assert_eq!(flow[4].as_ref().expect("reached").constant(Register::RSI), Some(8));
        assert_eq!(flow[8].as_ref().expect("reached").constant(Register::RAX), None);
    }

    #[test]
    fn what_was_tested_to_be_zero_is_zero() {
        // test %eax,%eax; jne +2; syscall; syscall
        let flow = at_each(&[0x85, 0xc0, 0x75, 2, 0x0f, 5, 0x0f, 5]);
        assert_eq!(flow[2].as_ref().expect("reached").constant(Register::RAX), Some(0));
        assert_eq!(flow[3].as_ref().expect("reached").constant(Register::RAX), None);
    }

    #[test]
    fn two_numbers_on_two_ways_are_none() {
        // mov $1,%eax; test %edi,%edi; je +5; mov $2,%eax; syscall
        let flow = at_each(&[0xb8, 1, 0, 0, 0, 0x85, 0xff, 0x74, 5, 0xb8, 2, 0, 0, 0, 0x0f, 5]);
        assert_eq!(flow[4].as_ref().expect("reached").constant(Register::RAX), None);
    }

    #[test]
    fn the_depth_counts_pushes_and_ends_where_it_is_unclear() {
        // push %rbx; sub $16,%rsp; nop; and $-16,%rsp; nop; ret; inc %eax
        let flow = at_each(&[0x53, 0x48, 0x83, 0xec, 16, 0x90, 0x48, 0x83, 0xe4, 0xf0, 0x90, 0xc3, 0xff, 0xc0]);
        assert_eq!(flow[2].as_ref().expect("reached").depth, Some(24));
        assert_eq!(flow[4].as_ref().expect("reached").depth, None);
        assert!(!flow[6].as_ref().expect("seen").is_direct);
    }
}
