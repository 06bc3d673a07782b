use proptest::prelude::*;

use super::*;

fn lines(writes: &[&[u8]]) -> Vec<Line> {
    let (mut console, mut out) = (ConsoleLines::default(), Vec::new());
    for (number, write) in writes.iter().enumerate() {
        console.feed(write, number as u64, &mut out);
    }
    console.flush(&mut out);
    out
}

fn line(text: &str, time_ns: u64) -> Line {
    Line { text: text.into(), time_ns, cut: false, escaped: false, open: false }
}

#[test]
fn lines_are_joined_across_writes_and_timed_by_their_first_byte() {
    assert_eq!(lines(&[b"a", b"b\nc\r", b"\n\n"]), [line("ab", 0), line("c", 1), line("", 2)]);
}

#[test]
fn a_line_without_end_is_told_when_flushed() {
    assert_eq!(lines(&[b"a\nprompt> "]), [line("a", 0), Line { open: true, ..line("prompt> ", 0) }]);
}

#[test]
fn a_carriage_return_inside_a_line_stays() {
    assert_eq!(lines(&[b"10%\r20%\r\n"]), [line("10%\r20%", 0)]);
}

#[test]
fn a_long_line_is_cut_once_and_the_next_is_whole() {
    let long = vec![b'x'; MAX_LINE_BYTES];
    let fits = [&long[..], b"\r\n"].concat();
    assert_eq!(lines(&[&fits]), [line(std::str::from_utf8(&long).unwrap(), 0)]);
    let out = lines(&[&long, b"y", &long, b"z\nnext\n"]);
    assert_eq!(out.len(), 2);
    assert_eq!((out[0].text.len(), out[0].cut, out[1].clone()), (MAX_LINE_BYTES, true, line("next", 3)));
}

#[test]
fn a_cut_leaves_no_half_character() {
    let out = lines(&[&"é".repeat(MAX_LINE_BYTES).into_bytes()[1..], b"\n"]);
    assert!(out[0].text.ends_with('é') && out[0].text.starts_with("\\xa9é"));
}

#[test]
fn a_character_may_come_in_two_writes() {
    assert_eq!(lines(&[b"\xe2\x82", b"\xac\n"]), [line("€", 0)]);
}

#[test]
fn bytes_that_are_no_text_are_escaped() {
    assert_eq!(lines(&[b"a\xff\xc3(\xe2\x82\n"]), [Line { escaped: true, ..line("a\\xff\\xc3(\\xe2\\x82", 0) }]);
}

#[test]
fn what_was_not_captured_cuts_its_line() {
    let (mut console, mut out) = (ConsoleLines::default(), Vec::new());
    console.feed(b"whole\nhalf", 1, &mut out);
    console.gap(&mut out);
    console.feed(b"its rest\nnext\n", 2, &mut out);
    assert_eq!(out, [line("whole", 1), Line { cut: true, ..line("half", 1) }, line("next", 2)]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_lines(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300),
        long in prop_oneof![Just(0usize), MAX_LINE_BYTES - 200..MAX_LINE_BYTES + 10],
        size in 1..400usize,
    ) {
        let bytes = [vec![b'x'; long], bytes].concat();
        let untimed = |mut lines: Vec<Line>| { lines.iter_mut().for_each(|line| line.time_ns = 0); lines };
        let split: Vec<&[u8]> = bytes.chunks(size).collect();
        prop_assert_eq!(untimed(lines(&split)), untimed(lines(&[&bytes])));
    }
}
