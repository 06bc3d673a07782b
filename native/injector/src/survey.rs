//! The plan for a whole process: those of its program and libraries, put together. What was planned for a file once serves
//! for every process that has mapped it the same way: a follower sees the same few libraries again and again.
use crate::module::Module;
use crate::plan::Plan;
use crate::procfs::{Mapping, Process};
use crate::refusal::{Reason, Refusal, Result};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::linux::fs::MetadataExt;
use std::rc::Rc;

/// Files whose plans are kept; past that all are forgotten.
const MOST_KEPT: usize = 128;

thread_local! {
    static PLANNED: RefCell<BTreeMap<Identity, Rc<Planned>>> = const { RefCell::new(BTreeMap::new()) };
}

/// A file's content, and how it is mapped: equal ones differ by nothing but their address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    path: String,
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds of the last change of content, and of anything.
    changed: [i64; 4],
    timing: bool,
    /// Of each mapping: distance from the first one, length, offset in the file.
    layout: Vec<[u64; 3]>,
}

/// One module's part, at the address where it was planned.
struct Planned {
    start: u64,
    plan: Plan,
    is_go: bool,
    is_libc: bool,
}

impl Planned {
    fn of(module: &Module, timing: bool) -> Self {
        let start = module.text.first().map_or(0, |m| m.start);
        Self { start, plan: Plan::of(module, timing), is_go: module.is_go(), is_libc: module.is_libc() }
    }
}

/// What is told of a process besides its plan.
#[derive(Clone, Debug)]
pub struct Target {
    pub kind: &'static str,
    pub executable: String,
    pub threads: usize,
    /// Descriptors and mappings that stand for an io_uring: what goes through them makes no system call.
    pub io_urings: usize,
}

impl Target {
    pub fn of(process: &Process, kind: &'static str, threads: usize) -> Self {
        Self { kind, executable: process.link("exe").unwrap_or_default(), threads, io_urings: io_urings(process) }
    }
}

/// A program may close a ring's descriptor once it has registered it with itself; the mapping stays.
fn io_urings(process: &Process) -> usize {
    const LINK: &str = "anon_inode:[io_uring]";
    let fds = process.numbers("fd").unwrap_or_default();
    let open = fds.into_iter().filter(|fd| process.link(&format!("fd/{fd}")).is_ok_and(|link| link == LINK)).count();
    if open > 0 {
        return open;
    }
    usize::from(process.maps().is_ok_and(|maps| maps.iter().any(|m| m.path == LINK)))
}

/// What a plan means for a process, without touching it, and what kind of process it is. `timing`: with what durations
/// need.
pub fn survey(process: &Process, maps: &[Mapping], timing: bool) -> Result<(Plan, &'static str)> {
    let mut parts: Vec<(u64, Rc<Planned>)> = Module::mapped(maps)
        .into_iter()
        .filter_map(|text| Some((text.first()?.start, planned(process, text, timing)?)))
        .collect();
    parts.sort_by_key(|(start, _)| *start);
    Ok(together(&parts))
}

/// What a plan for one program file or library on its own would be.
pub fn survey_file(path: &str, timing: bool) -> Result<(Plan, &'static str)> {
    let bad = |why: String| Refusal::new(Reason::InvalidArgument, format!("--file {path}: {why}"));
    let file = File::open(path).map_err(|e| bad(e.to_string()))?;
    let module = Module::of_file(&file, path).ok_or_else(|| bad("no 64-bit ELF file with code".to_owned()))?;
    let planned = Rc::new(Planned::of(&module, timing));
    Ok(together(&[(planned.start, planned)]))
}

fn together(parts: &[(u64, Rc<Planned>)]) -> (Plan, &'static str) {
    let mut plan = Plan::empty(false);
    for (start, part) in parts {
        plan.add(part.plan.moved(start.wrapping_sub(part.start)));
    }
    plan.hooks.sort_by_key(|h| h.window.address);
    let is_go = parts.iter().any(|(_, p)| p.is_go);
    let kind = match (is_go, parts.len() == 1, plan.is_musl) {
        (true, true, _) => "go-static",
        (true, false, _) => "go-cgo",
        (_, true, true) => "musl-static",
        (_, false, true) => "musl-dynamic",
        (_, true, false) => "static",
        (_, false, false) if parts.iter().any(|(_, p)| p.is_libc) => "glibc-dynamic",
        _ => "other",
    };
    (plan, kind)
}

fn planned(process: &Process, text: Vec<Mapping>, timing: bool) -> Option<Rc<Planned>> {
    let identity = identity(process, &text, timing);
    let known = identity.as_ref().and_then(|i| PLANNED.with_borrow(|p| p.get(i).cloned()));
    if known.is_some() {
        return known;
    }
    let planned = Rc::new(Planned::of(&Module::load(process, text)?, timing));
    if let Some(identity) = identity {
        PLANNED.with_borrow_mut(|kept| {
            if kept.len() >= MOST_KEPT {
                kept.clear();
            }
            kept.insert(identity, Rc::clone(&planned));
        });
    }
    Some(planned)
}

fn identity(process: &Process, text: &[Mapping], timing: bool) -> Option<Identity> {
    let first = text.first()?;
    let file = process.file(&format!("map_files/{:x}-{:x}", first.start, first.end), libc::O_PATH).ok()?;
    let facts = file.metadata().ok()?;
    Some(Identity {
        path: first.path.clone(),
        device: facts.st_dev(),
        inode: facts.st_ino(),
        bytes: facts.len(),
        changed: [facts.st_mtime(), facts.st_mtime_nsec(), facts.st_ctime(), facts.st_ctime_nsec()],
        timing,
        layout: text.iter().map(|m| [m.start - first.start, m.end - m.start, m.offset]).collect(),
    })
}
