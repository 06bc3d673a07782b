//! Where each part lies in the shared memory file (`scope_abi.h` draws it). Pure.
use scope_abi as abi;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub ring_count: u64,
    pub ring_bytes: u64,
    pub rings_ctl: u64,
    pub class_table: u64,
    pub pagemap: u64,
    pub slots: u64,
    pub manifest: u64,
    pub code: u64,
    pub code_bytes: u64,
    pub rings: u64,
    pub total: u64,
}

pub const PAGE: u64 = 4096;

impl Layout {
    /// `sites` places, `areas` areas of `code_bytes` each, rings of `ring_bytes` (a power of two).
    pub fn new(ring_count: u64, ring_bytes: u64, sites: u64, areas: u64, code_bytes: u64) -> Self {
        let mut at = PAGE;
        let mut take = |bytes: u64| {
            let start = at;
            at += bytes.next_multiple_of(PAGE);
            start
        };
        let rings_ctl = take(ring_count * size_of::<abi::Ring>() as u64);
        let class_table = take((abi::CLASS_COUNT + abi::TALLIES * size_of::<abi::Tally>()) as u64);
        let pagemap = take((abi::PAGEMAP_BLOCKS * size_of::<abi::Block>()) as u64);
        let slots = take((abi::SLOTS * size_of::<abi::Slot>()) as u64);
        let manifest = take(sites * size_of::<abi::Site>() as u64);
        let code = take(areas * code_bytes);
        let rings = take(ring_count * ring_bytes);
        Self {
            ring_count,
            ring_bytes,
            rings_ctl,
            class_table,
            pagemap,
            slots,
            manifest,
            code,
            code_bytes,
            rings,
            total: at,
        }
    }
}
