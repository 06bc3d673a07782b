//! Whether a process's memory control groups have room for what an attach makes it copy. A group at its limit answers one
//! page too many by killing a process of its own: the target would pay for our visit with its life.
use crate::procfs::Process;
use crate::refusal::{Reason, Refusal, Result};
use std::path::{Path, PathBuf};

/// Beside the pages that are copied: page tables and one state page.
const BESIDE: u64 = 128 << 10;
/// The first version of control groups says "no limit" by a number beyond any memory.
const UNLIMITED: u64 = 1 << 50;

/// # Errors
/// MemoryMapRefused where a group that the process is in has less room than `bytes` and what comes with them. A group that
/// can't be seen from here is not an obstacle.
pub fn check(process: &Process, bytes: u64) -> Result<()> {
    let needed = bytes + BESIDE;
    let Some(room) = groups(process).iter().filter_map(|group| room_of(group)).min() else { return Ok(()) };
    if room >= needed {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::MemoryMapRefused,
        format!(
            "process {}: its memory control group has {} KiB left before its limit, an attach may take {} KiB, and the kernel \
             would kill a process for the difference; raise the limit, or try again when less is in use",
            process.pid,
            room >> 10,
            needed >> 10
        ),
    ))
}

/// The directories of the groups that limit its memory, from its own up.
fn groups(process: &Process) -> Vec<PathBuf> {
    let (Ok(member), proc) = (process.text("cgroup"), PathBuf::from(format!("/proc/{}/root", process.pid))) else {
        return Vec::new();
    };
    // As we see the hierarchy, and as the process does: in a container one of them may not be mounted.
    let own = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let theirs = process.text("mountinfo").unwrap_or_default();
    [(own, PathBuf::from("/")), (theirs, proc)]
        .iter()
        .flat_map(|(mounts, root)| mounts.lines().filter_map(|line| directory(line, &member, root)))
        .flat_map(|(top, own)| {
            own.ancestors().take_while(|d| d.starts_with(&top)).map(Path::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// For a line of mountinfo (proc(5)) that mounts a hierarchy with the memory controller: where it is mounted, and where
/// the group is that `member`, a /proc/PID/cgroup, names.
fn directory(line: &str, member: &str, root: &Path) -> Option<(PathBuf, PathBuf)> {
    let (mount, source) = line.split_once(" - ")?;
    let fields: Vec<&str> = mount.split(' ').collect();
    let (inner, point) = (fields.get(3)?, fields.get(4)?);
    let mut source = source.split(' ');
    let is_memory = match source.next()? {
        "cgroup2" => |controllers: &str| controllers.is_empty(),
        "cgroup" if source.next_back()?.split(',').any(|o| o == "memory") => {
            |controllers: &str| controllers.split(',').any(|c| c == "memory")
        }
        _ => return None,
    };
    let path = member.lines().find_map(|l| {
        let mut parts = l.splitn(3, ':').skip(1);
        if is_memory(parts.next()?) { parts.next() } else { None }
    })?;
    let relative = path.strip_prefix(inner.trim_end_matches('/'))?;
    let top = root.join(point.trim_start_matches('/'));
    Some((top.clone(), top.join(relative.trim_start_matches('/'))))
}

/// Bytes that may still be charged to a group: up to its limit, its page cache counted as free.
fn room_of(group: &Path) -> Option<u64> {
    let number = |name: &str| std::fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, used) = match number("memory.limit_in_bytes") {
        Some(limit) => (limit, number("memory.usage_in_bytes")?),
        None => (number("memory.max")?, number("memory.current")?), // "max" is no number: no limit
    };
    let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let is_cache = |name: &str| {
        matches!(name, "total_inactive_file" | "total_active_file")
            || group.join("memory.max").exists() && matches!(name, "inactive_file" | "active_file")
    };
    let cache: u64 = stat
        .lines()
        .filter_map(|l| l.split_once(' '))
        .filter(|(name, _)| is_cache(name))
        .filter_map(|(_, bytes)| bytes.parse::<u64>().ok())
        .sum();
    Some(limit.saturating_sub(used.saturating_sub(cache))).filter(|_| limit < UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: &str = "12:memory:/kubepods/pod1/c2\n11:cpu:/other\n0::/unified\n";

    #[test]
    fn a_group_of_the_first_version_is_found_by_its_controller() {
        let line = "36 32 0:31 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory";
        let (top, own) = directory(line, MEMBER, Path::new("/")).expect("found");
        assert_eq!(top, Path::new("/sys/fs/cgroup/memory"));
        assert_eq!(own, Path::new("/sys/fs/cgroup/memory/kubepods/pod1/c2"));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_top() {
        let line = "36 32 0:31 /kubepods/pod1/c2 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        let (top, own) = directory(line, MEMBER, Path::new("/proc/7/root")).expect("found");
        assert_eq!((top.as_path(), own.as_path()), (Path::new("/proc/7/root/sys/fs/cgroup/memory"), top.as_path()));
    }

    #[test]
    fn other_hierarchies_are_none() {
        assert_eq!(directory("30 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", MEMBER, Path::new("/")), None);
        let line = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let (_, own) = directory(line, MEMBER, Path::new("/")).expect("found");
        assert_eq!(own, Path::new("/sys/fs/cgroup/unified"));
    }
}
