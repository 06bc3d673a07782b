//! Per thread: which calls are under way, and whether the thread's records come from a child that shares its memory.
//!
//! Calls nest where a signal handler makes some. A vfork child runs on its parent's stack and thread pointer, so its
//! records bear the parent's name; what it does to descriptors it does to a table of its own, which is thrown away.
//!
//! ```text
//!            PRE vfork/clone/clone3, or a POST of them with result 0
//!   parent ───────────────────────────────────────────────────────▶ child ──┐ PRE execve
//!     ▲ ▲     POST of the same, result not 0; after a PRE exit        │ ▲   ▼
//!     │ └────────────────────────────────────────────────────────────┘ └─ about to execute
//!     └──────────── anything but execve, or its POST ─────────────────────────┘ (POST execve: it failed)
//! ```
//!
//! A process that was scoped in the middle of its own birth (fork) shows the end of that call first, with result 0: that one
//! is not a child's.
//!
//! A child that shares its parent's descriptor table (CLONE_FILES) counts as the parent. Where records were lost, a child's
//! end may have been: what looks like one counts as the parent again after a while.
use crate::call;
use crate::record::{Record, When};
use rustc_hash::FxHashMap;

/// More calls under way in one thread than handlers nest in earnest: the oldest was lost track of.
const NESTING: usize = 16;
/// More names of threads than a process may have: those that are forgotten lose a pairing at worst.
const THREADS: usize = 1 << 16;
/// Buffers kept for reuse, and how large they may be.
const SPARE: usize = 64;
const SPARE_BYTES: usize = 1 << 17;

const CLONE_FILES: u32 = 0x400;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Runs {
    #[default]
    Itself,
    /// `by`: the call that made it.
    Child {
        by: u16,
    },
    ChildAboutToExecute {
        by: u16,
    },
}

struct Pending {
    number: u16,
    a1: u32,
    a2: u64,
    time: u64,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Thread {
    pending: Vec<Pending>,
    runs: Runs,
    /// After a loss: up to when it is believed that a child runs.
    believed_until: Option<u64>,
}

/// What a record means for its thread.
pub enum Step {
    /// A child did it: nothing of ours changes.
    Childs,
    /// Wait for what comes of it.
    Kept,
    /// Act on it. The PRE record's bytes and time, where it was paired with one.
    Act(Option<(Vec<u8>, u64)>),
}

#[derive(Default)]
pub struct Threads {
    threads: FxHashMap<u64, Thread>,
    spare: Vec<Vec<u8>>,
    /// The end of its own birth is to come.
    is_being_born: bool,
}

impl Threads {
    pub fn new(is_being_born: bool) -> Self {
        Self { is_being_born, ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Gives back the buffer of a `Step::Act`.
    pub fn reuse(&mut self, bytes: Vec<u8>) {
        if self.spare.len() < SPARE && bytes.capacity() <= SPARE_BYTES {
            self.spare.push(bytes);
        }
    }

    pub fn forget(&mut self, who: u64) {
        self.threads.remove(&who);
    }

    /// After a loss: calls under way may have ended unseen, and children may have. `believed_until`, in ticks: what a
    /// child did up to then stays its own.
    pub fn forget_calls(&mut self, believed_until: u64) {
        self.threads.retain(|_, thread| thread.runs != Runs::Itself);
        for thread in self.threads.values_mut() {
            thread.pending.clear();
            thread.believed_until.get_or_insert(believed_until);
        }
    }

    /// `bytes`: the whole record.
    pub fn step(&mut self, record: &Record, bytes: &[u8]) -> Step {
        if self.threads.len() >= THREADS && !self.threads.contains_key(&record.who) {
            self.threads.clear();
        }
        if self.is_being_born && call::is_fork(record.number) {
            self.is_being_born = false;
            if record.when == When::Post && record.result == 0 {
                return Step::Childs;
            }
        }
        let thread = self.threads.entry(record.who).or_default();
        if (thread.runs != Runs::Itself || call::is_fork(record.number))
            && let Some(step) = thread.family(record)
        {
            return step;
        }
        match record.when {
            When::Pre if call::acts_before(record.number) => Step::Act(None),
            When::Pre => {
                if thread.pending.len() == NESTING {
                    let oldest = thread.pending.remove(0);
                    if self.spare.len() < SPARE {
                        self.spare.push(oldest.bytes);
                    }
                }
                let mut kept = self.spare.pop().unwrap_or_default();
                kept.clear();
                kept.extend_from_slice(bytes);
                thread.pending.push(Pending {
                    number: record.number,
                    a1: record.a1,
                    a2: record.a2,
                    time: record.time,
                    bytes: kept,
                });
                Step::Kept
            }
            When::Post if call::is_paired(record.number) => {
                let mine = |p: &Pending| p.number == record.number && p.a1 == record.a1 && p.a2 == record.a2;
                let Some(at) = thread.pending.iter().rposition(mine) else { return Step::Act(None) };
                // What was begun after it in this thread never ended: a handler jumped out of it.
                for unended in thread.pending.drain(at + 1..) {
                    if self.spare.len() < SPARE {
                        self.spare.push(unended.bytes);
                    }
                }
                Step::Act(thread.pending.pop().map(|pending| (pending.bytes, pending.time)))
            }
            When::Post => Step::Act(None),
        }
    }
}

impl Thread {
    /// The drawing above. None: the record is the thread's own and has nothing to do with children.
    fn family(&mut self, record: &Record) -> Option<Step> {
        if self.believed_until.is_some_and(|until| record.time > until) {
            (self.runs, self.believed_until) = (Runs::Itself, None);
        }
        if call::is_fork(record.number) {
            return Some(self.birth(record));
        }
        match (self.runs, record.when) {
            (Runs::Itself, _) => return None,
            (Runs::Child { by }, When::Pre) if call::is_exec(record.number) => {
                self.runs = Runs::ChildAboutToExecute { by };
            }
            (Runs::Child { .. }, When::Pre) if matches!(record.number, call::EXIT | call::EXIT_GROUP) => {
                self.end_of_child();
            }
            (Runs::Child { .. }, _) => {}
            // Of a search along PATH not every failure need be seen.
            (Runs::ChildAboutToExecute { .. }, When::Pre) if call::is_exec(record.number) => {}
            (Runs::ChildAboutToExecute { by }, When::Post) if call::is_exec(record.number) => {
                self.runs = Runs::Child { by };
            }
            (Runs::ChildAboutToExecute { .. }, _) => {
                self.end_of_child();
                return None;
            }
        }
        Some(Step::Childs)
    }

    fn birth(&mut self, record: &Record) -> Step {
        let by = match self.runs {
            Runs::Itself => None,
            Runs::Child { by } | Runs::ChildAboutToExecute { by } => Some(by),
        };
        let is_childs_view = record.when == When::Pre || record.result == 0;
        let shares_table = record.number == call::CLONE && record.a1 & CLONE_FILES != 0;
        match by {
            None if is_childs_view && shares_table => Step::Childs,
            None if is_childs_view => {
                self.runs = Runs::Child { by: record.number };
                self.believed_until = None;
                Step::Childs
            }
            None => Step::Act(None),
            // A child's own children are not this process's.
            Some(by) if is_childs_view || by != record.number => Step::Childs,
            Some(_) => {
                self.end_of_child();
                Step::Act(None)
            }
        }
    }

    fn end_of_child(&mut self) {
        (self.runs, self.believed_until) = (Runs::Itself, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Call;

    /// What each record leads to: `-` nothing, `c` a child's, `k` kept, `a` act, `p` act with its PRE.
    fn run(calls: &[Call]) -> String {
        let mut threads = Threads::default();
        let word = |call: &Call| {
            let bytes = call.bytes(0);
            let record = Record::parse(&bytes, 1).expect("a record");
            match threads.step(&record, &bytes) {
                Step::Childs => 'c',
                Step::Kept => 'k',
                Step::Act(None) => 'a',
                Step::Act(Some(_)) => 'p',
            }
        };
        calls.iter().map(word).collect()
    }

    #[test]
    fn pairs_nested_calls_and_drops_what_a_handler_jumped_out_of() {
        let outer = Call::pre(call::WRITE, 3).a2(100);
        let inner = Call::pre(call::WRITE, 4).a2(200);
        let outer_end = Call::post(call::WRITE, 3, 5).a2(100);
        let inner_end = Call::post(call::WRITE, 4, 5).a2(200);
        assert_eq!(run(&[outer.clone(), inner.clone(), inner_end.clone(), outer_end.clone()]), "kkpp");
        assert_eq!(run(&[outer, inner, outer_end, inner_end]), "kkpa");
    }

    #[test]
    fn ones_own_birth_is_not_a_childs() {
        let mut threads = Threads::new(true);
        let calls = [Call::post(call::CLONE3, 0, 0), Call::pre(call::CLOSE, 3), Call::post(call::CLONE3, 0, 0)];
        let childs = calls.map(|call| {
            let bytes = call.bytes(0);
            matches!(threads.step(&Record::parse(&bytes, 1).expect("a record"), &bytes), Step::Childs)
        });
        assert_eq!(
            (childs, threads.threads.values().next().map(|t| t.runs != Runs::Itself)),
            ([true, false, true], Some(true))
        );
    }

    #[test]
    fn a_child_that_executes_ends_with_its_parents_next_record() {
        let calls = [
            Call::pre(call::VFORK, 0),
            Call::pre(call::CLOSE, 3),
            Call::pre(call::EXECVE, 1),
            Call::post(call::EXECVE, 1, -2),
            Call::pre(call::EXECVE, 1),
            Call::post(call::READ, 3, 5),
            Call::pre(call::CLOSE, 3),
        ];
        assert_eq!(run(&calls), "cccccaa");
    }

    #[test]
    fn a_child_that_exits_and_gos_way_of_telling() {
        let calls = [
            Call::post(call::CLONE, 0x4111, 0),
            Call::pre(call::CLOSE, 3),
            Call::post(call::CLONE, 0x4111, 77),
            Call::pre(call::CLOSE, 3),
            Call::pre(call::VFORK, 0),
            Call::pre(call::EXIT, 1),
            Call::pre(call::CLOSE, 4),
        ];
        assert_eq!(run(&calls), "ccaacca");
    }

    #[test]
    fn a_fork_that_fails_leaves_no_child() {
        assert_eq!(
            run(&[Call::pre(call::CLONE3, 0), Call::post(call::CLONE3, 0, -11), Call::pre(call::CLOSE, 3)]),
            "caa"
        );
    }

    #[test]
    fn a_child_that_looks_for_its_program_stays_a_child() {
        let calls = [
            Call::pre(call::VFORK, 0),
            Call::post(call::VFORK, 0, 0),
            Call::post(call::DUP2, 5, 1).a2(1),
            Call::pre(call::EXECVE, 1),
            Call::pre(call::EXECVE, 2),
            Call::pre(call::EXECVE, 3),
            Call::post(call::EXECVE, 3, -2),
            Call::pre(call::CLOSE, 3),
            Call::pre(call::EXIT_GROUP, 127),
            Call::post(call::VFORK, 0, 77),
            Call::pre(call::CLOSE, 3),
        ];
        assert_eq!(run(&calls), "cccccccccaa");
    }

    #[test]
    fn a_childs_own_children_are_none_of_ours() {
        let calls = [
            Call::pre(call::VFORK, 0),
            Call::post(call::FORK, 0, 78),
            Call::pre(call::CLOSE, 3),
            Call::post(call::VFORK, 0, 77),
            Call::post(call::FORK, 0, 79),
        ];
        assert_eq!(run(&calls), "cccaa");
    }

    #[test]
    fn a_child_that_shares_the_table_counts_as_its_parent() {
        const FLAGS: u32 = 0x100 | CLONE_FILES;
        let calls = [
            Call::pre(call::CLONE, FLAGS),
            Call::post(call::CLONE, FLAGS, 0),
            Call::pre(call::CLOSE, 3),
            Call::post(call::CLONE, FLAGS, 77),
        ];
        assert_eq!(run(&calls), "ccaa");
    }

    #[test]
    fn other_threads_go_on_while_one_has_a_child() {
        let calls = [
            Call::pre(call::VFORK, 0),
            Call::pre(call::CLOSE, 3).thread(5),
            Call::post(call::FORK, 0, 70).thread(5),
            Call::pre(call::CLOSE, 3),
        ];
        assert_eq!(run(&calls), "caac");
    }

    #[test]
    fn after_a_loss_a_child_is_believed_in_for_a_while() {
        let mut threads = Threads::default();
        let step = |threads: &mut Threads, call: &Call, time| {
            let bytes = call.bytes(0);
            let record = Record::parse(&bytes, time).expect("a record");
            matches!(threads.step(&record, &bytes), Step::Childs)
        };
        let close = Call::pre(call::CLOSE, 3);
        assert!(step(&mut threads, &Call::pre(call::VFORK, 0), 10));
        threads.forget_calls(100);
        threads.forget_calls(900);
        assert!(step(&mut threads, &close, 100));
        assert!(!step(&mut threads, &close, 101));
        assert!(step(&mut threads, &Call::pre(call::VFORK, 0), 1000));
        assert!(step(&mut threads, &close, 1001));
    }
}
