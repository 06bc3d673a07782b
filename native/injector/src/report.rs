//! What this program prints: one JSON object, the last line of its output.
use crate::attach::Attached;
use crate::calls;
use crate::mend::Mended;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::survey::Target;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub fn refused(refusal: &Refusal, pid: i32) -> Value {
    json!({"ok": false, "reason": refusal.reason, "message": refusal.message, "details": {"pid": pid}})
}

pub fn attached(a: &Attached, pid: i32) -> Value {
    let end = a.ring_address + a.ring_bytes;
    json!({
        "ok": true,
        "abi": scope_abi::ABI_VERSION,
        "pid": pid,
        "startTime": a.start_time.to_string(),
        "ring": {
            "address": format!("{:#x}", a.ring_address),
            "bytes": a.ring_bytes,
            "mapFile": format!("/proc/{pid}/map_files/{:x}-{end:x}", a.ring_address),
        },
        "target": target(&a.target, &a.plan),
        "sites": sites(&a.plan, a.sites),
        "calls": covered(&a.plan),
        "stop": {"threads": a.target.threads, "microseconds": micros(a.stopped)},
        "leftovers": a.leftovers,
        "otherBuild": a.is_of_another_build,
        "operations": crate::ptrace::operations(),
    })
}

pub fn surveyed(plan: &Plan, seen: &Target, pid: i32) -> Value {
    json!({
        "ok": true,
        "abi": scope_abi::ABI_VERSION,
        "pid": pid,
        "target": target(seen, plan),
        "sites": sites(plan, plan.hooks.len()),
        "calls": covered(plan),
    })
}

/// A plan for a file on its own; the number of hooks of each sort.
pub fn planned(plan: &Plan, kind: &str, path: &str) -> Value {
    let mut hooks: BTreeMap<String, usize> = BTreeMap::new();
    for hook in &plan.hooks {
        *hooks.entry(format!("{:?}", hook.entry)).or_default() += 1;
    }
    json!({
        "ok": true,
        "file": path,
        "kind": kind,
        "go": plan.go_version,
        "sites": sites(plan, plan.hooks.len()),
        "hooks": hooks,
        "unnumbered": plan.unnumbered.iter().map(|(name, at)| format!("{name} at {at:#x}")).collect::<Vec<_>>(),
        "calls": covered(plan),
    })
}

pub fn detached(m: &Mended, pid: i32) -> Value {
    json!({
        "ok": true,
        "pid": pid,
        "restored": m.restored,
        "foreign": m.foreign,
        "unmapped": m.unmapped,
        "inside": m.inside,
        "operations": crate::ptrace::operations(),
        "stop": {"threads": m.threads, "microseconds": micros(m.stopped)},
    })
}

/// The follower's last line: it was told to end, or there was nobody left to follow.
pub fn followed(pid: i32) -> Value {
    json!({"ok": true, "event": "over", "pid": pid, "operations": crate::ptrace::operations()})
}

fn micros(d: std::time::Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

fn target(seen: &Target, plan: &Plan) -> Value {
    let Target { kind, executable, threads, io_urings } = seen;
    json!({"kind": kind, "go": plan.go_version, "executable": executable, "threads": threads, "ioUrings": io_urings})
}

fn sites(plan: &Plan, hooked: usize) -> Value {
    let skipped: Vec<Value> =
        plan.skipped.iter().map(|(reason, count)| json!({"reason": reason, "count": count})).collect();
    json!({"found": plan.found, "unknown": plan.unknown, "hooked": hooked, "skipped": skipped})
}

/// Calls by how they are seen: hooked everywhere, not everywhere (with the places that are not; `seen`: there are others),
/// or made nowhere.
fn covered(plan: &Plan) -> Value {
    let mut partial: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for p in &plan.partial {
        let place = if p.function.is_empty() { "a function without a name" } else { &p.function };
        partial.entry(p.call).or_default().insert(format!("{place} at {:#x}: {}", p.address, p.why));
    }
    let hooked: Vec<&str> = plan.hooked_calls.iter().copied().filter(|c| !partial.contains_key(c)).collect();
    let missing: Vec<&str> = calls::CALLS
        .iter()
        .filter(|c| c.0 != calls::IO_URING_SETUP)
        .map(|c| c.1)
        .filter(|c| !plan.hooked_calls.contains(c) && !partial.contains_key(c))
        .collect();
    let partial: Vec<Value> = partial
        .iter()
        .map(|(call, why)| {
            json!({"call": call, "seen": plan.hooked_calls.contains(call), "why": why.iter().take(8).collect::<Vec<_>>()})
        })
        .collect();
    let untimed: BTreeSet<&str> = plan.untimed.iter().map(|(call, _)| *call).collect();
    json!({
        "hooked": hooked,
        "partial": partial,
        "missing": missing,
        "untimed": untimed,
        "memoryFollowed": plan.memory_followed,
    })
}
