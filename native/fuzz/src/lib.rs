//! The injector's planner, for the fuzz targets: a program with a `main` can't be depended on, so its sources are included.
#![allow(dead_code, reason = "only what plans is used of them")]
#[path = "../../injector/src/calls.rs"]
pub mod calls;
#[path = "../../injector/src/cancellation.rs"]
pub mod cancellation;
#[path = "../../injector/src/flow.rs"]
pub mod flow;
#[path = "../../injector/src/funnels.rs"]
pub mod funnels;
#[path = "../../injector/src/go.rs"]
pub mod go;
#[path = "../../injector/src/gofunctions.rs"]
pub mod gofunctions;
#[path = "../../injector/src/goshape.rs"]
pub mod goshape;
#[path = "../../injector/src/layout.rs"]
pub mod layout;
#[path = "../../injector/src/module.rs"]
pub mod module;
#[path = "../../injector/src/plan.rs"]
pub mod plan;
#[path = "../../injector/src/procfs.rs"]
pub mod procfs;
#[path = "../../injector/src/ptrace.rs"]
pub mod ptrace;
#[path = "../../injector/src/refusal.rs"]
pub mod refusal;
#[path = "../../injector/src/scan.rs"]
pub mod scan;
#[path = "../../injector/src/shared.rs"]
pub mod shared;
#[path = "../../injector/src/underway.rs"]
pub mod underway;

use module::Module;
use plan::Plan;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;

/// Plans for a file of these bytes, with and without durations, and checks what every plan must hold.
pub fn plan_for(file: &[u8]) {
    // SAFETY: a plain system call; the name is NUL-terminated.
    let fd = unsafe { libc::memfd_create(c"fuzz".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0, "a memfd");
    // SAFETY: just created, owned by nobody else.
    let mut memory = unsafe { File::from_raw_fd(fd) };
    memory.write_all(file).expect("memory takes it");
    let Some(module) = Module::of_file(&memory, "/fuzz") else { return };
    for timing in [false, true] {
        check(&module, &Plan::of(&module, timing));
    }
}

/// A hook stands on whole instructions of the file, in one page, and on no other hook's.
fn check(module: &Module, plan: &Plan) {
    let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
    for hook in &plan.hooks {
        let window = &hook.window;
        let end = window.address + window.bytes.len() as u64;
        assert!(window.bytes.len() >= 5 && window.address >> 12 == (end - 1) >> 12, "{window:?}");
        assert_eq!(module.code(&(window.address..end)), Some(&window.bytes[..]), "{window:?}");
        let before = taken.range(..end).next_back();
        assert!(before.is_none_or(|(_, &upto)| upto <= window.address), "{window:?} lies on another");
        taken.insert(window.address, end);
    }
}

/// A program of one segment that is nothing but `code`, entered at its start.
pub fn program(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const CODE: u64 = 4096;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2u16, 62].iter().flat_map(|w| w.to_le_bytes()));
    file.extend(1u32.to_le_bytes());
    file.extend([BASE + CODE, 64, 0].iter().flat_map(|w: &u64| w.to_le_bytes()));
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 1, 64, 0, 0].iter().flat_map(|w| w.to_le_bytes()));
    file.extend([1u32, 5].iter().flat_map(|w| w.to_le_bytes()));
    let length = code.len() as u64;
    file.extend([CODE, BASE + CODE, BASE + CODE, length, length, CODE].iter().flat_map(|w| w.to_le_bytes()));
    file.resize(CODE as usize, 0);
    file.extend_from_slice(code);
    file
}
