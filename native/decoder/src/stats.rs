//! What a session counts. Numbers only grow.
use crate::event_writer::{NAMES, put_string};
use crate::ring::Losses;

/// What was not seen. The first thirteen are the payload's own counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub records: u64,
    pub read_calls: u64,
    pub read_bytes: u64,
    pub write_calls: u64,
    pub write_bytes: u64,
    pub recv_calls: u64,
    pub recv_bytes: u64,
    pub send_calls: u64,
    pub send_bytes: u64,
    /// Data that was not copied; the calls themselves were seen.
    pub uncopied_calls: u64,
    pub uncopied_bytes: u64,
    pub transfer_calls: u64,
    pub transfer_bytes: u64,
    /// Reservations that were never committed.
    pub abandoned: u64,
    /// Times that a ring made no sense and was emptied.
    pub corrupt: u64,
    /// Lines that an agent had made when it died, and nobody got.
    pub events: u64,
    /// What such an agent had counted on descriptors and no close told: those that were open, and closes in lost lines.
    /// Also what was moved by more descriptors than are followed.
    pub untold_read_calls: u64,
    pub untold_read_bytes: u64,
    pub untold_write_calls: u64,
    pub untold_write_bytes: u64,
    /// Times that a session forgot what it was parsing, to stay within its memory.
    pub shed: u64,
}

impl From<&Losses> for Lost {
    fn from(losses: &Losses) -> Self {
        let [
            records,
            read_calls,
            read_bytes,
            write_calls,
            write_bytes,
            recv_calls,
            recv_bytes,
            send_calls,
            send_bytes,
            uncopied_calls,
            uncopied_bytes,
            transfer_calls,
            transfer_bytes,
        ] = *losses;
        Self {
            records,
            read_calls,
            read_bytes,
            write_calls,
            write_bytes,
            recv_calls,
            recv_bytes,
            send_calls,
            send_bytes,
            uncopied_calls,
            uncopied_bytes,
            transfer_calls,
            transfer_bytes,
            ..Self::default()
        }
    }
}

/// The names in `lost` of events and stats, and where each count is.
type Field = (&'static str, fn(&mut Lost) -> &mut u64);

impl Lost {
    pub const FIELDS: usize = 21;

    const TABLE: [Field; Self::FIELDS] = [
        ("records", |lost| &mut lost.records),
        ("readCalls", |lost| &mut lost.read_calls),
        ("readBytes", |lost| &mut lost.read_bytes),
        ("writeCalls", |lost| &mut lost.write_calls),
        ("writeBytes", |lost| &mut lost.write_bytes),
        ("recvCalls", |lost| &mut lost.recv_calls),
        ("recvBytes", |lost| &mut lost.recv_bytes),
        ("sendCalls", |lost| &mut lost.send_calls),
        ("sendBytes", |lost| &mut lost.send_bytes),
        ("uncopiedCalls", |lost| &mut lost.uncopied_calls),
        ("uncopiedBytes", |lost| &mut lost.uncopied_bytes),
        ("transferCalls", |lost| &mut lost.transfer_calls),
        ("transferBytes", |lost| &mut lost.transfer_bytes),
        ("abandoned", |lost| &mut lost.abandoned),
        ("corrupt", |lost| &mut lost.corrupt),
        ("events", |lost| &mut lost.events),
        ("untoldReadCalls", |lost| &mut lost.untold_read_calls),
        ("untoldReadBytes", |lost| &mut lost.untold_read_bytes),
        ("untoldWriteCalls", |lost| &mut lost.untold_write_calls),
        ("untoldWriteBytes", |lost| &mut lost.untold_write_bytes),
        ("shed", |lost| &mut lost.shed),
    ];

    /// In the order of the table.
    pub fn counts(&self) -> [u64; Self::FIELDS] {
        let mut copy = *self;
        Self::TABLE.map(|(_, count)| *count(&mut copy))
    }

    pub fn of(counts: [u64; Self::FIELDS]) -> Self {
        let mut lost = Self::default();
        for ((_, place), count) in Self::TABLE.iter().zip(counts) {
            *place(&mut lost) = count;
        }
        lost
    }

    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether calls were missed, so that what is known of descriptors may be out of date.
    pub fn missed_calls(&self) -> bool {
        self.records > 0 || self.abandoned > 0 || self.corrupt > 0
    }

    pub fn add(&mut self, other: &Self) {
        for ((_, place), count) in Self::TABLE.iter().zip(other.counts()) {
            let sum = place(self);
            *sum = sum.saturating_add(count);
        }
    }

    /// What this has more than `less`.
    pub fn beyond(&self, less: &Self) -> Self {
        let (all, less) = (self.counts(), less.counts());
        Self::of(std::array::from_fn(|number| all[number].saturating_sub(less[number])))
    }

    /// An object of what is not 0.
    pub fn put_json(&self, out: &mut Vec<u8>) {
        let fields = Self::TABLE.iter().map(|(name, _)| *name).zip(self.counts());
        put_object(out, fields.filter(|(_, count)| *count > 0));
    }
}

/// How long calls took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub sum: u64,
    pub longest: u64,
}

impl Spent {
    pub fn add(&mut self, ns: u64) {
        self.sum = self.sum.saturating_add(ns);
        self.longest = self.longest.max(ns);
    }
}

/// What was moved by calls that have no records of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub read: Moved,
    pub write: Moved,
}

impl Tally {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Calls and bytes of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub calls: u64,
    pub bytes: u64,
}

impl Moved {
    pub fn add(&mut self, bytes: u64) {
        self.add_all(Self { calls: 1, bytes });
    }

    pub fn add_all(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Every call that came back, whatever its result; bytes of those that moved some. /proc/PID/io counts read and write
/// in the same way; transfers (sendfile, copy_file_range) it counts in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    pub read: Moved,
    pub write: Moved,
    pub recv: Moved,
    pub send: Moved,
    pub transfer: Moved,
    pub splice: Moved,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub records: u64,
    pub events: u64,
    pub by_name: [u64; NAMES.len()],
    pub lost: Lost,
    /// Of streams that were looked at for a protocol and could not be told what they are.
    pub unparsed_bytes: u64,
    /// What goes through these is not seen.
    pub io_urings: u64,
    pub io: Io,
    pub flushed: u64,
    pub descriptors: u64,
    pub threads: u64,
}

impl Stats {
    pub fn to_json(self) -> String {
        let mut out = Vec::with_capacity(1024);
        let number = |out: &mut Vec<u8>, key: &str, value: u64| {
            out.push(if out.is_empty() { b'{' } else { b',' });
            put_string(out, key.as_bytes());
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        };
        number(&mut out, "records", self.records);
        number(&mut out, "events", self.events);
        number(&mut out, "flushed", self.flushed);
        number(&mut out, "unparsedBytes", self.unparsed_bytes);
        number(&mut out, "ioUrings", self.io_urings);
        number(&mut out, "descriptors", self.descriptors);
        number(&mut out, "threads", self.threads);
        out.extend_from_slice(b",\"lost\":");
        self.lost.put_json(&mut out);
        out.extend_from_slice(b",\"eventsByName\":");
        put_object(&mut out, NAMES.iter().copied().zip(self.by_name).filter(|(_, count)| *count > 0));
        out.extend_from_slice(b",\"io\":");
        let io = &self.io;
        let families = [
            ("readCalls", io.read.calls),
            ("readBytes", io.read.bytes),
            ("writeCalls", io.write.calls),
            ("writeBytes", io.write.bytes),
            ("recvCalls", io.recv.calls),
            ("recvBytes", io.recv.bytes),
            ("sendCalls", io.send.calls),
            ("sendBytes", io.send.bytes),
            ("transferCalls", io.transfer.calls),
            ("transferBytes", io.transfer.bytes),
            ("spliceCalls", io.splice.calls),
            ("spliceBytes", io.splice.bytes),
        ];
        put_object(&mut out, families.into_iter());
        out.push(b'}');
        String::from_utf8_lossy(&out).into_owned()
    }
}

fn put_object<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = (&'a str, u64)>) {
    out.push(b'{');
    for (number, (key, value)) in fields.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        put_string(out, key.as_bytes());
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_json() {
        let mut stats = Stats { records: 5, ..Stats::default() };
        stats.lost.records = 2;
        stats.by_name[3] = 9;
        let value: serde_json::Value = serde_json::from_str(&stats.to_json()).expect("it is JSON");
        assert_eq!(value["records"], 5);
        assert_eq!(value["lost"], serde_json::json!({"records": 2}));
        assert_eq!(value["eventsByName"]["fs.open"], 9);
        assert_eq!(value["io"]["readCalls"], 0);
    }
}
