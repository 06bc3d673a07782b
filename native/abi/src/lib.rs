//! The memory layout of `scope_abi.h`, as Rust sees it.
//!
//! The header is the source. `tests/layout.rs` compiles it with the C compiler and compares every size and offset
//! with the ones below, so neither side can move alone.
#![no_std]

pub const ABI_VERSION: u32 = 2;
pub const MAGIC: u64 = 0x3147_4e52_4550_4f53;
pub const MEMFD_NAME: &str = "scope-ring";

pub const CLASS_COUNT: usize = 65536;
pub const MAX_RINGS: usize = 64;
pub const MAX_AREAS: usize = 8;
pub const MAX_CAPTURE: u32 = 65536;

pub const CLASS_UNKNOWN: u8 = 0;
pub const CLASS_FILE: u8 = 1;
pub const CLASS_OPAQUE: u8 = 2;

pub const PHASE_MAPPED: u32 = 1;
pub const PHASE_PATCHING: u32 = 2;
pub const PHASE_ATTACHED: u32 = 3;
pub const PHASE_DETACHED: u32 = 4;

pub const KIND_PAD: u8 = 1;
pub const KIND_PRE: u8 = 2;
pub const KIND_POST: u8 = 3;

pub const FLAG_TRUNCATED: u8 = 1;
pub const FLAG_NO_DATA: u8 = 2;
pub const FLAG_GO: u8 = 4;
pub const FLAG_TOTAL: u8 = 8;

pub const CHUNK_DATA: u16 = 1;
pub const CHUNK_ADDR: u16 = 2;
pub const CHUNK_PATH: u16 = 3;
pub const CHUNK_FDS: u16 = 4;
pub const CHUNK_ARGS: u16 = 5;
pub const CHUNK_LENS: u16 = 6;

/// How far, in TSC ticks, a record's time may lie before its reservation.
pub const TSC_SLACK: u64 = 10_000;

pub const PAGEMAP_BLOCKS: usize = 16384;
pub const PAGEMAP_PROBES: usize = 16;

/// `SCOPE_PAGEMAP_SLOT`: where the block of `key` is looked for at its probe number `probe`.
pub const fn pagemap_slot(key: u64, probe: u64) -> u64 {
    let hash = (key >> 5).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let group = (hash >> 55).wrapping_add(probe.wrapping_mul(hash >> 40 | 1)) & (PAGEMAP_BLOCKS as u64 / 32 - 1);
    group << 5 | key & 31
}

pub const SLOTS: usize = 4096;
pub const SLOT_PROBES: usize = 32;

pub const SITE_MAX: usize = 15;
pub const SITE_POST: u8 = 1;
pub const SITE_PRE: u8 = 2;
pub const SITE_GO_CALL: u8 = 3;
pub const SITE_GO_POST: u8 = 4;
pub const SITE_AROUND: u8 = 5;
pub const SITE_CANCELLED: u8 = 6;

pub const UNWIND_NONE: u16 = 0xffff;

pub const TALLIES: usize = 4096;

/// `struct scope_tally`: what was moved by a descriptor of class FILE since it was last taken.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub read_calls: u64,
    pub read_bytes: u64,
    pub write_calls: u64,
    pub write_bytes: u64,
    pub pad: [u64; 4],
}

/// `struct scope_area`: where one copy of the code is mapped in the target.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    pub address: u64,
    pub length: u64,
}

/// `struct scope_shared`, at offset 0 of the memfd.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    pub magic: u64,
    pub abi_version: u32,
    pub site_count: u32,
    pub manifest: u64,
    pub state_address: u64,
    pub start_time: u64,
    pub pid: i32,
    pub state_value: u32,
    pub total_bytes: u64,
    pub ring_bytes: u64,
    pub ring_count: u32,
    pub capture_bytes: u32,
    pub rings_ctl: u64,
    pub class_table: u64,
    pub pagemap: u64,
    pub slots: u64,
    pub code: u64,
    pub rings: u64,
    pub key: u64,
    pub shared_address: u64,
    pub attach_tsc: u64,
    pub go_tag: u64,
    pub code_bytes: u64,
    pub areas: [Area; MAX_AREAS],
    pub build: u64,
}

/// `struct scope_ring`: one ring's cursors and loss counters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Ring {
    pub head: u64,
    pub pad0: [u64; 7],
    pub tail: u64,
    pub pad1: [u64; 7],
    pub lost_records: u64,
    pub lost_read_calls: u64,
    pub lost_read_bytes: u64,
    pub lost_write_calls: u64,
    pub lost_write_bytes: u64,
    pub lost_recv_calls: u64,
    pub lost_recv_bytes: u64,
    pub lost_send_calls: u64,
    pub lost_send_bytes: u64,
    pub uncopied_calls: u64,
    pub uncopied_bytes: u64,
    pub lost_transfer_calls: u64,
    pub lost_transfer_bytes: u64,
    pub pad2: [u64; 3],
}

/// `struct scope_state`: the target's private page.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    pub enabled: u32,
    pub abi_version: u32,
    pub shared: u64,
    pub rings_ctl: u64,
    pub rings: u64,
    pub class_table: u64,
    pub pagemap: u64,
    pub slots: u64,
    pub ring_bytes: u64,
    pub ring_mask: u32,
    pub capture_bytes: u32,
    pub key: u64,
    pub go_tag: u64,
    pub brk: u64,
    pub vfork_who: u64,
    pub mremap_who: u64,
    pub timing: u32,
    pub pad: u32,
}

/// `struct scope_record`: the fixed part of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub commit: u64,
    pub tsc: u64,
    pub who: u64,
    pub result: i64,
    pub size: u32,
    pub a1: u32,
    pub a2: u64,
    pub a3: u64,
    pub a4: u32,
    pub kind: u8,
    pub flags: u8,
    pub pad: u16,
}

/// `struct scope_chunk`: the header of one piece of data behind a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    pub kind: u16,
    pub index: u16,
    pub length: u32,
}

/// `struct scope_block`: 2 MiB of the target's addresses, one bit per page.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub key: u64,
    pub readable: [u64; 8],
    pub anonymous: [u64; 8],
}

/// `struct scope_slot`: a call under way, kept for the hook behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    pub who: u64,
    pub frame: u32,
    pub number: u32,
    pub arguments: [u64; 6],
}

/// `struct scope_site`: one patched place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Site {
    pub address: u64,
    pub length: u8,
    pub original: [u8; SITE_MAX],
    pub patched: [u8; SITE_MAX],
    pub kind: u8,
}

/// `struct scope_unwind`: how to get from an instruction of ours to where the program itself stood.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwind {
    pub start: u32,
    pub resume: i32,
    pub depth: u16,
    pub saved: [u8; 6],
}

impl Unwind {
    /// As it lies in memory.
    pub fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.start.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.resume.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.depth.to_le_bytes());
        bytes[10..].copy_from_slice(&self.saved);
        bytes
    }
}

const _: () = {
    assert!(size_of::<Area>() == 16);
    assert!(size_of::<Shared>() == 296);
    assert!(size_of::<Ring>() == 256);
    assert!(size_of::<State>() == 120);
    assert!(size_of::<Record>() == 64);
    assert!(size_of::<Chunk>() == 8);
    assert!(size_of::<Block>() == 136);
    assert!(size_of::<Slot>() == 64);
    assert!(size_of::<Site>() == 40);
    assert!(size_of::<Unwind>() == 16);
};
