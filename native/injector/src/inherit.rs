//! The scope of a forked child. Its text carries its parent's hooks from birth, and the code behind them is mapped; only
//! the switch reads zero and the rings are missing. So nothing of its text is touched: it gets shared memory of its own,
//! the same code is mapped over its parent's, and the switch is set. Each step leaves a valid program: both versions of
//! the code are the same bytes, and do nothing while the switch is off.
use crate::assemble::Patch;
use crate::attach::{self, Attached, FillIn, MADV_DONTFORK, Options, READ_EXECUTE, READ_WRITE};
use crate::layout::{Layout, PAGE};
use crate::mend::{self, Remains};
use crate::plan::Plan;
use crate::preflight;
use crate::procfs::{Mapping, Process};
use crate::refusal::{Reason, Refusal, Result};
use crate::remote::{Memory, Worker};
use crate::room;
use crate::shared::SharedMemory;
use crate::survey::Target;
use crate::world::World;
use scope_abi as abi;
use std::fs::File;
use std::rc::Rc;
use std::time::Instant;

/// What a scoped process hands down to the children that it forks.
pub struct Image {
    plan: Rc<Plan>,
    target: Target,
    patches: Vec<Patch>,
    /// Where its code is mapped, and the bytes there.
    areas: Vec<(u64, u64)>,
    code: Vec<Vec<u8>>,
    state: u64,
}

impl Image {
    /// Of a process that is scoped, as `attached` tells.
    ///
    /// # Errors
    /// NotScoped where its scope is gone.
    pub fn of(process: &Process, attached: &Attached) -> Result<Self> {
        let memory = Memory::open(process)?;
        let remains = mend::find(process, &process.maps()?)?;
        let live = remains.iter().find(|r| r.is_live(process, &memory));
        let Some(Remains { header, sites, memory: Some(shared), .. }) = live else {
            return Err(Refusal::new(Reason::NotScoped, format!("process {} is not scoped", process.pid)));
        };
        let areas: Vec<(u64, u64)> = header
            .areas
            .iter()
            .filter(|a| a.address != 0)
            .map(|a| (a.address, a.address.saturating_add(a.length)))
            .collect();
        let code = (0..areas.len() as u64)
            .map(|i| shared.read_bytes(header.code.wrapping_add(i.wrapping_mul(header.code_bytes)), header.code_bytes))
            .collect::<Result<_>>()?;
        let patches = sites
            .iter()
            .map(|s| (s, usize::from(s.length).min(abi::SITE_MAX)))
            .map(|(s, n)| Patch {
                address: s.address,
                original: s.original[..n].to_vec(),
                patched: s.patched[..n].to_vec(),
                kind: s.kind,
                seam: None,
            })
            .collect();
        Ok(Self {
            plan: Rc::clone(&attached.plan),
            target: attached.target.clone(),
            patches,
            areas,
            code,
            state: header.state_address,
        })
    }

    /// Whether the child is as its parent was: the hooks in its text, the code behind them, nothing else of ours.
    fn is_in(&self, memory: &Memory, maps: &[Mapping]) -> bool {
        let rings: Vec<&Mapping> = maps.iter().filter(|m| m.is_ring()).collect();
        let has_code =
            self.areas.iter().all(|&(start, end)| rings.iter().any(|m| (m.start, m.end) == (start, end) && m.execute));
        let mut switch = [0u8; 4];
        has_code
            && rings.len() == self.areas.len()
            && memory.read(self.state, &mut switch).is_ok()
            && switch == [0; 4]
            && self.patches.iter().all(|p| {
                let mut now = vec![0u8; p.patched.len()];
                memory.read(p.address, &mut now).is_ok() && now == p.patched
            })
    }
}

/// Scopes a child that stands still at its birth, with what it inherited.
///
/// # Errors
/// `is_passing`: it is not as its parent was; an attach of its own will do.
pub fn inherit(process: &Process, image: &Image, options: &Options) -> Result<Attached> {
    let since = Instant::now();
    let (status, maps) = preflight::check(process, true)?;
    let memory = Memory::open(process)?;
    if !image.is_in(&memory, &maps) {
        return Err(Refusal::passing(
            Reason::MemoryMapRefused,
            format!("process {} is not as its parent was", process.pid),
        ));
    }
    let gadgets = image.plan.gadgets().ok_or_else(|| Refusal::internal("a scoped program without gadgets"))?;
    room::check(process, PAGE)?;
    let code_bytes = image.code.first().map_or(0, |c| c.len() as u64);
    let layout = Layout::new(
        attach::ring_count(),
        options.ring_bytes,
        image.patches.len() as u64,
        image.areas.len() as u64,
        code_bytes,
    );
    let start_time = process.start_time()?;
    let suspend_seccomp = status.seccomp != 0;
    let mut worker = Worker::find(process, &memory, gadgets, suspend_seccomp, &image.plan.goroutine_calls)?;
    let fill_in = |shared_address| FillIn {
        layout: &layout,
        areas: &image.areas,
        images: &image.code,
        patches: &image.patches,
        state: image.state,
        shared_address,
        start_time,
        options,
        brk: attach::heap_end(&maps),
    };
    let given = give(process, &memory, &mut worker, &layout, &fill_in);
    match &given {
        Ok(_) => worker.release()?,
        Err(_) => worker.abandon(),
    }
    let (shared, ring_address) = given?;
    let world = World::stop(process, suspend_seccomp)?;
    attach::prime(process, &memory, &shared, &layout, options, &image.plan, &world)?;
    let phase = std::mem::offset_of!(abi::Shared, state_value) as u64;
    memory.write(image.state, &1u32.to_le_bytes())?;
    shared.write(phase, &abi::PHASE_ATTACHED)?;
    let threads = world.len();
    world.resume();
    Ok(Attached {
        plan: Rc::clone(&image.plan),
        sites: image.patches.len(),
        ring_address,
        ring_bytes: layout.total,
        start_time,
        target: Target { threads, ..image.target.clone() },
        stopped: since.elapsed(),
        leftovers: false,
        is_of_another_build: false,
    })
}

/// The calls that the child makes for us. What is made before a failure stays until an attach mends it: it does nothing.
fn give<'a>(
    process: &Process,
    memory: &Memory,
    worker: &mut Worker<'_>,
    layout: &Layout,
    fill_in: &dyn Fn(u64) -> FillIn<'a>,
) -> Result<(SharedMemory, u64)> {
    let fd = attach::make_file(process, worker)?;
    let given = (|| {
        let file: File = attach::open_file(process, fd)?;
        file.set_len(layout.total).map_err(|e| Refusal::internal(format!("sizing the shared memory: {e}")))?;
        let mut call = |what: &str, number, args| {
            worker.call(number, args)?.map_err(|e| attach::map_refused(process.pid, what, e))
        };
        let ring = [0, layout.total, READ_WRITE, libc::MAP_SHARED as u64, fd, 0];
        let at = call("mapping the ring", libc::SYS_mmap, ring)?;
        call("hiding the ring from its children", libc::SYS_madvise, [at, layout.total, MADV_DONTFORK, 0, 0, 0])?;
        let fill_in = fill_in(at);
        let shared = attach::fill(process, memory, &file, &fill_in)?;
        for (i, area) in fill_in.areas.iter().enumerate() {
            let (over, offset) =
                ((libc::MAP_PRIVATE | libc::MAP_FIXED) as u64, layout.code + i as u64 * layout.code_bytes);
            call("mapping the code", libc::SYS_mmap, [area.0, layout.code_bytes, READ_EXECUTE, over, fd, offset])?;
        }
        Ok((shared, at))
    })();
    let _ = worker.call(libc::SYS_close, [fd, 0, 0, 0, 0, 0])?;
    given
}
