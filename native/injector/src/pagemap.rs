//! Fills the map of pages that the payload may read before a call, from what /proc/PID/maps says while every thread
//! is stopped. Afterwards only the target's own hooks change it.
use crate::layout::PAGE;
use crate::procfs::Mapping;
use crate::refusal::Result;
use crate::shared::SharedMemory;
use scope_abi as abi;
use std::collections::{BTreeSet, HashMap};

const BLOCK: u64 = 1 << 21;
/// The main stack grows by itself: so much below it counts as mapped.
const STACK_GROWTH: u64 = 256 << 10;

/// Reservations above this stay out, as they do in the payload: what is used of them is mapped anew.
const LARGEST: u64 = 4 << 30;

/// Builds the blocks: private anonymous memory, the main stack, and the images of loaded programs. First come those that
/// can be read, small mappings before large ones: where the table can not hold them all, the fewest mappings go without.
pub fn blocks(maps: &[Mapping]) -> Vec<abi::Block> {
    let images: BTreeSet<(&str, u64)> =
        maps.iter().filter(|m| m.execute && m.is_file()).map(|m| (m.device.as_str(), m.inode)).collect();
    let mut spans = Vec::new();
    let mut floor = 0;
    for m in maps {
        let anonymous = !m.shared
            && m.inode == 0
            && (m.path.is_empty() || m.path == "[heap]" || m.path.starts_with("[stack") || m.path.starts_with("[anon"));
        let image = !m.shared && m.is_file() && images.contains(&(m.device.as_str(), m.inode));
        let start = if m.path == "[stack]" { m.start.saturating_sub(STACK_GROWTH).max(floor) } else { m.start };
        floor = m.end;
        if (anonymous || image) && m.end >> 47 == 0 && (m.read || m.end - start <= LARGEST) {
            spans.push(Span { start, end: m.end, read: m.read });
        }
    }
    spans.sort_by_key(|span| (!span.read, span.end - span.start));
    let mut table = Table::default();
    spans.iter().for_each(|span| table.mark(span));
    table.blocks
}

struct Span {
    start: u64,
    end: u64,
    read: bool,
}

#[derive(Default)]
struct Table {
    blocks: Vec<abi::Block>,
    by_key: HashMap<u64, usize>,
}

impl Table {
    fn mark(&mut self, span: &Span) {
        let mut at = span.start;
        while at < span.end && self.blocks.len() < abi::PAGEMAP_BLOCKS {
            let key = at / BLOCK;
            let stop = span.end.min((key + 1) * BLOCK);
            let index = *self.by_key.entry(key).or_insert(self.blocks.len());
            if index == self.blocks.len() {
                self.blocks.push(abi::Block { key, ..abi::Block::default() });
            }
            let block = &mut self.blocks[index];
            for page in at / PAGE..stop / PAGE {
                let (word, bit) = ((page >> 6 & 7) as usize, 1u64 << (page & 63));
                block.anonymous[word] |= bit;
                if span.read {
                    block.readable[word] |= bit;
                }
            }
            at = stop;
        }
    }
}

/// Writes them into the shared table; those that find no slot stay uncovered, which costs data (it is
/// counted), never safety.
pub fn store(memory: &SharedMemory, offset: u64, blocks: &[abi::Block]) -> Result<()> {
    place(blocks, |slot, block| {
        let at = offset + slot * size_of::<abi::Block>() as u64;
        let free = memory.read::<u64>(at)? == 0;
        if free {
            memory.write(at, block)?;
        }
        Ok(free)
    })
    .map(|_outside| ())
}

/// Offers each block its slots in turn until `take` takes one. Returns how many it took at none.
fn place(blocks: &[abi::Block], mut take: impl FnMut(u64, &abi::Block) -> Result<bool>) -> Result<usize> {
    let mut outside = 0;
    for block in blocks {
        let mut probe = 0;
        while probe < abi::PAGEMAP_PROBES as u64 && !take(abi::pagemap_slot(block.key, probe), block)? {
            probe += 1;
        }
        outside += usize::from(probe == abi::PAGEMAP_PROBES as u64);
    }
    Ok(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(start: u64, end: u64, path: &str, read: bool, execute: bool) -> Mapping {
        let inode = u64::from(path.starts_with('/'));
        Mapping {
            start,
            end,
            read,
            write: true,
            execute,
            shared: false,
            offset: 0,
            inode,
            device: "0:1".into(),
            path: path.into(),
        }
    }

    #[test]
    fn anonymous_memory_counts_and_file_data_does_not() {
        let b = blocks(&[
            map(0x20_0000, 0x20_2000, "", true, false),
            map(0x20_2000, 0x20_3000, "/data", true, false),
            map(0x20_3000, 0x20_4000, "", false, false),
        ]);
        assert_eq!(b.len(), 1);
        assert_eq!((b[0].key, b[0].readable[0], b[0].anonymous[0]), (1, 0b0011, 0b1011));
    }

    #[test]
    fn a_program_image_counts_with_its_data() {
        let b = blocks(&[
            map(0x40_0000, 0x40_1000, "/bin/x", true, true),
            map(0x40_1000, 0x40_2000, "/bin/x", true, false),
        ]);
        assert_eq!((b[0].key, b[0].readable[0]), (2, 0b11));
    }

    /// How many blocks of `maps` find no slot.
    fn unplaced(maps: &[Mapping]) -> usize {
        let mut taken = BTreeSet::new();
        place(&blocks(maps), |slot, _| Ok(taken.insert(slot))).expect("nothing refuses")
    }

    #[test]
    fn mappings_that_have_low_bits_in_common_do_not_crowd_each_other_out() {
        // The addresses of a thread's arena, the heap and the stack, a multiple of 32 GiB apart, for each such layout.
        let arena = |start: u64, name: &str| map(start, start + (64 << 20), name, true, false);
        for apart in 1..4096u64 {
            let far = apart << 35;
            let maps =
                [arena(0x1_0000_0000, ""), arena(0x1_0000_0000 + far, "[heap]"), arena(0x1_0000_0000 + 2 * far, "")];
            assert_eq!(unplaced(&maps), 0, "{apart}");
        }
    }

    #[test]
    fn half_a_table_of_scattered_mappings_finds_room() {
        let maps: Vec<Mapping> = (0..256u64)
            .map(|i| (i.wrapping_mul(0x1357_9bdf_0246) % (1 << 20)) << 26)
            .map(|start| map(start, start + (64 << 20), "", true, false))
            .collect();
        assert_eq!(unplaced(&maps), 0);
    }

    #[test]
    fn what_can_be_read_comes_first_and_vast_reservations_stay_out() {
        let b = blocks(&[
            map(1 << 40, 2 << 40, "", false, false),
            map(3 << 40, (3 << 40) + (1 << 30), "", false, false),
            map(0x7fff_0000_0000, 0x7fff_0002_1000, "[stack]", true, false),
        ]);
        assert_eq!(b.len(), 512 + 2);
        assert!(b[..2].iter().all(|block| block.key >= 0x7ffe_ffe0_0000 >> 21));
    }
}
