//! Puts the scope into a process. The order is such that every prefix of it leaves a valid program:
//! plan (nothing touched) → map memory (one thread, ~0.2 ms) → write code → stop all → verify, patch, switch on → go on.
use crate::assemble::{self, Common, Patch};
use crate::layout::{Layout, PAGE};
use crate::mend;
use crate::pagemap;
use crate::place;
use crate::plan::{Hook, Plan};
use crate::preflight;
use crate::procfs::{Mapping, Process};
use crate::refusal::{Reason, Refusal, Result};
use crate::remote::{Memory, Worker};
use crate::room;
use crate::shared::SharedMemory;
use crate::survey::{Target, survey};
use crate::world::World;
use scope_abi as abi;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of one ring, a power of two.
    pub ring_bytes: u64,
    /// Most data bytes that one record carries.
    pub capture_bytes: u32,
    /// Descriptors 1 and 2 carry data even where they are plain files.
    pub console: bool,
    /// Durations of calls are asked for: further hooks before calls, and a timed record of each.
    pub timing: bool,
    /// A scope that is there already (its agent died) is taken out first, instead of refusing.
    pub replace: bool,
}

#[derive(Debug)]
pub struct Attached {
    pub plan: Rc<Plan>,
    pub sites: usize,
    pub ring_address: u64,
    pub ring_bytes: u64,
    pub start_time: u64,
    pub target: Target,
    pub stopped: Duration,
    /// Something of an earlier scope was found and taken out first.
    pub leftovers: bool,
    /// Adopted: another build made it. It can be read, and is better replaced.
    pub is_of_another_build: bool,
}

/// Takes over a scope whose agent is gone: the target is not touched, its ring goes on from where it was read last.
///
/// # Errors
/// NotScoped; ABIMismatch where another version made it: attach with `--replace` then.
pub fn adopt(process: &Process) -> Result<Attached> {
    let (_, maps) = preflight::check(process, true)?;
    let memory = Memory::open(process)?;
    let remains = mend::find(process, &maps)?;
    let Some(live) = remains.iter().find(|r| r.is_live(process, &memory)) else {
        return Err(Refusal::new(Reason::NotScoped, format!("process {} is not scoped", process.pid)));
    };
    if live.header.abi_version != abi::ABI_VERSION {
        return Err(Refusal::new(
            Reason::ABIMismatch,
            format!(
                "process {} carries a scope of another version (layout {}, this one is {}): replace it",
                process.pid,
                live.header.abi_version,
                abi::ABI_VERSION
            ),
        ));
    }
    let ring = live.mappings.iter().find(|m| m.start == live.header.shared_address && m.write);
    let Some(ring) = ring else {
        return Err(Refusal::internal(format!("process {}: its ring is not where its header says", process.pid)));
    };
    let (plan, kind) = survey(process, &maps, false)?;
    Ok(Attached {
        sites: live.sites.len(),
        plan: Rc::new(plan),
        ring_address: ring.start,
        ring_bytes: ring.end - ring.start,
        start_time: live.header.start_time,
        target: Target::of(process, kind, process.threads()?.len()),
        stopped: Duration::ZERO,
        leftovers: false,
        is_of_another_build: live.header.build != assemble::build(),
    })
}

pub fn attach(process: &Process, options: &Options) -> Result<Attached> {
    let mut leftovers = false;
    let mut last = None;
    for _ in 0..3 {
        match attach_once(process, options, &mut leftovers) {
            Err(e) if e.is_passing => last = Some(e),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| Refusal::internal("no attempt was made")))
}

fn attach_once(process: &Process, options: &Options, leftovers: &mut bool) -> Result<Attached> {
    let has_rdpid = preflight::processor()?;
    let (status, mut maps) = preflight::check(process, true)?;
    let start_time = process.start_time()?;
    let suspend_seccomp = status.seccomp != 0;
    let memory = Memory::open(process)?;
    let (mut plan, mut kind) = survey(process, &maps, options.timing)?;

    let remains = mend::find(process, &maps)?;
    for left in &remains {
        if left.is_live(process, &memory) && !options.replace {
            return Err(Refusal::new(
                Reason::AlreadyScoped,
                format!("process {} is scoped already; `scope detach {}` ends that", process.pid, process.pid),
            ));
        }
        left.remove(process, &memory, plan.gadgets(), &plan, suspend_seccomp)?;
        *leftovers = true;
    }
    if !remains.is_empty() {
        maps = process.maps()?;
        (plan, kind) = survey(process, &maps, options.timing)?;
    }
    close_leftover_files(process, &memory, &plan, suspend_seccomp)?;

    verify_text(&memory, &mut plan);
    if plan.hooks.is_empty() {
        return Err(Refusal::new(
            Reason::NoHookableSites,
            format!(
                "process {}: of {} places that look like a system call, {} are in functions that could be decoded, and none of \
                 those can carry a hook safely; `scope inspect {}` says why",
                process.pid,
                plan.found + plan.unknown,
                plan.found,
                process.pid
            ),
        ));
    }
    let Some(gadgets) = plan.gadgets() else {
        return Err(Refusal::new(
            Reason::NoHookableSites,
            format!(
                "process {} has no code of its own that leads into rt_sigreturn: it can't be entered safely",
                process.pid
            ),
        ));
    };

    let addresses: Vec<u64> = plan.hooks.iter().map(|h| h.window.address).collect();
    let groups = place::clusters(&addresses);
    if groups.len() > abi::MAX_AREAS {
        return Err(Refusal::new(
            Reason::MemoryMapRefused,
            format!("process {}: its text is spread too widely", process.pid),
        ));
    }
    let code_bytes = groups.iter().map(|g| assemble::area_bytes(g.len())).max().unwrap_or(0) as u64;
    let mut areas: Vec<(u64, u64)> = Vec::new();
    for g in &groups {
        let (low, high) = (addresses[g.start], addresses[g.end - 1]);
        // The first area has the page of the hooks' state right behind it.
        let bytes = code_bytes + if areas.is_empty() { PAGE } else { 0 };
        let at = place::find_gap(&maps, low, high, bytes, &areas).ok_or_else(|| {
            Refusal::new(
                Reason::MemoryMapRefused,
                format!("process {}: no free memory within reach of its text", process.pid),
            )
        })?;
        areas.push((at, at + bytes));
    }
    let state = areas[0].0 + code_bytes;

    let layout = Layout::new(ring_count(), options.ring_bytes, plan.hooks.len() as u64, areas.len() as u64, code_bytes);
    let mut images = Vec::new();
    let mut patches: Vec<Patch> = Vec::new();
    let common = Common {
        state,
        has_rdpid,
        areas: areas.iter().map(|area| abi::Area { address: area.0, length: code_bytes }).collect(),
    };
    for (g, area) in groups.iter().zip(&areas) {
        let hooks: Vec<&Hook> = plan.hooks[g.clone()].iter().collect();
        let (image, p) = assemble::assemble(area.0, &hooks, &common)?;
        images.push(image);
        patches.extend(p);
    }

    room::check(process, patched_bytes(&patches))?;
    let mut worker = Worker::find(process, &memory, gadgets, suspend_seccomp, &plan.goroutine_calls)?;
    let mapped = map_memory(process, &mut worker, &layout, &areas, state);
    match &mapped {
        Ok(_) => worker.release()?,
        Err(_) => worker.abandon(),
    }
    let (file, shared_address) = mapped?;

    let outcome = fill(
        process,
        &memory,
        &file,
        &FillIn {
            layout: &layout,
            areas: &areas,
            images: &images,
            patches: &patches,
            state,
            shared_address,
            start_time,
            options,
            brk: heap_end(&maps),
        },
    )
    .and_then(|shared| commit(process, &memory, &shared, &layout, &patches, state, options, &plan, suspend_seccomp));
    let (threads, stopped) = match outcome {
        Ok(done) => done,
        Err(error) => {
            // Nothing of ours stays in a process that was not scoped.
            if let Ok(maps) = process.maps() {
                for left in mend::find(process, &maps).unwrap_or_default() {
                    let _ = left.remove(process, &memory, Some(gadgets), &plan, suspend_seccomp);
                }
            }
            return Err(error);
        }
    };
    Ok(Attached {
        sites: patches.len(),
        plan: Rc::new(plan),
        ring_address: shared_address,
        ring_bytes: layout.total,
        start_time,
        target: Target::of(process, kind, threads),
        stopped,
        leftovers: *leftovers,
        is_of_another_build: false,
    })
}

/// Pages of text that the target will have copies of its own of.
fn patched_bytes(patches: &[Patch]) -> u64 {
    patches.iter().map(|p| p.address / PAGE).collect::<BTreeSet<_>>().len() as u64 * PAGE
}

/// As many rings as processors, as a power of two, at most eight.
pub fn ring_count() -> u64 {
    let n = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    n.next_power_of_two().min(8)
}

pub fn heap_end(maps: &[Mapping]) -> u64 {
    maps.iter().filter(|m| m.path == "[heap]").map(|m| m.end).max().unwrap_or(0)
}

/// A killed attach may have left the shared memory's descriptor open, before anything was mapped.
fn close_leftover_files(process: &Process, memory: &Memory, plan: &Plan, suspend_seccomp: bool) -> Result<()> {
    let name = format!("/memfd:{}", abi::MEMFD_NAME);
    let fds = process.numbers("fd").unwrap_or_default();
    let ours: Vec<i32> =
        fds.into_iter().filter(|fd| process.link(&format!("fd/{fd}")).is_ok_and(|l| l.starts_with(&name))).collect();
    let (false, Some(gadgets)) = (ours.is_empty(), plan.gadgets()) else { return Ok(()) };
    let mut worker = Worker::find(process, memory, gadgets, suspend_seccomp, &plan.goroutine_calls)?;
    for fd in ours {
        let _ = worker.call(libc::SYS_close, [fd.cast_unsigned().into(), 0, 0, 0, 0, 0])?;
    }
    worker.release()
}

/// Memory must equal the file at every site: otherwise a debugger or a uprobe owns that place, and it is left alone.
pub fn verify_text(memory: &Memory, plan: &mut Plan) {
    plan.retain(|h| {
        let mut now = vec![0u8; h.window.bytes.len()];
        memory.read(h.window.address, &mut now).is_ok() && now == h.window.bytes
    });
}

pub const READ_WRITE: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;
pub const READ_EXECUTE: u64 = (libc::PROT_READ | libc::PROT_EXEC) as u64;
pub const MADV_DONTFORK: u64 = 10;

/// Why the target could not map something for us.
pub fn map_refused(pid: i32, what: &str, errno: i32) -> Refusal {
    if errno == libc::EEXIST {
        return Refusal::passing(Reason::MemoryMapRefused, format!("process {pid}, {what}: its memory map moved"));
    }
    let error = std::io::Error::from_raw_os_error(errno);
    let advice = match errno {
        libc::EMFILE => "an attach needs a descriptor for a moment: raise the limit (prlimit --nofile), or close some",
        libc::ENOMEM => "an attach needs some MiB of address space: raise the limit (prlimit --as), or unmap some",
        _ => "its limits or its security policy forbid it",
    };
    Refusal::new(Reason::MemoryMapRefused, format!("process {pid}, {what}: {error}; {advice}"))
}

/// The target makes the shared memory; its descriptor there.
pub fn make_file(process: &Process, worker: &mut Worker<'_>) -> Result<u64> {
    const MFD_CLOEXEC: u64 = 1;
    const MFD_ALLOW_SEALING: u64 = 2;
    const MFD_EXEC: u64 = 0x10;
    const FLAGS: u64 = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    let mut name = abi::MEMFD_NAME.as_bytes().to_vec();
    name.push(0);
    let name = worker.put(&name)?;
    let mut fd = worker.call(libc::SYS_memfd_create, [name, FLAGS | MFD_EXEC, 0, 0, 0, 0])?;
    if fd == Err(libc::EINVAL) {
        fd = worker.call(libc::SYS_memfd_create, [name, FLAGS, 0, 0, 0, 0])?;
    }
    fd.map_err(|e| map_refused(process.pid, "making the shared memory", e))
}

pub fn open_file(process: &Process, fd: u64) -> Result<File> {
    process
        .file(&format!("fd/{fd}"), libc::O_RDWR)
        .map_err(|e| Refusal::io(process.pid, "opening the shared memory", &e))
}

/// The calls that the target makes for us. On failure what was mapped is unmapped again.
fn map_memory(
    process: &Process,
    worker: &mut Worker<'_>,
    layout: &Layout,
    areas: &[(u64, u64)],
    state: u64,
) -> Result<(File, u64)> {
    const MADV_WIPEONFORK: u64 = 18;
    let pid = process.pid;
    let refused = |what: &str, errno: i32| map_refused(pid, what, errno);
    let fd = make_file(process, worker)?;
    let mut made: Vec<(u64, u64)> = Vec::new();
    let result = (|| -> Result<(File, u64)> {
        let file = open_file(process, fd)?;
        mark(process, &file, layout, areas, state)?;
        let fixed = libc::MAP_FIXED_NOREPLACE as u64;
        let mut map = |worker: &mut Worker<'_>, what: &str, args: [u64; 6]| -> Result<u64> {
            let at = worker.call(libc::SYS_mmap, args)?.map_err(|e| refused(what, e))?;
            made.push((at, args[1]));
            // Kernels before 4.17 take the address for a hint.
            if args[0] != 0 && at != args[0] { Err(refused(what, libc::EEXIST)) } else { Ok(at) }
        };
        // What has a place of its own goes first: the ring may go anywhere. The state takes the page at the end of the first
        // area: nobody finds it by a name, so it never stands alone.
        for (i, area) in areas.iter().enumerate() {
            let offset = layout.code + i as u64 * layout.code_bytes;
            let args = [area.0, area.1 - area.0, READ_EXECUTE, libc::MAP_PRIVATE as u64 | fixed, fd, offset];
            map(worker, "mapping the code", args)?;
        }
        let own = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
        worker
            .call(libc::SYS_mmap, [state, PAGE, READ_WRITE, own, u64::MAX, 0])?
            .map_err(|e| refused("mapping its state", e))?;
        let shared = map(worker, "mapping the ring", [0, layout.total, READ_WRITE, libc::MAP_SHARED as u64, fd, 0])?;
        worker
            .call(libc::SYS_madvise, [shared, layout.total, MADV_DONTFORK, 0, 0, 0])?
            .map_err(|e| refused("hiding the ring from its children", e))?;
        worker
            .call(libc::SYS_madvise, [state, PAGE, MADV_WIPEONFORK, 0, 0, 0])?
            .map_err(|e| refused("switching off the hooks in its children", e))?;
        Ok((file, shared))
    })();
    if result.is_err() {
        for (at, bytes) in made {
            let _ = worker.call(libc::SYS_munmap, [at, bytes, 0, 0, 0, 0])?;
        }
    }
    let _ = worker.call(libc::SYS_close, [fd, 0, 0, 0, 0, 0])?;
    result
}

/// Sizes the file and writes what tells of a scope that is only half there. From its first mapping on, whatever is left
/// leads to all the rest.
pub fn mark(process: &Process, file: &File, layout: &Layout, areas: &[(u64, u64)], state: u64) -> Result<()> {
    file.set_len(layout.total).map_err(|e| Refusal::internal(format!("sizing the shared memory: {e}")))?;
    let mut header = abi::Shared {
        magic: abi::MAGIC,
        abi_version: abi::ABI_VERSION,
        total_bytes: layout.total,
        manifest: layout.manifest,
        code: layout.code,
        code_bytes: layout.code_bytes,
        pid: process.pid,
        state_value: abi::PHASE_MAPPED,
        start_time: process.start_time()?,
        state_address: state,
        ..abi::Shared::default()
    };
    for (slot, area) in header.areas.iter_mut().zip(areas) {
        *slot = abi::Area { address: area.0, length: layout.code_bytes };
    }
    SharedMemory::map(file)?.write(0, &header)
}

pub struct FillIn<'a> {
    pub layout: &'a Layout,
    pub areas: &'a [(u64, u64)],
    pub images: &'a [Vec<u8>],
    pub patches: &'a [Patch],
    pub state: u64,
    pub shared_address: u64,
    pub start_time: u64,
    pub options: &'a Options,
    pub brk: u64,
}

/// Reserves the file's pages (they are charged to us, not to the target) and writes all but the page map, which must be
/// true at the moment of the stop.
pub fn fill(process: &Process, memory: &Memory, file: &File, f: &FillIn<'_>) -> Result<SharedMemory> {
    let l = f.layout;
    // SAFETY: a plain system call on a descriptor that we own.
    let r = unsafe { libc::fallocate(std::os::fd::AsRawFd::as_raw_fd(file), 0, 0, l.total.cast_signed()) };
    if r != 0 {
        return Err(Refusal::new(
            Reason::MemoryMapRefused,
            format!("reserving {} bytes of shared memory: {}", l.total, std::io::Error::last_os_error()),
        ));
    }
    seal(file)?;
    let shared = SharedMemory::map(file)?;
    let key = random()? | 1;
    let go_tag = random()? & !0xffff | 1 << 63;
    let mut header = abi::Shared {
        magic: abi::MAGIC,
        abi_version: abi::ABI_VERSION,
        ring_count: u32::try_from(l.ring_count).unwrap_or(1),
        total_bytes: l.total,
        ring_bytes: l.ring_bytes,
        rings_ctl: l.rings_ctl,
        class_table: l.class_table,
        pagemap: l.pagemap,
        slots: l.slots,
        manifest: l.manifest,
        code: l.code,
        rings: l.rings,
        key,
        capture_bytes: f.options.capture_bytes,
        site_count: u32::try_from(f.patches.len()).unwrap_or(0),
        pid: process.pid,
        state_value: abi::PHASE_MAPPED,
        start_time: f.start_time,
        state_address: f.state,
        shared_address: f.shared_address,
        // SAFETY: RDTSC has no preconditions.
        attach_tsc: unsafe { core::arch::x86_64::_rdtsc() },
        go_tag,
        code_bytes: l.code_bytes,
        build: assemble::build(),
        ..abi::Shared::default()
    };
    for (slot, area) in header.areas.iter_mut().zip(f.areas) {
        *slot = abi::Area { address: area.0, length: l.code_bytes };
    }
    for (i, image) in f.images.iter().enumerate() {
        shared.write_bytes(l.code + i as u64 * l.code_bytes, image)?;
    }
    for (i, p) in f.patches.iter().enumerate() {
        let mut site = abi::Site {
            address: p.address,
            length: u8::try_from(p.original.len()).unwrap_or(0),
            kind: p.kind,
            ..abi::Site::default()
        };
        site.original[..p.original.len()].copy_from_slice(&p.original);
        site.patched[..p.patched.len()].copy_from_slice(&p.patched);
        shared.write(l.manifest + (i * size_of::<abi::Site>()) as u64, &site)?;
    }
    shared.write(0, &header)?;
    let at = |offset: u64| f.shared_address + offset;
    let state = abi::State {
        enabled: 0,
        abi_version: abi::ABI_VERSION,
        shared: f.shared_address,
        rings_ctl: at(l.rings_ctl),
        rings: at(l.rings),
        class_table: at(l.class_table),
        pagemap: at(l.pagemap),
        slots: at(l.slots),
        ring_bytes: l.ring_bytes,
        ring_mask: u32::try_from(l.ring_count - 1).unwrap_or(0),
        timing: f.options.timing.into(),
        pad: 0,
        capture_bytes: f.options.capture_bytes,
        key,
        go_tag,
        brk: f.brk,
        vfork_who: 0,
        mremap_who: 0,
    };
    // SAFETY: a plain structure of integers without padding, as its size says.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const state).cast::<u8>(), size_of::<abi::State>()) };
    memory.write(f.state, bytes)?;
    Ok(shared)
}

/// A target that shrinks the file would have whoever reads past its end killed (SIGBUS): it can't any more.
fn seal(file: &File) -> Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: a plain system call on a descriptor that we own.
    if unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(file), libc::F_ADD_SEALS, seals) } == 0 {
        return Ok(());
    }
    Err(Refusal::internal(format!("sealing the shared memory: {}", std::io::Error::last_os_error())))
}

fn random() -> Result<u64> {
    let mut bytes = [0u8; 8];
    File::open("/dev/urandom")
        .and_then(|f| f.read_exact_at(&mut bytes, 0))
        .or_else(|_| {
            // SAFETY: the buffer's length is passed along.
            let n = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
            if n == 8 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        })
        .map_err(|e| Refusal::internal(format!("drawing random numbers: {e}")))?;
    Ok(u64::from_le_bytes(bytes))
}

/// The one moment in which all threads stand still. Returns their number and how long they stood.
#[allow(clippy::too_many_arguments)]
fn commit(
    process: &Process,
    memory: &Memory,
    shared: &SharedMemory,
    layout: &Layout,
    patches: &[Patch],
    state: u64,
    options: &Options,
    plan: &Plan,
    suspend_seccomp: bool,
) -> Result<(usize, Duration)> {
    let world = World::stop(process, suspend_seccomp)?;
    // Most windows are one instruction: nothing can stand inside, nor come back there from a signal handler.
    let seams: Vec<u64> = patches.iter().filter_map(|p| p.seam).collect();
    for r in world.registers() {
        let inside = patches.iter().any(|p| p.address < r.rip && r.rip < p.address + p.original.len() as u64);
        if inside || !seams.is_empty() && mend::returns_to(memory, r.rsp, &seams) {
            return Err(Refusal::passing(
                Reason::Timeout,
                format!("process {}: a thread stood inside a place to be changed; try again", process.pid),
            ));
        }
    }
    let pages = Pages::read(memory, patches)?;
    prime(process, memory, shared, layout, options, plan, &world)?;
    let phase = std::mem::offset_of!(abi::Shared, state_value) as u64;
    shared.write(phase, &abi::PHASE_PATCHING)?;
    pages.write(memory)?;
    memory.write(state, &1u32.to_le_bytes())?;
    shared.write(phase, &abi::PHASE_ATTACHED)?;
    let threads = world.len();
    Ok((threads, world.resume()))
}

/// What the hooks must find true from their first call on, as it is while all threads stand still.
pub fn prime(
    process: &Process,
    memory: &Memory,
    shared: &SharedMemory,
    layout: &Layout,
    options: &Options,
    plan: &Plan,
    world: &World,
) -> Result<()> {
    if plan.memory_followed {
        pagemap::store(shared, layout.pagemap, &pagemap::blocks(&process.maps()?))?;
    }
    classify_descriptors(process, shared, layout, options.console)?;
    plan.underway.keep(shared, layout, world.registers(), |at| memory.word(at))
}

/// Only what goes through sockets, and to the console, is ever looked into: all else is counted.
fn classify_descriptors(process: &Process, shared: &SharedMemory, layout: &Layout, console: bool) -> Result<()> {
    const MOST: usize = 256;
    for fd in process.numbers("fd").unwrap_or_default().into_iter().take(MOST) {
        let is_socket = process.link(&format!("fd/{fd}")).map_or(true, |l| l.starts_with("socket:"));
        if !(is_socket || console && fd <= 2) && (fd as usize) < abi::CLASS_COUNT {
            shared.write(layout.class_table + fd as u64, &abi::CLASS_FILE)?;
        }
    }
    Ok(())
}

/// The text pages to change, as they will be. Each is written once, whole from its first to its last site: one `pwrite`
/// within a page can't be cut in half.
struct Pages {
    pages: Vec<(u64, Vec<u8>)>,
}

impl Pages {
    /// Only while all threads stand still: until then a library may be unloaded, and its place be used for something else.
    /// Pages that are gone are left out.
    fn read(memory: &Memory, patches: &[Patch]) -> Result<Self> {
        let mut pages = Vec::new();
        for group in patches.chunk_by(|a, b| a.address / PAGE == b.address / PAGE) {
            let (start, last) = (group[0].address, &group[group.len() - 1]);
            let length = last.address + last.original.len() as u64 - start;
            let mut bytes = vec![0u8; usize::try_from(length).unwrap_or(0)];
            if memory.read(start, &mut bytes).is_err() {
                continue;
            }
            for p in group {
                let at = usize::try_from(p.address - start).unwrap_or(0);
                let place = &mut bytes[at..at + p.original.len()];
                if *place != p.original[..] {
                    return Err(Refusal::passing(Reason::MemoryMapRefused, "its text changed meanwhile; try again"));
                }
                place.copy_from_slice(&p.patched);
            }
            pages.push((start, bytes));
        }
        Ok(Self { pages })
    }

    fn write(&self, memory: &Memory) -> Result<()> {
        for (start, bytes) in &self.pages {
            memory.write(*start, bytes)?;
        }
        Ok(())
    }
}
