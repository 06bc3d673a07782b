//! Where in a target's address space an area of code may go: within reach of the text that it serves, and away from
//! what grows. Pure: a memory map in, addresses out.
use crate::procfs::Mapping;

const REACH: u64 = (1 << 31) - (1 << 20);
const LOWEST: u64 = 0x1_0000;
const HIGHEST: u64 = 0x7fff_ffff_0000;
/// The heap keeps so much room to grow into.
const HEAP_GROWTH: u64 = 1 << 36;
/// Below the main stack so much stays free: the kernel itself keeps mappings as far away (arch/x86/mm/mmap.c).
const STACK_ROOM: u64 = 128 << 20;
/// Sites farther apart than this get an area each.
const CLUSTER: u64 = 1 << 30;

/// Groups sorted addresses so that one area can serve each group: index ranges.
pub fn clusters(addresses: &[u64]) -> Vec<std::ops::Range<usize>> {
    let mut groups = Vec::new();
    let mut start = 0;
    for i in 1..=addresses.len() {
        if i == addresses.len() || addresses[i] - addresses[start] > CLUSTER {
            groups.push(start..i);
            start = i;
        }
    }
    groups
}

/// Where a gap has room for it, an area keeps so far from what is mapped already: the kernel gives the target's own next
/// mappings the places right beside those, and would take the one that was chosen before it is mapped.
const AWAY: u64 = 64 << 20;

/// How good a place is, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    /// Nobody else comes there: far from all else, or below everything (the kernel takes the highest gap that fits).
    Quiet,
    /// It may be where the target's next mapping goes.
    Busy,
    /// The stack grows into it.
    BelowStack,
}

/// A free place of `bytes` near [low, high], none of `taken`: in the best gap within reach, in that one as near as it may.
/// `None`: no gap is in reach.
pub fn find_gap(maps: &[Mapping], low: u64, high: u64, bytes: u64, taken: &[(u64, u64)]) -> Option<u64> {
    let from = high.saturating_sub(REACH).max(LOWEST);
    let upto = low.saturating_add(REACH).min(HIGHEST);
    let mut used: Vec<(u64, u64, bool, bool)> = maps
        .iter()
        .filter(|m| m.start < HIGHEST)
        .map(|m| (m.start, m.end, m.path.starts_with("[stack"), m.path == "[heap]"))
        .collect();
    used.extend(taken.iter().map(|&(start, end)| (start, end, false, false)));
    used.sort_unstable();
    let mut places: Vec<(Gap, u64)> = Vec::new();
    let mut gap_start = LOWEST;
    let mut below_is_heap = false;
    for &(start, end, is_stack, is_heap) in &used {
        if start > gap_start {
            // The heap grows up into the gap above it, the stack down into the one below.
            let lowest = if below_is_heap { gap_start + HEAP_GROWTH } else { gap_start };
            let highest = start.saturating_sub(if is_stack { STACK_ROOM } else { 0 });
            let ways: &[_] = if is_stack {
                &[(Gap::BelowStack, 0)]
            } else if gap_start == LOWEST {
                &[(Gap::Quiet, 0)]
            } else {
                &[(Gap::Quiet, AWAY), (Gap::Busy, 0)]
            };
            for &(gap, away) in ways {
                let lowest = (lowest + away).max(from);
                let highest = highest.saturating_sub(away).min(upto).saturating_sub(bytes);
                if lowest <= highest {
                    places.push((gap, if start <= low { highest } else { lowest }));
                }
            }
        }
        if end > gap_start {
            gap_start = end;
            below_is_heap = is_heap;
        }
    }
    places.into_iter().min_by_key(|&(gap, at)| (gap, distance(at, low, high))).map(|(_, at)| at)
}

fn distance(at: u64, low: u64, high: u64) -> u64 {
    if at < low { low - at } else { at.saturating_sub(high) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(start: u64, end: u64, path: &str) -> Mapping {
        Mapping {
            start,
            end,
            read: true,
            write: false,
            execute: true,
            shared: false,
            offset: 0,
            inode: 1,
            device: String::new(),
            path: path.into(),
        }
    }

    #[test]
    fn far_texts_get_areas_of_their_own() {
        assert_eq!(clusters(&[0x40_0000, 0x40_1000, 0x7f00_0000_0000]), [0..2, 2..3]);
        assert!(clusters(&[]).is_empty());
    }

    #[test]
    fn the_place_is_below_the_text_and_never_above_the_heap_or_below_the_stack() {
        let maps = [
            map(0x40_0000, 0x50_0000, "/a"),
            map(0x50_0000, 0x60_0000, "[heap]"),
            map(0x7f00_0000_0000, 0x7f00_0001_0000, "[stack]"),
        ];
        let at = find_gap(&maps, 0x40_0000, 0x50_0000, 0x4000, &[]).expect("there is room below");
        assert_eq!(at, 0x40_0000 - 0x4000);
        let second = find_gap(&maps, 0x40_0000, 0x50_0000, 0x4000, &[(at, at + 0x4000)]).expect("and more");
        assert_eq!(second, at - 0x4000);
    }

    #[test]
    fn far_above_the_heap_there_is_room_again() {
        let maps = [map(0x5500_0000_0000, 0x5500_0010_0000, "[heap]"), map(0x7f00_0000_0000, 0x7f00_0010_0000, "/lib")];
        let library = find_gap(&maps, 0x7f00_0000_0000, 0x7f00_0010_0000, 0x4000, &[]);
        assert_eq!(library, Some(0x7f00_0000_0000 - AWAY - 0x4000));
        assert_eq!(find_gap(&maps, 0x5500_0010_0000, 0x5500_0010_0000, 0x4000, &[]), Some(0x5500_0000_0000 - 0x4000));
    }

    #[test]
    fn where_the_target_maps_next_is_left_to_it() {
        let library = map(0x7f00_0000_0000, 0x7f00_0010_0000, "/lib");
        let narrow =
            [map(0x40_0000, 0x50_0000, "/a"), map(0x7eff_fffe_0000, 0x7eff_ffff_0000, "/other"), library.clone()];
        let at = |maps: &[Mapping]| find_gap(maps, library.start, library.end, 0x4000, &[]);
        assert_eq!(at(&narrow), Some(0x7eff_fffe_0000 - AWAY - 0x4000), "farther, and nobody else comes there");
        let full =
            [map(0x1_0000, 0x7eff_ffff_0000, "/reserved"), library.clone(), map(0x7f00_0010_0000, HIGHEST, "/rest")];
        assert_eq!(at(&full), Some(0x7f00_0000_0000 - 0x4000), "a busy place is better than none");
    }

    #[test]
    fn where_nothing_else_is_free_the_room_far_below_the_stack_serves() {
        let stack = map(0x7f00_4000_0000, 0x7f00_4002_0000, "[stack]");
        let full =
            [map(0x1_0000, 0x7f00_0000_0000, "/reserved"), map(0x7f00_0000_0000, 0x7f00_0020_0000, "/lib"), stack];
        let at = |maps: &[Mapping]| find_gap(maps, 0x7f00_0000_0000, 0x7f00_0020_0000, 0x4000, &[]);
        assert_eq!(at(&full), Some(0x7f00_0020_0000));
        let near = [full[0].clone(), full[1].clone(), map(0x7f00_0820_0000, 0x7f00_0822_0000, "[stack]")];
        assert_eq!(at(&near), None, "the stack keeps its 128 MiB");
    }

    #[test]
    fn no_gap_in_reach_is_none() {
        let maps = [map(0x1_0000, 0x2_0000_0000, "/big"), map(0x2_0000_0000, HIGHEST, "/rest")];
        assert_eq!(find_gap(&maps, 0x1_0000_0000, 0x1_0000_1000, 0x4000, &[]), None);
    }
}
