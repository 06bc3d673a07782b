//! Go programs make nearly all their system calls through one function. Two hooks serve the whole program:
//!   `call Syscall6` in syscall.RawSyscall6, where the number and the arguments are known, and
//!   the `cmp` behind Syscall6's system call, where the result is.
//! Between them the number rides in r12, which Go's calling convention leaves free and the kernel keeps.
//! Only calls through package syscall carry it, so the runtime's own (netpoll, futex, what panics print) pass unseen.
use crate::calls;
use crate::goshape;
use crate::module::Module;
use crate::plan::{Entry, Hook, Partial, Plan};
use crate::scan::{self, SyscallSite, Window};
use iced_x86::{Code, Mnemonic, Register};

const SYSCALL6: &[&str] = &[
    "internal/runtime/syscall/linux.Syscall6",
    "internal/runtime/syscall.Syscall6",
    "runtime/internal/syscall.Syscall6",
];
const RAW_SYSCALL6: &[&str] = &["syscall.RawSyscall6"];

/// What Go's code calls by itself: everything through package syscall is seen, these are not.
const OWN: &str = "the Go runtime's own: not made through package syscall";

/// Plans the Go part of a module. Returns the sites of C that was linked into the same program: they are as in any other.
pub fn plan(module: &Module, sites: &[SyscallSite], plan: &mut Plan) -> Vec<SyscallSite> {
    match funnel(module, sites) {
        Ok([call, after]) => {
            plan.hooked_calls.extend(calls::CALLS.iter().map(|c| c.1));
            own_calls(module, call.callee, call.window.address, plan);
            plan.goroutine_calls.push(call.callee..call.callee + 64);
            plan.hooks.extend([call, after]);
        }
        Err(why) => {
            plan.memory_followed = false;
            plan.partial.push(Partial {
                call: "all calls of Go's package syscall",
                function: "syscall.RawSyscall6".into(),
                address: 0,
                why,
            });
        }
    }
    plan.hooks.extend(vfork(module, sites));
    let (own, linked): (Vec<_>, Vec<_>) = sites.iter().partition(|site| module.is_go_code(site.address));
    for site in &own {
        // The runtime's own system calls: only those that change what is mapped matter.
        match site.number.map(|number| (number, calls::need(number))) {
            Some((_, Some(need))) if need.is_memory() => plan.site(site),
            Some((number, Some(_))) => {
                plan.skip("GoRuntime");
                plan.partial(calls::name(number), site, OWN);
            }
            _ => plan.skip("NotInteresting"),
        }
    }
    // Where nothing tells what is unmapped, nothing may be copied ahead of a call.
    plan.memory_followed &= own.iter().any(|site| site.number == Some(calls::MUNMAP));
    linked.into_iter().cloned().collect()
}

/// By name where the function table has them, else by what they are.
fn funnel(module: &Module, sites: &[SyscallSite]) -> Result<[Hook; 2], &'static str> {
    named_funnel(module, sites).or_else(|why| shaped_funnel(module).ok_or(why))
}

fn named_funnel(module: &Module, sites: &[SyscallSite]) -> Result<[Hook; 2], &'static str> {
    let callee = module.function_named(SYSCALL6).ok_or("its function table names no Syscall6")?;
    let site =
        sites.iter().find(|s| callee.range.contains(&s.address)).ok_or("Syscall6 holds no system call instruction")?;
    let after = site.after.as_ref().map_err(|e| e.text())?;
    let caller = module.function_named(RAW_SYSCALL6).ok_or("its function table names no RawSyscall6")?;
    let decoded = scan::decode(module, &caller).ok_or("RawSyscall6 can't be decoded")?;
    let mut calls_to_it = decoded
        .instructions
        .iter()
        .filter(|i| i.code() == Code::Call_rel32_64 && i.near_branch_target() == callee.range.start);
    let (Some(call), None) = (calls_to_it.next(), calls_to_it.next()) else {
        return Err("RawSyscall6 does not call Syscall6 exactly once");
    };
    let from = usize::try_from(call.ip() - caller.range.start).map_err(|_| "RawSyscall6 can't be decoded")?;
    let window = whole(call.ip(), &decoded.code[from..from + scan::JUMP]);
    if window.address / 4096 != (window.address + 4) / 4096 {
        return Err("its call of Syscall6 lies across two pages");
    }
    Ok(hooks(window, after.clone(), callee.range.start))
}

/// The one Syscall6, and the one function that only passes on to it.
fn shaped_funnel(module: &Module) -> Option<[Hook; 2]> {
    let shape: Vec<Option<u8>> = goshape::SYSCALL6.iter().copied().map(Some).collect();
    let callee = only(module.find_shapes(&shape))?;
    let call = only(module.branch_bytes(callee).into_iter().filter(|&at| {
        let near = |from: u64, upto: u64| module.code(&(from..upto)).unwrap_or_default();
        let before = near(at.saturating_sub(goshape::MOST_BEFORE as u64), at);
        goshape::passes_on(before, near(at + 5, at + 5 + goshape::MOST_BEHIND as u64))
    }))?;
    let (compare, bytes) = goshape::COMPARE;
    let windows = [whole(call, module.code(&(call..call + scan::JUMP as u64))?), whole(callee + compare, bytes)];
    let is_call = windows[0].bytes.first() == Some(&0xe8);
    let fit = windows.iter().all(|w| w.address / 4096 == (w.address + w.bytes.len() as u64 - 1) / 4096);
    let [call, after] = windows;
    (is_call && fit).then(|| hooks(call, after, callee))
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

fn hooks(call: Window, after: Window, callee: u64) -> [Hook; 2] {
    [
        Hook { window: call, entry: Entry::GoCall, number: 0, callee },
        Hook { window: after, entry: Entry::GoAfter, number: 0, callee: 0 },
    ]
}

/// One instruction that is replaced, and whose flags nobody needs.
fn whole(address: u64, bytes: &[u8]) -> Window {
    Window {
        address,
        bytes: bytes.to_vec(),
        relative: None,
        ahead: Vec::new(),
        less_than: None,
        keep_flags: false,
        returns: false,
        depth: None,
    }
}

/// Calls that the runtime makes by Syscall6 itself, past package syscall: they carry no number, so they are not seen. Those
/// that change what is mapped must be: they get a hook of their own, at the call.
fn own_calls(module: &Module, callee: u64, funnel: u64, plan: &mut Plan) {
    for at in module.branch_bytes(callee).into_iter().filter(|&at| at != funnel) {
        let Some(decoded) = module.function_at(at).and_then(|f| scan::decode(module, &f)) else { continue };
        let Some(index) = decoded.instructions.iter().position(|i| i.ip() == at) else { continue };
        let Some(number) = decoded.constant(Register::RAX, index) else { continue };
        let is_memory = calls::need(number).is_some_and(calls::Need::is_memory);
        match decoded.branch(index) {
            Ok(window) if is_memory => plan.hooks.push(Hook { window, entry: Entry::GoCall, number: 0, callee }),
            _ if calls::need(number).is_some() => {
                plan.memory_followed &= !is_memory;
                plan.partial_at(calls::name(number), &decoded.function.name, at, OWN);
            }
            _ => {}
        }
    }
}

/// rawVforkSyscall pushes its return address back before it compares: the hook goes on that `cmp`, in parent and child.
fn vfork(module: &Module, sites: &[SyscallSite]) -> Option<Hook> {
    // No other function keeps its return address in a register meanwhile, whatever it is named.
    sites.iter().filter(|site| site.number.is_none()).find_map(|site| {
        let decoded = scan::decode(module, &site.function)?;
        let at = decoded.instructions.iter().position(|i| i.ip() == site.address)?;
        let [pop, _, push, compare] = decoded.instructions.get(at.checked_sub(1)?..at + 3)? else { return None };
        let fits = pop.mnemonic() == Mnemonic::Pop
            && push.mnemonic() == Mnemonic::Push
            && pop.op0_register() == push.op0_register()
            && compare.mnemonic() == Mnemonic::Cmp
            && compare.op0_register() == Register::RAX;
        let window = decoded.window(at + 2, false).ok().filter(|_| fits)?;
        Some(Hook { window, entry: Entry::After, number: calls::VFORK, callee: 0 })
    })
}
