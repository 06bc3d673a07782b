//! Events as JSON lines, written straight into a byte buffer:
//! `{"time":…,"event":…,"process":{…},"attributes":{…},"lost":{…}}`.
use crate::stats::Lost;
use crate::summary::{Kind, Summary};

/// Every event that this library makes. The order is that of `NAMES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    ProcessFork,
    ProcessExec,
    ProcessExit,
    FsOpen,
    FsIo,
    FsClose,
    FsDelete,
    FsRename,
    FsError,
    NetListen,
    NetOpen,
    NetIo,
    NetClose,
    NetError,
    DnsQuery,
    HttpExchange,
    ConsoleLine,
    ScopeLost,
}

pub const NAMES: [&str; 18] = [
    "process.fork",
    "process.exec",
    "process.exit",
    "fs.open",
    "fs.io",
    "fs.close",
    "fs.delete",
    "fs.rename",
    "fs.error",
    "net.listen",
    "net.open",
    "net.io",
    "net.close",
    "net.error",
    "dns.query",
    "http.exchange",
    "console.line",
    "scope.lost",
];

/// Lines that are handed on together.
pub struct Delivery<'a> {
    /// Each with its end; of a session with a cursor then a mark.
    pub bytes: &'a [u8],
    pub events: u64,
    /// What they come to: the JSON of `Summary`.
    pub summary: &'a [u8],
}

/// Lines of one session that were not delivered yet, and counts of all there were.
pub struct EventWriter {
    lines: Vec<u8>,
    waiting: u64,
    summary: Summary,
    total: u64,
    by_name: [u64; NAMES.len()],
    /// `,"process":{…},"attributes":{`
    middle: Vec<u8>,
    /// Time of the last event: whole seconds, and their text.
    second: u64,
    second_text: [u8; 19],
    /// What was lost and not told of yet.
    lost: Lost,
}

impl EventWriter {
    /// `process`: a finished JSON object.
    pub fn new(process: &str) -> Self {
        let mut middle = b",\"process\":".to_vec();
        middle.extend_from_slice(process.as_bytes());
        middle.extend_from_slice(b",\"attributes\":{");
        Self {
            lines: Vec::with_capacity(128 * 1024),
            waiting: 0,
            summary: Summary::default(),
            total: 0,
            by_name: [0; NAMES.len()],
            middle,
            second: u64::MAX,
            second_text: [b'0'; 19],
            lost: Lost::default(),
        }
    }

    /// What the next event must tell of.
    pub fn add_lost(&mut self, lost: &Lost) {
        self.lost.add(lost);
    }

    /// What no line has told of yet.
    pub fn untold_lost(&self) -> &Lost {
        &self.lost
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn by_name(&self) -> &[u64; NAMES.len()] {
        &self.by_name
    }

    /// Lines that wait, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.lines.len()
    }

    /// The waiting lines, with `mark` behind them; then none wait.
    pub fn drain(&mut self, mark: &[u8], deliver: impl FnOnce(Delivery)) {
        if self.waiting > 0 {
            self.lines.extend_from_slice(mark);
            let bytes = self.lines.len();
            // In the same memory, which is there already.
            self.summary.take_json(&mut self.lines);
            let (bytes, summary) = self.lines.split_at(bytes);
            deliver(Delivery { bytes, events: self.waiting, summary });
        }
        self.lines.clear();
        self.waiting = 0;
    }

    /// Of an exchange whose line is about to be written.
    pub fn count_exchange(&mut self, kind: Kind, ns: u64) {
        self.summary.add_exchange(kind, ns);
    }

    /// Begins a line; it is ended when the guard is dropped. `wall_ns`: since 1970.
    pub fn event(&mut self, event: Event, wall_ns: u64) -> Line<'_> {
        self.total += 1;
        self.waiting += 1;
        self.by_name[event as usize] += 1;
        self.summary.add(event);
        self.lines.extend_from_slice(b"{\"time\":\"");
        self.put_time(wall_ns);
        self.lines.extend_from_slice(b"\",\"event\":\"");
        self.lines.extend_from_slice(NAMES[event as usize].as_bytes());
        self.lines.push(b'"');
        self.lines.extend_from_slice(&self.middle);
        Line { attributes: Attributes { out: &mut self.lines, first: true }, lost: &mut self.lost }
    }

    fn put_time(&mut self, wall_ns: u64) {
        let second = wall_ns / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.second_text = civil(second);
        }
        self.lines.extend_from_slice(&self.second_text);
        self.lines.extend_from_slice(&fraction(wall_ns));
    }
}

/// RFC 3339, with nanoseconds.
pub fn time_text(wall_ns: u64) -> Vec<u8> {
    [civil(wall_ns / 1_000_000_000).as_slice(), &fraction(wall_ns)].concat()
}

fn fraction(wall_ns: u64) -> [u8; 11] {
    let mut digits = *b".000000000Z";
    let mut rest = wall_ns % 1_000_000_000;
    for place in digits[1..10].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// Seconds since 1970 as `2026-01-02T03:04:05`. Howard Hinnant's civil_from_days.
fn civil(second: u64) -> [u8; 19] {
    let (days, time) = (second / 86_400, second % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut text = *b"0000-00-00T00:00:00";
    let mut put = |at: usize, width: usize, mut value: u64| {
        for place in text[at..at + width].iter_mut().rev() {
            *place = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, time / 3_600);
    put(14, 2, time / 60 % 60);
    put(17, 2, time % 60);
    text
}

/// The attributes of one JSON object, in the making. Keys must need no escaping.
pub struct Attributes<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Attributes<'a> {
    /// Appends `"key":value` pairs, with commas between them, to `out`: a fragment for `Line::fragment`.
    pub fn fragment_into(out: &'a mut Vec<u8>) -> Self {
        let first = out.is_empty();
        Self { out, first }
    }

    /// Inlined, the key has a known length, and is stored by a few moves instead of a call.
    #[inline]
    fn key(&mut self, key: &str) {
        const MARKS: usize = ",\"\":".len();
        self.out.reserve(key.len() + MARKS);
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Bytes that are not UTF-8 become U+FFFD.
    #[inline]
    pub fn text(&mut self, key: &str, value: &[u8]) -> &mut Self {
        self.key(key);
        put_string(self.out, value);
        self
    }

    pub fn texts<'b>(&mut self, key: &str, values: impl Iterator<Item = &'b [u8]>) -> &mut Self {
        self.key(key);
        self.out.push(b'[');
        for (number, value) in values.enumerate() {
            if number > 0 {
                self.out.push(b',');
            }
            put_string(self.out, value);
        }
        self.out.push(b']');
        self
    }

    #[inline]
    pub fn number(&mut self, key: &str, value: u64) -> &mut Self {
        self.key(key);
        put_number(self.out, value);
        self
    }

    pub fn signed(&mut self, key: &str, value: i64) -> &mut Self {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        self
    }

    #[inline]
    pub fn truth(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// Nanoseconds, told in seconds.
    #[inline]
    pub fn seconds(&mut self, key: &str, ns: u64) -> &mut Self {
        self.key(key);
        put_seconds(self.out, ns);
        self
    }

    /// Finished `"key":value` pairs.
    pub fn fragment(&mut self, pairs: &[u8]) -> &mut Self {
        if !pairs.is_empty() {
            if !self.first {
                self.out.push(b',');
            }
            self.first = false;
            self.out.extend_from_slice(pairs);
        }
        self
    }
}

/// A line in the making.
pub struct Line<'a> {
    attributes: Attributes<'a>,
    lost: &'a mut Lost,
}

impl<'a> std::ops::Deref for Line<'a> {
    type Target = Attributes<'a>;
    fn deref(&self) -> &Attributes<'a> {
        &self.attributes
    }
}

impl<'a> std::ops::DerefMut for Line<'a> {
    fn deref_mut(&mut self) -> &mut Attributes<'a> {
        &mut self.attributes
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let out = &mut *self.attributes.out;
        out.push(b'}');
        if !self.lost.is_nothing() {
            out.extend_from_slice(b",\"lost\":");
            self.lost.put_json(out);
            *self.lost = Lost::default();
        }
        out.extend_from_slice(b"}\n");
    }
}

fn put_number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn put_seconds(out: &mut Vec<u8>, ns: u64) {
    put_number(out, ns / 1_000_000_000);
    let mut rest = ns % 1_000_000_000;
    if rest > 0 {
        let mut digits = *b".000000000";
        let mut end = 10;
        while rest.is_multiple_of(10) {
            rest /= 10;
            end -= 1;
        }
        for place in digits[1..end].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&digits[..end]);
    }
}

/// Printable ASCII that stands in a JSON string as it is: nearly all that is told. Looks at all of it, without a branch for
/// each byte, so that the compiler takes many at once.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, &byte| plain & (0x20..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\'))
}

/// A JSON string, quotes and all.
pub fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + "\"\"".len());
    out.push(b'"');
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    for piece in bytes.utf8_chunks() {
        put_escaped(out, piece.valid().as_bytes());
        if !piece.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn put_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut plain = 0;
    for (at, &byte) in text.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&text[plain..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(wall_ns: u64, fill: impl FnOnce(&mut Line)) -> serde_json::Value {
        let mut writer = EventWriter::new(r#"{"pid":7}"#);
        fill(&mut writer.event(Event::FsOpen, wall_ns));
        let mut value = serde_json::Value::Null;
        writer.drain(&[], |Delivery { bytes: lines, events, summary }| {
            assert_eq!(events, 1);
            assert_eq!(summary, br#"{"events":{"fs.open":1},"exchanges":[]}"#);
            assert_eq!(lines.last(), Some(&b'\n'));
            value = serde_json::from_slice(lines).expect("a line is JSON");
        });
        value
    }

    #[test]
    fn writes_a_line_that_holds_what_was_given() {
        let value = written(1_767_323_045_123_456_789, |line| {
            line.text("file.path", b"/a\"\\\n\x01\xffz").number("n", 5).seconds("s", 1_500_000_000).truth("t", true);
        });
        assert_eq!(value["time"], "2026-01-02T03:04:05.123456789Z");
        assert_eq!(value["event"], "fs.open");
        assert_eq!(value["process"]["pid"], 7);
        assert_eq!(value["attributes"]["file.path"], "/a\"\\\n\u{1}\u{fffd}z");
        assert_eq!(value["attributes"]["s"], 1.5);
        assert!(value.get("lost").is_none());
    }

    #[test]
    fn knows_leap_days() {
        assert_eq!(&civil(951_782_400), b"2000-02-29T00:00:00");
        assert_eq!(&civil(0), b"1970-01-01T00:00:00");
        assert_eq!(&civil(4_107_542_399), b"2100-02-28T23:59:59");
    }

    #[test]
    fn tells_of_a_loss_once() {
        let mut writer = EventWriter::new("{}");
        writer.add_lost(&Lost { records: 3, ..Lost::default() });
        writer.event(Event::FsOpen, 0);
        writer.event(Event::FsOpen, 0);
        writer.drain(&[], |told| {
            let text = String::from_utf8_lossy(told.bytes);
            assert_eq!(text.matches("\"lost\":{\"records\":3}").count(), 1);
        });
    }
}
