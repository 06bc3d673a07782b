//! Decides, while the target runs and nothing is touched, which instructions will carry hooks.
use crate::calls::{self, Need};
use crate::cancellation;
use crate::funnels;
use crate::go;
use crate::module::Module;
use crate::scan::{self, SYSCALL_LENGTH, SyscallSite, Window};
use crate::underway::Underway;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Before,
    After,
    /// Where a function is entered that makes one kind of call only: every register is as the caller set it, and stays so.
    Entered,
    /// Replaces Go's one `call Syscall6`.
    GoCall,
    GoAfter,
    /// Stands before the call and makes it itself, so that it sees both sides. Only for calls that never wait.
    Around,
    /// The same, looking only at what came after.
    AroundAfter,
    /// Before a call whose number is known only as it happens, or whose arguments are gone behind it: keeps them until
    /// the `Kept` or `KeptReturn` of the same function instance.
    Keep,
    /// The same at `call __internal_syscall_cancel` (glibc 2.41 and later): number on the stack, C's registers.
    KeepCancel,
    /// The same at `call __syscall_cp` (musl): number and arguments in C's registers, the last one on the stack.
    KeepCp,
    /// Behind a call: takes what `Keep` kept; result in rax.
    Kept,
    /// At the branch to musl's `__syscall_ret`: result in rdi.
    KeptReturn,
    /// In glibc's handler of its own signal for cancellation, where the thread's fate is settled.
    Cancelled,
    /// At `call __clone` (musl, whose own system call has no room beside it): flags in rdx.
    BeforeClone,
}

/// One hook to be placed.
#[derive(Clone, Debug)]
pub struct Hook {
    pub window: Window,
    pub entry: Entry,
    pub number: u32,
    /// For hooks that replace a `call` or `jmp`: where it goes.
    pub callee: u64,
}

impl Hook {
    /// The call that it is for; `None`: for whatever comes.
    fn call(&self) -> Option<&'static str> {
        let by_number = matches!(self.entry, Entry::GoCall | Entry::GoAfter | Entry::Cancelled);
        (!by_number && self.number != calls::BY_NUMBER).then(|| calls::name(self.number))
    }

    /// Sees what a call is given.
    fn is_before(&self) -> bool {
        !matches!(self.entry, Entry::After | Entry::AroundAfter | Entry::GoAfter | Entry::Kept | Entry::KeptReturn)
    }
}

/// Two code sequences of the target's own that let a remote call survive this program's death: see remote.rs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gadgets {
    /// `syscall; ret`.
    pub call: u64,
    pub back: Back,
}

/// How a thread gets into rt_sigreturn by `ret` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// `mov $15,%eax; syscall`.
    Sigreturn(u64),
    /// `pop %rax; ret`, for programs that handle no signal: then into `syscall; ret`.
    PopRax(u64),
}

#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub hooks: Vec<Hook>,
    /// Places where a `syscall` instruction stands.
    pub found: usize,
    /// `syscall` byte pairs inside no function that is known.
    pub unknown: usize,
    pub hooked_calls: BTreeSet<&'static str>,
    /// A call of interest that is made somewhere without a full hook: its name, where, why.
    pub partial: Vec<Partial>,
    pub skipped: BTreeMap<&'static str, usize>,
    timing: bool,
    /// Calls whose duration was asked for and is not seen, since no hook fits before them: their names, where.
    pub untimed: Vec<(&'static str, u64)>,
    /// Sites whose number no constant tells: function and address.
    pub unnumbered: Vec<(String, u64)>,
    call_gadget: Option<u64>,
    sigreturn_gadget: Option<u64>,
    pop_gadget: Option<u64>,
    /// Every change of what is mapped is seen, so that data may be copied ahead of a call.
    pub memory_followed: bool,
    pub go_version: Option<String>,
    pub is_musl: bool,
    pub underway: Underway,
    /// Address ranges of Go's own system call function: a thread there stands on a goroutine's stack.
    pub goroutine_calls: Vec<std::ops::Range<u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    pub call: &'static str,
    pub function: String,
    pub address: u64,
    pub why: &'static str,
}

/// Only executed, never changed: these bytes serve wherever they stand, between instructions or inside one.
const CALL: &[u8] = b"\x0f\x05\xc3";
const POP_RAX: &[u8] = b"\x58\xc3";
const SIGRETURN: &[&[u8]] = &[b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", b"\xb8\x0f\x00\x00\x00\x0f\x05"];

impl Plan {
    /// Of no module. `timing`: with what durations need.
    pub fn empty(timing: bool) -> Self {
        Self { memory_followed: true, timing, ..Self::default() }
    }

    /// Of one module.
    pub fn of(module: &Module, timing: bool) -> Self {
        let mut plan = Self::empty(timing);
        let (sites, unknown) = scan::scan(module);
        plan.found = sites.len();
        plan.unknown = unknown;
        plan.call_gadget = module.find_bytes(CALL);
        plan.sigreturn_gadget = SIGRETURN.iter().find_map(|b| module.find_bytes(b));
        plan.pop_gadget = module.find_bytes(POP_RAX);
        if module.is_go() {
            plan.go_version.clone_from(&module.go_version);
            let linked = go::plan(module, &sites, &mut plan);
            if !linked.is_empty() {
                plan.native(module, &linked);
            }
        } else {
            plan.native(module, &sites);
        }
        plan.hooks.sort_by_key(|h| h.window.address);
        plan.drop_overlaps();
        plan
    }

    /// Code of C and its kin.
    fn native(&mut self, module: &Module, sites: &[SyscallSite]) {
        let done = funnels::plan(module, sites, self);
        cancellation::plan(module, self);
        for site in sites.iter().filter(|s| !done.contains(&s.address)) {
            self.site(site);
        }
    }

    /// The same, for the module at another place: by so many bytes further up.
    pub fn moved(&self, by: u64) -> Self {
        let to = |address: u64| address.wrapping_add(by);
        let keys = |map: &BTreeMap<u64, i64>| map.iter().map(|(&at, &depth)| (to(at), depth)).collect();
        let mut plan = self.clone();
        for hook in &mut plan.hooks {
            hook.window.address = to(hook.window.address);
            hook.window.relative = hook.window.relative.map(|(at, address)| (at, to(address)));
            hook.window.less_than = hook.window.less_than.map(to);
            hook.callee = if hook.callee == 0 { 0 } else { to(hook.callee) };
        }
        for place in &mut plan.partial {
            place.address = if place.address == 0 { 0 } else { to(place.address) };
        }
        for (_, address) in &mut plan.unnumbered {
            *address = to(*address);
        }
        for (_, address) in &mut plan.untimed {
            *address = to(*address);
        }
        for gadget in [&mut plan.call_gadget, &mut plan.sigreturn_gadget, &mut plan.pop_gadget] {
            *gadget = gadget.map(to);
        }
        for range in &mut plan.goroutine_calls {
            *range = to(range.start)..to(range.end);
        }
        plan.underway = Underway {
            sites: keys(&self.underway.sites),
            inside: keys(&self.underway.inside),
            callers: keys(&self.underway.callers),
        };
        plan
    }

    /// Adds that of another module.
    pub fn add(&mut self, other: Self) {
        self.hooks.extend(other.hooks);
        self.found += other.found;
        self.unknown += other.unknown;
        self.hooked_calls.extend(other.hooked_calls);
        self.partial.extend(other.partial);
        self.untimed.extend(other.untimed);
        for (why, count) in other.skipped {
            *self.skipped.entry(why).or_default() += count;
        }
        self.unnumbered.extend(other.unnumbered);
        self.call_gadget = self.call_gadget.or(other.call_gadget);
        self.sigreturn_gadget = self.sigreturn_gadget.or(other.sigreturn_gadget);
        self.pop_gadget = self.pop_gadget.or(other.pop_gadget);
        self.memory_followed &= other.memory_followed;
        self.go_version = self.go_version.take().or(other.go_version);
        self.is_musl |= other.is_musl;
        self.underway.sites.extend(other.underway.sites);
        self.underway.inside.extend(other.underway.inside);
        self.underway.callers.extend(other.underway.callers);
        self.goroutine_calls.extend(other.goroutine_calls);
    }
}

impl Plan {
    pub fn skip(&mut self, why: &'static str) {
        *self.skipped.entry(why).or_default() += 1;
    }

    pub fn partial(&mut self, call: &'static str, site: &SyscallSite, why: &'static str) {
        self.partial.push(Partial { call, function: site.function.name.clone(), address: site.address, why });
    }

    pub fn partial_at(&mut self, call: &'static str, function: &str, address: u64, why: &'static str) {
        self.partial.push(Partial { call, function: function.to_owned(), address, why });
    }

    /// A call of this number goes through a hook that sees every number.
    pub fn covers(&mut self, number: Option<u32>) {
        self.hooked_calls.extend(number.filter(|&n| calls::need(n).is_some()).map(calls::name));
    }

    pub fn push(&mut self, window: &Window, entry: Entry, number: u32) {
        self.hooks.push(Hook { window: window.clone(), entry, number, callee: 0 });
        if number != calls::BY_NUMBER {
            self.hooked_calls.insert(calls::name(number));
        }
    }

    /// One ordinary site: the number is a constant, the hooks stand beside the `syscall`.
    pub fn site(&mut self, site: &SyscallSite) {
        let Some(number) = site.number else {
            // Through libc's syscall() anything can be called.
            match (site.function.name.as_str(), &site.before, &site.after) {
                ("syscall", Ok(before), Ok(after)) if before.depth.is_some() && after.depth.is_some() => {
                    self.underway.sites.extend(before.depth.map(|depth| (site.address + SYSCALL_LENGTH, depth)));
                    self.push(before, Entry::Keep, calls::BY_NUMBER);
                    self.push(after, Entry::Kept, calls::BY_NUMBER);
                }
                _ => {
                    self.skip("NumberUnknown");
                    self.unnumbered.push((site.function.name.clone(), site.address));
                }
            }
            return;
        };
        let Some(need) = calls::need(number) else {
            self.skip("NotInteresting");
            return;
        };
        let call = calls::name(number);
        let (before, after) = (site.before.as_ref(), site.after.as_ref());
        if self.timing && calls::is_timed(number) {
            return self.timed_site(site, number);
        }
        let lacks = match need {
            Need::After | Need::AfterAndBefore | Need::Either => after.is_err(),
            Need::BeforeElseAfter | Need::BeforeIfAny => false,
            Need::MemoryBefore => before.is_err(),
            Need::MemoryBoth => before.is_err() || after.is_err(),
        };
        if let (true, false, Ok(w)) = (lacks, calls::may_wait(number), &site.around) {
            self.push(w, if need == Need::After { Entry::AroundAfter } else { Entry::Around }, number);
            return;
        }
        match need {
            Need::After => match after {
                Ok(w) => self.push(w, Entry::After, number),
                Err(e) => self.partial(call, site, e.text()),
            },
            Need::AfterAndBefore => match (before, after) {
                (Ok(b), Ok(a)) => {
                    self.push(b, Entry::Before, number);
                    self.push(a, Entry::After, number);
                }
                (Err(e), Ok(a)) => {
                    self.push(a, Entry::After, number);
                    self.partial(call, site, e.text());
                }
                (_, Err(e)) => self.partial(call, site, e.text()),
            },
            Need::BeforeIfAny => {
                if let Ok(w) = before {
                    self.push(w, Entry::Before, number);
                }
            }
            Need::BeforeElseAfter => match (before, after) {
                (Ok(w), _) => self.push(w, Entry::Before, number),
                (Err(e), Ok(w)) => {
                    self.push(w, Entry::After, number);
                    self.partial(call, site, e.text());
                }
                (Err(e), Err(_)) => self.partial(call, site, e.text()),
            },
            Need::Either => {
                for (window, entry) in [(before, Entry::Before), (after, Entry::After)] {
                    if let Ok(w) = window {
                        self.push(w, entry, number);
                    }
                }
                if let (Err(e), Err(_)) = (before, after) {
                    self.partial(call, site, e.text());
                }
            }
            Need::MemoryBefore | Need::MemoryBoth => {
                match before {
                    Ok(w) => self.push(w, Entry::Before, number),
                    Err(e) => {
                        self.memory_followed &= site.is_startup;
                        self.partial(call, site, e.text());
                    }
                }
                if need == Need::MemoryBoth {
                    match after {
                        Ok(w) => self.push(w, Entry::After, number),
                        Err(e) => self.partial(call, site, e.text()),
                    }
                }
            }
        }
    }

    /// A call whose duration is asked for: the hook behind it, and one before it, where its function is entered or beside it.
    fn timed_site(&mut self, site: &SyscallSite, number: u32) {
        match &site.after {
            Ok(after) => self.push(after, Entry::After, number),
            Err(e) => return self.partial(calls::name(number), site, e.text()),
        }
        // One hook for all of a function's calls, or one each: never two before one call.
        match (&site.entry, &site.before) {
            (Ok(entry), _) if self.hooks.iter().any(|h| h.window.address == entry.address) => {}
            (Ok(entry), _) => self.push(entry, Entry::Entered, number),
            (Err(_), Ok(before)) => self.push(before, Entry::Before, number),
            (Err(_), Err(_)) => self.untimed.push((calls::name(number), site.address)),
        }
    }

    /// Two system calls side by side could want one instruction twice: the later hook goes.
    fn drop_overlaps(&mut self) {
        let mut end = 0;
        for hook in std::mem::take(&mut self.hooks) {
            if hook.window.address >= end {
                end = hook.window.address + hook.window.bytes.len() as u64;
                self.hooks.push(hook);
            } else {
                self.skip("Overlap");
                self.partial_at(calls::name(hook.number), "", hook.window.address, "another call's hook stands there");
            }
        }
    }

    /// Leaves out every hook that does not pass, since somebody else has changed its place, and says what is then not seen.
    pub fn retain(&mut self, mut passes: impl FnMut(&Hook) -> bool) {
        const WHY: &str = "changed in memory by somebody else (a debugger, a uprobe)";
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.hooks).into_iter().partition(|h| passes(h));
        let own: BTreeSet<&str> =
            kept.iter().chain(&gone).filter(|h| h.entry != Entry::Keep).filter_map(Hook::call).collect();
        self.hooks = kept;
        for hook in gone {
            self.skip("ChangedInMemory");
            if hook.entry == Entry::Cancelled {
                continue; // it sees no call
            }
            if hook.is_before() && hook.call().is_none_or(|_| calls::need(hook.number).is_some_and(Need::is_memory)) {
                self.memory_followed = false;
            }
            // What has no hook of its own, or only one that keeps, goes through those that see any call.
            let calls: Vec<&str> = match hook.call() {
                Some(call) => vec![call],
                None => self.hooked_calls.iter().copied().filter(|call| !own.contains(call)).collect(),
            };
            for call in calls {
                self.partial_at(call, "", hook.window.address, WHY);
                if !self.sees(call, hook.call().is_none()) {
                    self.hooked_calls.remove(call);
                }
            }
        }
    }

    /// Whether a hook is left that sees the call, by itself or with all others.
    fn sees(&self, call: &str, with_others: bool) -> bool {
        if with_others {
            let any = |entries: &[Entry]| self.hooks.iter().any(|h| entries.contains(&h.entry));
            return any(&[Entry::GoCall, Entry::Keep, Entry::KeepCancel, Entry::KeepCp])
                && any(&[Entry::GoAfter, Entry::Kept, Entry::KeptReturn]);
        }
        self.hooks.iter().filter(|hook| hook.call() == Some(call)).any(|hook| {
            let needs_end = matches!(calls::need(hook.number), Some(Need::After | Need::AfterAndBefore));
            !needs_end || !matches!(hook.entry, Entry::Before | Entry::Entered)
        })
    }

    pub fn gadgets(&self) -> Option<Gadgets> {
        let back = self.sigreturn_gadget.map(Back::Sigreturn).or(self.pop_gadget.map(Back::PopRax))?;
        Some(Gadgets { call: self.call_gadget?, back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(hooks: &[(Entry, u32)], hooked: &[&'static str]) -> Plan {
        let mut plan = Plan::empty(false);
        for (i, &(entry, number)) in hooks.iter().enumerate() {
            let window = Window {
                address: 0x1000 + 16 * i as u64,
                bytes: vec![0x90; 5],
                relative: None,
                ahead: Vec::new(),
                less_than: None,
                keep_flags: false,
                returns: false,
                depth: None,
            };
            plan.hooks.push(Hook { window, entry, number, callee: 0 });
        }
        plan.hooked_calls.extend(hooked);
        plan
    }

    fn without(mut plan: Plan, gone: &[usize]) -> (Vec<&'static str>, Vec<&'static str>, bool) {
        let gone: Vec<u64> = gone.iter().map(|&i| 0x1000 + 16 * i as u64).collect();
        plan.retain(|hook| !gone.contains(&hook.window.address));
        assert_eq!(plan.skipped.get("ChangedInMemory").copied().unwrap_or(0), gone.len());
        (plan.hooked_calls.into_iter().collect(), plan.partial.iter().map(|p| p.call).collect(), plan.memory_followed)
    }

    const READ: u32 = 0;
    const WRITE: u32 = 1;
    const CLOSE: u32 = 3;

    #[test]
    fn a_call_whose_places_are_changed_is_not_seen_there() {
        let hooks = [(Entry::After, READ), (Entry::After, READ), (Entry::Before, WRITE), (Entry::After, WRITE)];
        let plan = plan(&hooks, &["read", "write"]);
        assert_eq!(without(plan.clone(), &[]), (vec!["read", "write"], vec![], true));
        assert_eq!(without(plan.clone(), &[0]), (vec!["read", "write"], vec!["read"], true));
        assert_eq!(without(plan.clone(), &[0, 1]), (vec!["write"], vec!["read", "read"], true));
        assert_eq!(without(plan.clone(), &[2]), (vec!["read", "write"], vec!["write"], true));
        assert_eq!(without(plan, &[3]), (vec!["read"], vec!["write"], true), "its end is what counts");
    }

    #[test]
    fn without_the_hook_before_an_unmapping_nothing_is_copied_ahead() {
        let plan = plan(&[(Entry::Before, calls::MUNMAP), (Entry::Before, CLOSE)], &["munmap", "close"]);
        assert_eq!(without(plan.clone(), &[1]), (vec!["munmap"], vec!["close"], true));
        assert_eq!(without(plan, &[0]), (vec!["close"], vec!["munmap"], false));
    }

    #[test]
    fn the_hook_for_cancelled_threads_sees_no_call() {
        let plan = plan(&[(Entry::After, READ), (Entry::Cancelled, calls::BY_NUMBER)], &["read"]);
        assert_eq!(without(plan, &[1]), (vec!["read"], vec![], true));
    }

    #[test]
    fn what_goes_through_a_hook_for_all_goes_with_it() {
        let go = plan(&[(Entry::GoCall, 0), (Entry::GoAfter, 0), (Entry::Before, calls::MUNMAP)], &["munmap", "read"]);
        assert_eq!(without(go, &[1]), (vec!["munmap"], vec!["read"], true));
        let by_number = calls::BY_NUMBER;
        let hooks = [
            (Entry::KeepCp, by_number),
            (Entry::KeepCp, by_number),
            (Entry::Keep, READ),
            (Entry::KeptReturn, by_number),
        ];
        let musl = plan(&hooks, &["read", "recvfrom"]);
        let both = vec!["read", "recvfrom"];
        assert_eq!(without(musl.clone(), &[0]), (both.clone(), both, false), "it may have unmapped something");
        assert_eq!(without(musl, &[3]), (vec![], vec!["read", "recvfrom"], true));
    }
}
