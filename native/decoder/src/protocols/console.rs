//! Lines of text out of what a program writes to a terminal, a pipe, or a log.

/// A line longer than this is cut.
pub const MAX_LINE_BYTES: usize = 8 * 1024;

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Valid UTF-8: bytes that are not are written as `\xNN`.
    pub text: String,
    /// When its first byte was written, nanoseconds since 1970.
    pub time_ns: u64,
    /// The rest of it is missing: it was too long, or not captured.
    pub cut: bool,
    /// Some of its bytes were no UTF-8.
    pub escaped: bool,
    /// Its end had not been written when it was flushed.
    pub open: bool,
}

/// Joins one stream's writes into lines that end in `\n` or `\r\n`. Holds at most [`MAX_LINE_BYTES`].
#[derive(Debug, Default)]
pub struct ConsoleLines {
    held: Vec<u8>,
    started_ns: u64,
    /// The line was cut and told; what follows up to its end is not.
    skipping: bool,
}

impl ConsoleLines {
    pub fn feed(&mut self, bytes: &[u8], time_ns: u64, out: &mut Vec<Line>) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.add(&rest[..end], time_ns, out);
            self.end(time_ns, out);
            rest = &rest[end + 1..];
        }
        self.add(rest, time_ns, out);
    }

    /// Bytes were written that were not captured: what is held is told as a cut line, and the rest of it skipped.
    pub fn gap(&mut self, out: &mut Vec<Line>) {
        if !self.held.is_empty() {
            self.tell(true, false, out);
        }
        self.skipping = true;
    }

    /// Tells a line that has no end yet, as when the stream or the session ends.
    pub fn flush(&mut self, out: &mut Vec<Line>) {
        if !self.held.is_empty() {
            self.tell(false, true, out);
        }
        self.skipping = false;
    }

    fn add(&mut self, part: &[u8], time_ns: u64, out: &mut Vec<Line>) {
        if self.skipping || part.is_empty() {
            return;
        }
        if self.held.is_empty() {
            self.started_ns = time_ns;
        }
        // One byte more than a line may have: it may be the CR of the line's end.
        let room = MAX_LINE_BYTES + 1 - self.held.len();
        self.held.extend_from_slice(&part[..part.len().min(room)]);
        let too_long = self.held.len() > MAX_LINE_BYTES && (part.len() > room || self.held.last() != Some(&b'\r'));
        if too_long {
            self.held.truncate(MAX_LINE_BYTES);
            self.tell(true, false, out);
            self.skipping = true;
        }
    }

    fn end(&mut self, time_ns: u64, out: &mut Vec<Line>) {
        if std::mem::take(&mut self.skipping) {
            return;
        }
        if self.held.is_empty() {
            self.started_ns = time_ns;
        }
        if self.held.last() == Some(&b'\r') {
            self.held.pop();
        }
        self.tell(false, false, out);
    }

    fn tell(&mut self, cut: bool, open: bool, out: &mut Vec<Line>) {
        let bytes = if cut { without_cut_character(&self.held) } else { &self.held };
        let (text, escaped) = readable(bytes);
        out.push(Line { text, time_ns: self.started_ns, cut, escaped, open });
        self.held.clear();
    }
}

/// Text as it is where it is UTF-8, `\xNN` for each byte where it isn't; and whether there was any such byte.
fn readable(bytes: &[u8]) -> (String, bool) {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    let mut escaped = false;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            escaped = true;
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    (text, escaped)
}

/// Leaves out a character at the end that the cut went through.
fn without_cut_character(bytes: &[u8]) -> &[u8] {
    const LONGEST: usize = 4;
    let tail = bytes.len().saturating_sub(LONGEST - 1);
    match bytes[tail..].iter().rposition(|&byte| byte >= 0xc0).map(|at| tail + at) {
        Some(start) if std::str::from_utf8(&bytes[start..]).is_err_and(|error| error.error_len().is_none()) => {
            &bytes[..start]
        }
        _ => bytes,
    }
}

#[cfg(test)]
mod tests;
