//! Opening a process's ring, and why that may be refused.
use crate::cursor::{Account, Cursor};
use crate::mapping::Mapping;
use crate::merge::Merge;
use crate::ring::{RingError, RingFile};
use crate::stats::Lost;
use crate::target::Target;
use scope_abi as abi;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// Why a session could not be opened; `reason` is of the project's closed list.
#[derive(Debug)]
pub struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

/// `pid` as the agent sees it; `ring`: a path that maps it, /proc/PID/map_files/… or a plain file.
pub fn open_ring(pid: i32, ring: &str) -> Result<(Target, RingFile), Refusal> {
    let path = Path::new(ring);
    let refuse = |reason, message| Refusal { reason, message };
    let gone = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT));
    let target = Target::open(pid, path).map_err(|error| {
        let reason = if gone(&error) { "ProcessExited" } else { "InternalError" };
        refuse(reason, format!("Process {pid} could not be watched: {error}."))
    })?;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::PermissionDenied => "MissingCapability",
            io::ErrorKind::NotFound if target.has_exited() => "ProcessExited",
            io::ErrorKind::NotFound => "NotScoped",
            _ => "InternalError",
        };
        let message = format!("The ring of process {pid} could not be opened at {ring}: {error}.");
        refuse(reason, message)
    })?;
    let map = if path.starts_with("/proc") { Mapping::sealed(&file) } else { Mapping::new(&file) };
    let map = map
        .map_err(|error| refuse("InternalError", format!("The ring of process {pid} could not be mapped: {error}.")))?;
    let rings = RingFile::new(map).map_err(|error| match error {
        RingError::Abi(other) => refuse(
            "ABIMismatch",
            format!(
                "The ring of process {pid} has layout version {other}, this decoder reads {}. Detach with the version that attached, then attach again.",
                abi::ABI_VERSION
            ),
        ),
        RingError::Malformed(why) => {
            refuse("NotScoped", format!("{ring} is no ring of process {pid}: {why}."))
        }
    })?;
    let starts = rings.layout().start_time;
    if path.starts_with("/proc") && target.start_time().is_some_and(|start| start != starts) {
        return Err(refuse("PIDReused", format!("Process {pid} is another one than was attached to.")));
    }
    Ok((target, rings))
}

/// The file that tells a later process how far `merge` was read. `told`, `account`: see `Cursor::create`.
pub fn open_cursor(path: &str, merge: &Merge, told: &Lost, account: &Account) -> Result<Cursor, Refusal> {
    let key = merge.file().layout().key;
    // Two processes never write the same file at the same tick.
    let epoch = crate::clock::ticks();
    Cursor::create(path.as_ref(), key, epoch, told, account, merge.cursors()).map_err(|error| {
        let is_full = matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT));
        let reason = if is_full { "DiskFull" } else { "InternalError" };
        Refusal { reason, message: format!("The session's cursor can't be written at {path}: {error}.") }
    })
}
