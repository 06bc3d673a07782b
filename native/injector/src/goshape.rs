//! Go's two functions that system calls pass through, by what their code is: programs that were made hard to read have
//! other names for them, and a function table of their own. Both are a few instructions of assembly, the same in every
//! release since 1.17 but for the frame; each is compared whole, from its first instruction to its last.
//! Pure: bytes in, distances out.

/// internal/runtime/syscall.Syscall6 (src/internal/runtime/syscall/linux/asm_linux_amd64.s).
pub const SYSCALL6: &[u8] = b"\
    \x49\x89\xf2\x48\x89\xfa\x48\x89\xce\x48\x89\xdf\x0f\x05\
    \x48\x3d\x01\xf0\xff\xff\x76\x15\
    \x48\xf7\xd8\x48\x89\xc1\x48\xc7\xc0\xff\xff\xff\xff\x48\xc7\xc3\x00\x00\x00\x00\xc3\
    \x48\x89\xd3\x48\xc7\xc1\x00\x00\x00\x00\xc3";

/// The `cmp` in it, behind its system call: how far from its start, and its bytes.
pub const COMPARE: (u64, &[u8]) = (14, b"\x48\x3d\x01\xf0\xff\xff");

/// syscall.RawSyscall6: makes a frame, calls Syscall6 with every register as it was given, takes the frame down, returns.
/// `?` is the frame's size, the same byte at each place.
const PASSING_ON: &[(&[u8], &[u8])] = &[
    // Since 1.21: push %rbp; mov %rsp,%rbp; sub $?,%rsp | add $?,%rsp; pop %rbp; ret
    (b"\x55\x48\x89\xe5\x48\x83\xec?", b"\x48\x83\xc4?\x5d\xc3"),
    // Before: sub $64,%rsp; mov %rbp,56(%rsp); lea 56(%rsp),%rbp | mov 56(%rsp),%rbp; add $64,%rsp; ret
    (b"\x48\x83\xec\x40\x48\x89\x6c\x24\x38\x48\x8d\x6c\x24\x38", b"\x48\x8b\x6c\x24\x38\x48\x83\xc4\x40\xc3"),
];

/// The longest way from such a function's start to its call, and from behind the call to its end.
pub const MOST_BEFORE: usize = 14;
pub const MOST_BEHIND: usize = 10;

/// Whether a call stands in a function that only passes on: `before` ends where the call begins, `behind` begins where it
/// ends.
pub fn passes_on(before: &[u8], behind: &[u8]) -> bool {
    PASSING_ON.iter().any(|(head, tail)| {
        let Some(from) = before.len().checked_sub(head.len()) else { return false };
        let frames = [fits(head, &before[from..]), behind.get(..tail.len()).and_then(|behind| fits(tail, behind))];
        matches!(frames, [Some(made), Some(taken)] if made == taken)
    })
}

/// The byte at `?`, 0 where there is none. `None`: other bytes.
fn fits(shape: &[u8], code: &[u8]) -> Option<u8> {
    let mut hole = 0;
    for (&s, &c) in shape.iter().zip(code) {
        match s {
            b'?' => hole = c,
            _ if s != c => return None,
            _ => {}
        }
    }
    Some(hole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Code, Decoder, DecoderOptions, FlowControl};

    #[test]
    fn both_frames_are_known_and_no_other_bytes() {
        let newer: (&[u8], &[u8]) = (b"\xcc\x55\x48\x89\xe5\x48\x83\xec\x38", b"\x48\x83\xc4\x38\x5d\xc3\xcc");
        let older: (&[u8], &[u8]) = (PASSING_ON[1].0, PASSING_ON[1].1);
        for (before, behind) in [newer, older] {
            assert!(passes_on(before, behind));
            for at in 0..before.len() {
                let mut other = before.to_vec();
                other[at] ^= 1;
                assert_eq!(passes_on(&other, behind), before[at] == 0xcc, "byte {at} before");
            }
            for at in 0..behind.len() {
                let mut other = behind.to_vec();
                other[at] ^= 1;
                assert_eq!(passes_on(before, &other), behind[at] == 0xcc, "byte {at} behind");
            }
            for n in 0..before.len().min(7) {
                assert!(!passes_on(&before[before.len() - n..], behind) && !passes_on(before, &behind[..n.min(5)]));
            }
        }
    }

    #[test]
    fn the_function_is_whole_instructions_and_returns_on_both_ways() {
        let mut decoder = Decoder::with_ip(64, SYSCALL6, 0, DecoderOptions::NONE);
        let all: Vec<_> = decoder.iter().collect();
        assert!(all.iter().all(|i| !i.is_invalid()));
        assert_eq!(all.iter().map(iced_x86::Instruction::len).sum::<usize>(), SYSCALL6.len());
        let call = all.iter().position(|i| i.code() == Code::Syscall).expect("a system call");
        assert_eq!(all[call + 1].ip(), COMPARE.0);
        assert_eq!(&SYSCALL6[14..20], COMPARE.1);
        assert_eq!(all[call + 2].near_branch_target(), 0x2b);
        let returns: Vec<_> = all.iter().filter(|i| i.flow_control() == FlowControl::Return).map(|i| i.ip()).collect();
        assert_eq!(returns, [0x2a, 0x35]);
    }
}
