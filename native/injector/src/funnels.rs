//! C libraries that make many calls through one function of their own, with the number as an argument:
//!   glibc 2.41 and later: every call at which a thread may be cancelled, `__syscall_cancel` → `__internal_syscall_cancel`
//!   musl: the same, `__syscall_cp`; and each function ends in `__syscall_ret(result)`
//! Behind such a call the arguments are gone, so a hook before it keeps them until one behind it asks. Neither leaves
//! anything on the stack while the call waits: cancellation, unwinding and longjmp find it as the library made it.
use crate::calls;
use crate::module::{Function, Module};
use crate::plan::{Entry, Hook, Plan};
use crate::scan::{self, Decoded, JUMP, SYSCALL_LENGTH, SyscallSite, Window};
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Plans the funnels of a module. Returns the system call instructions that need nothing more.
pub fn plan(module: &Module, sites: &[SyscallSite], plan: &mut Plan) -> BTreeSet<u64> {
    if !module.is_libc() || cancellable(module, plan) {
        return BTreeSet::new();
    }
    musl(module, sites, plan).unwrap_or_default()
}

/// glibc: `push nr; call __internal_syscall_cancel; pop; pop; cmp $-4096,%rax`, in `__syscall_cancel`.
fn cancellable(module: &Module, plan: &mut Plan) -> bool {
    const SHAPE: [Option<u8>; 17] = shape(b"\xff\x74\x24\x18\xe8????\x5a\x59\x48\x3d\x00\xf0\xff\xff");
    let Some(at) = module.find_shape(&SHAPE) else { return false };
    let Some(decoded) = module.function_at(at).and_then(|f| scan::decode(module, &f)) else { return false };
    let Some(call) = decoded.instructions.iter().position(|i| i.ip() == at + 4) else { return false };
    let Some(compare) = decoded.instructions[call..].iter().position(|i| i.mnemonic() == Mnemonic::Cmp) else {
        return false;
    };
    let (Ok(before), Ok(after)) = (decoded.branch(call), decoded.window(call + compare, false)) else { return false };
    if before.depth.is_none() || after.depth.is_none() || !decoded.is_reached(call) {
        return false;
    }
    let callee = decoded.instructions[call].near_branch_target();
    for caller in callers(module, decoded.function.range.start) {
        let at = caller.index;
        let pushed = caller.decoded.instructions[at.saturating_sub(4)..at].iter().rev().find(|i| {
            i.mnemonic() == Mnemonic::Push && i.op0_kind() != OpKind::Register && i.op0_kind() != OpKind::Memory
        });
        plan.covers(pushed.and_then(|i| u32::try_from(i.immediate(0)).ok()));
    }
    plan.underway.callers.extend(before.depth.map(|depth| (decoded.instructions[call].next_ip(), depth)));
    learn(module, callee, &|at| module.function_at(at), plan);
    plan.hooks.push(Hook { window: before, entry: Entry::KeepCancel, number: calls::BY_NUMBER, callee });
    plan.hooks.push(Hook { window: after, entry: Entry::Kept, number: calls::BY_NUMBER, callee: 0 });
    true
}

/// musl: hooks at every `call __syscall_cp`, and at the branches to `__syscall_ret` of the functions that hold one, or that
/// hold a system call of their own which may wait.
fn musl(module: &Module, sites: &[SyscallSite], plan: &mut Plan) -> Option<BTreeSet<u64>> {
    /// No system call has a number like that.
    const MOST_NUMBERS: u32 = 1024;
    let returning = return_function(module)?;
    let starts = scan::discover(module);
    plan.is_musl = true;
    let mut functions: BTreeMap<u64, Decoded> = BTreeMap::new();
    for caller in branches_to(module, returning, &starts) {
        functions.entry(caller.decoded.function.range.start).or_insert(caller.decoded);
    }
    // What most of them call right before it, with a number.
    let mut votes: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    for decoded in functions.values() {
        for (index, i) in decoded.instructions.iter().enumerate() {
            let soon = decoded.instructions[index + 1..].iter().take(6);
            let leads_there = i.code() == Code::Call_rel32_64
                && soon
                    .take_while(|n| !matches!(n.code(), Code::Syscall))
                    .find(|n| n.is_call_near() || n.is_jmp_short_or_near())
                    .is_some_and(|n| n.near_branch_target() == returning);
            if let (true, Some(number)) = (leads_there, decoded.constant(Register::RDI, index)) {
                votes.entry(i.near_branch_target()).or_default().insert(number);
            }
        }
    }
    let function_at = |at: u64| module.function_at(at).or_else(|| starts.at(at));
    let funnel = votes
        .iter()
        .filter(|(at, numbers)| numbers.iter().all(|&n| n < MOST_NUMBERS) && makes_any_call(module, **at, &function_at))
        .max_by_key(|(_, numbers)| numbers.len())
        .map(|(&at, _)| at);
    if let Some(funnel) = funnel {
        learn(module, funnel, &function_at, plan);
    }
    children(module, &starts, plan);
    let mut done = BTreeSet::new();
    for decoded in functions.values() {
        let is_call = |i: &Instruction| i.code() == Code::Call_rel32_64 && Some(i.near_branch_target()) == funnel;
        let calls: Vec<usize> =
            decoded.instructions.iter().enumerate().filter(|(_, i)| is_call(i)).map(|(index, _)| index).collect();
        let own: Vec<&SyscallSite> = sites
            .iter()
            .filter(|s| decoded.function.range.contains(&s.address) && s.after.is_err() && is_to_be_kept(s))
            .collect();
        if calls.is_empty() && own.is_empty() {
            continue;
        }
        let ways_out = ways_out(decoded, returning);
        let refused = ways_out.iter().find_map(|way| way.as_ref().err().copied());
        for &index in &calls {
            keep_call(decoded, index, refused, plan);
        }
        for site in own {
            keep_site(decoded, site, refused, plan);
            done.insert(site.address);
        }
        if refused.is_none() {
            plan.hooks.extend(ways_out.into_iter().flatten().map(|window| Hook {
                window,
                entry: Entry::KeptReturn,
                number: calls::BY_NUMBER,
                callee: returning,
            }));
        }
    }
    Some(done)
}

const UNFOLLOWED: &str = "its stack can't be followed";

/// A system call of a function's own that may wait, or whose number is known only as it happens.
fn is_to_be_kept(site: &SyscallSite) -> bool {
    match site.number {
        Some(number) => calls::need(number).is_some_and(|need| !need.is_memory()) && calls::may_wait(number),
        None => site.function.name == "syscall",
    }
}

/// Every branch to `__syscall_ret` in a function: all of them carry a hook, or none.
fn ways_out(decoded: &Decoded, returning: u64) -> Vec<Result<Window, &'static str>> {
    let leaves = |i: &Instruction| {
        (i.is_call_near() || i.is_jmp_short_or_near() || i.is_jcc_short_or_near())
            && i.near_branch_target() == returning
    };
    let indices = (0..decoded.instructions.len()).filter(|&index| leaves(&decoded.instructions[index]));
    indices
        .map(|index| match decoded.branch(index) {
            Ok(window) if window.depth.is_some() => Ok(window),
            Ok(_) => Err(UNFOLLOWED),
            Err(e) => Err(e.text()),
        })
        .collect()
}

/// Whether a function, or one that it goes on in, makes a system call whose number it was given.
fn makes_any_call(module: &Module, at: u64, function_at: &impl Fn(u64) -> Option<Function>) -> bool {
    let mut at = at;
    for _ in 0..3 {
        let Some(decoded) = function_at(at).and_then(|f| scan::decode(module, &f)) else { return false };
        let mut calls = decoded.instructions.iter().enumerate().filter(|(_, i)| i.code() == Code::Syscall);
        if calls.any(|(index, _)| decoded.constant(Register::RAX, index).is_none()) {
            return true;
        }
        let tail = decoded.instructions.iter().find(|i| i.is_jmp_short_or_near());
        let Some(tail) = tail.filter(|i| !decoded.function.range.contains(&i.near_branch_target())) else {
            return false;
        };
        at = tail.near_branch_target();
    }
    false
}

/// Notes the depth of the stack behind each system call and each call inside the funnel, through the functions that it
/// goes on in.
fn learn(module: &Module, funnel: u64, function_at: &impl Fn(u64) -> Option<Function>, plan: &mut Plan) {
    const DEEPEST: usize = 3;
    let (mut work, mut seen) = (VecDeque::from([(funnel, 0)]), BTreeSet::new());
    while let Some((at, level)) = work.pop_front() {
        if level == DEEPEST || !seen.insert(at) {
            continue;
        }
        let Some(decoded) = function_at(at).and_then(|f| scan::decode(module, &f)) else { continue };
        for (index, i) in decoded.instructions.iter().enumerate() {
            let is_call = i.code() == Code::Call_rel32_64;
            let goes_on = i.is_jmp_short_or_near() && !decoded.function.range.contains(&i.near_branch_target());
            if is_call || goes_on {
                work.push_back((i.near_branch_target(), level + 1));
            }
            if let (true, Some(depth)) = (is_call || i.code() == Code::Syscall, decoded.depth(index)) {
                plan.underway.inside.insert(i.next_ip(), depth);
            }
        }
    }
}

/// Who calls `__clone`: posix_spawn, whose child runs on its parent's memory, and pthread_create.
fn children(module: &Module, starts: &scan::Starts<'_>, plan: &mut Plan) {
    // xor %eax,%eax; mov $56,%al; mov %rdi,%r11
    const CLONE: [Option<u8>; 7] = shape(b"\x31\xc0\xb0\x38\x49\x89\xfb");
    let Some(clone) = module.find_shape(&CLONE) else { return };
    for caller in branches_to(module, clone, starts) {
        let call = &caller.decoded.instructions[caller.index];
        match caller.decoded.branch(caller.index) {
            Ok(window) => {
                plan.hooks.push(Hook { window, entry: Entry::BeforeClone, number: calls::CLONE, callee: clone });
            }
            Err(e) => plan.partial_at("clone", &caller.decoded.function.name, call.ip(), e.text()),
        }
        plan.partial_at(
            "clone",
            &caller.decoded.function.name,
            call.ip(),
            "only before the call: musl leaves no room behind",
        );
    }
}

fn keep_call(decoded: &Decoded, index: usize, refused: Option<&'static str>, plan: &mut Plan) {
    let i = &decoded.instructions[index];
    let number = decoded.constant(Register::RDI, index);
    let window = decoded.branch(index).map_err(scan::NoWindow::text);
    match (window, refused, decoded.depth(index)) {
        (Ok(window), None, Some(depth)) => {
            let callee = i.near_branch_target();
            plan.underway.callers.insert(i.next_ip(), depth);
            plan.hooks.push(Hook { window, entry: Entry::KeepCp, number: calls::BY_NUMBER, callee });
            plan.covers(number);
        }
        (window, refused, _) => {
            if let Some(number) = number.filter(|&n| calls::need(n).is_some()) {
                let why = window.err().or(refused).unwrap_or(UNFOLLOWED);
                plan.partial_at(calls::name(number), &decoded.function.name, i.ip(), why);
            }
        }
    }
}

fn keep_site(decoded: &Decoded, site: &SyscallSite, refused: Option<&'static str>, plan: &mut Plan) {
    let number = site.number.unwrap_or(calls::BY_NUMBER);
    match (&site.before, refused, site.before.as_ref().ok().and_then(|w| w.depth)) {
        (Ok(before), None, Some(depth)) => {
            plan.underway.sites.insert(site.address + SYSCALL_LENGTH, depth);
            plan.push(before, Entry::Keep, number);
        }
        (before, refused, _) if number != calls::BY_NUMBER => {
            let why = before.as_ref().err().map(|e| e.text()).or(refused).unwrap_or(UNFOLLOWED);
            plan.partial_at(calls::name(number), &decoded.function.name, site.address, why);
        }
        _ => plan.skip("NumberUnknown"),
    }
}

/// `__syscall_ret`: starts with `cmp $-4096,%rdi`.
fn return_function(module: &Module) -> Option<u64> {
    const COMPARE: [Option<u8>; 7] = shape(b"\x48\x81\xff\x00\xf0\xff\xff");
    const LANDING: &[u8] = b"\xf3\x0f\x1e\xfa";
    let at = module.find_shape(&COMPARE)?;
    let landing = module.code(&(at.checked_sub(4)?..at)).is_some_and(|b| b == LANDING);
    Some(if landing { at - 4 } else { at })
}

struct Caller {
    decoded: Decoded,
    index: usize,
}

/// Every direct call of `target`, in functions that the unwind table knows.
fn callers(module: &Module, target: u64) -> Vec<Caller> {
    at_branches(module, target, |at| module.function_at(at))
}

fn branches_to(module: &Module, target: u64, starts: &scan::Starts<'_>) -> Vec<Caller> {
    at_branches(module, target, |at| module.function_at(at).or_else(|| starts.at(at)))
}

fn at_branches(module: &Module, target: u64, function_at: impl Fn(u64) -> Option<Function>) -> Vec<Caller> {
    let mut found = Vec::new();
    for at in module.branch_bytes(target) {
        let Some(decoded) = function_at(at).and_then(|f| scan::decode(module, &f)) else { continue };
        let index = decoded.instructions.iter().position(|i| i.ip() == at && i.len() == JUMP);
        if let Some(index) = index.filter(|&i| decoded.is_reached(i)) {
            found.push(Caller { decoded, index });
        }
    }
    found
}

/// Bytes with `?` for any.
pub const fn shape<const N: usize>(text: &[u8; N]) -> [Option<u8>; N] {
    let mut shape = [None; N];
    let mut i = 0;
    while i < N {
        if text[i] != b'?' {
            shape[i] = Some(text[i]);
        }
        i += 1;
    }
    shape
}
