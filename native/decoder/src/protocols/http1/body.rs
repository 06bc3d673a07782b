//! Where a body ends.
use memchr::memchr;

/// Size lines, trailers and what is between them may not be longer than this.
const MAX_FRAMING_BYTES: u32 = 64 * 1024;

/// What of a body is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// ```text
/// Size ─LF─► Data ─► DataEnd ─LF─► Size …
///   └─LF after 0─► Trailer ─empty line─► over
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunked {
    /// In a size line: what its digits say so far, how many there are, bytes of the line.
    Size {
        value: u64,
        digits: u8,
        bytes: u32,
        in_extension: bool,
    },
    Data(u64),
    /// Before the line end that follows a chunk's data; whether its CR has come.
    DataEnd {
        after_cr: bool,
    },
    /// Behind the last chunk: bytes of the current line without its end, bytes of all.
    Trailer {
        line: u32,
        bytes: u32,
    },
}

impl Chunked {
    pub const START: Self = Self::Size { value: 0, digits: 0, bytes: 0, in_extension: false };
    const TRAILER: Self = Self::Trailer { line: 0, bytes: 0 };
}

/// What became of a body after some bytes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that belonged to this message.
    pub consumed: u64,
    /// Of those, bytes of content.
    pub content: u64,
    pub end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// More is to come; all input was consumed.
    Open,
    /// The message ended after `consumed` bytes.
    Done,
    /// The framing makes no sense, or could not be followed.
    Lost,
}

impl Body {
    /// Goes over captured bytes.
    pub fn take(&mut self, bytes: &[u8]) -> Progress {
        match self {
            Self::Length(rest) => skip_length(rest, bytes.len() as u64),
            Self::UntilClose => open(bytes.len() as u64),
            Self::Chunked(state) => take_chunked(state, bytes),
        }
    }

    /// Goes over bytes that were moved but not captured. Past the end of this message it goes on counting nothing:
    /// `consumed` says where the message ended.
    pub fn skip(&mut self, bytes: u64) -> Progress {
        match self {
            Self::Length(rest) => skip_length(rest, bytes),
            Self::UntilClose => open(bytes),
            Self::Chunked(state) => skip_chunked(state, bytes),
        }
    }
}

const fn open(bytes: u64) -> Progress {
    Progress { consumed: bytes, content: bytes, end: End::Open }
}

fn skip_length(rest: &mut u64, bytes: u64) -> Progress {
    let consumed = bytes.min(*rest);
    *rest -= consumed;
    Progress { consumed, content: consumed, end: if *rest == 0 { End::Done } else { End::Open } }
}

/// Inside a chunk that goes past the hole all is well. A hole that ends exactly with a chunk's line end, or with that
/// and the shortest last chunk, is taken for what it looks like: writers put whole chunks into one call.
fn skip_chunked(state: &mut Chunked, bytes: u64) -> Progress {
    const LINE_END: u64 = 2;
    const LAST_CHUNK: u64 = 5;
    let rest = match *state {
        Chunked::Data(rest) => rest,
        Chunked::DataEnd { after_cr: false } => 0,
        _ => return Progress { consumed: bytes, content: 0, end: End::Lost },
    };
    let content = bytes.min(rest);
    let end = if bytes < rest {
        *state = Chunked::Data(rest - bytes);
        End::Open
    } else {
        match bytes - rest {
            0 => {
                *state = Chunked::DataEnd { after_cr: false };
                End::Open
            }
            LINE_END => {
                *state = Chunked::START;
                End::Open
            }
            over if over == LINE_END + LAST_CHUNK => End::Done,
            _ => End::Lost,
        }
    };
    Progress { consumed: bytes, content, end }
}

fn take_chunked(state: &mut Chunked, bytes: &[u8]) -> Progress {
    let mut at = 0;
    let mut content = 0;
    let progress = |at: usize, content, end| Progress { consumed: at as u64, content, end };
    while at < bytes.len() {
        match state {
            Chunked::Data(rest) => {
                let step = usize::try_from(*rest).unwrap_or(usize::MAX).min(bytes.len() - at);
                *rest -= step as u64;
                content += step as u64;
                at += step;
                if *rest == 0 {
                    *state = Chunked::DataEnd { after_cr: false };
                }
            }
            Chunked::DataEnd { after_cr } => {
                match bytes[at] {
                    b'\n' => *state = Chunked::START,
                    b'\r' if !*after_cr => *after_cr = true,
                    _ => return progress(at, content, End::Lost),
                }
                at += 1;
            }
            Chunked::Size { value, digits, bytes: seen, in_extension } => {
                let byte = bytes[at];
                at += 1;
                *seen += 1;
                match byte {
                    b'\n' if *digits == 0 => return progress(at, content, End::Lost),
                    b'\n' if *value == 0 => *state = Chunked::TRAILER,
                    b'\n' => *state = Chunked::Data(*value),
                    _ if *seen > MAX_FRAMING_BYTES => return progress(at, content, End::Lost),
                    _ if *in_extension => {}
                    b';' | b' ' | b'\t' | b'\r' if *digits > 0 => *in_extension = true,
                    _ => {
                        let Some(digit) = char::from(byte).to_digit(16).filter(|_| *digits < 15) else {
                            return progress(at, content, End::Lost);
                        };
                        *value = *value << 4 | u64::from(digit);
                        *digits += 1;
                    }
                }
            }
            Chunked::Trailer { line, bytes: seen } => {
                let rest = &bytes[at..];
                let (step, ended) = memchr(b'\n', rest).map_or((rest.len(), false), |end| (end + 1, true));
                let carriage_return = rest[..step].contains(&b'\r');
                *seen = seen.saturating_add(step as u32);
                at += step;
                if *seen > MAX_FRAMING_BYTES {
                    return progress(at, content, End::Lost);
                }
                *line += (step - usize::from(ended) - usize::from(carriage_return)) as u32;
                if ended {
                    if *line == 0 {
                        return progress(at, content, End::Done);
                    }
                    *line = 0;
                }
            }
        }
    }
    progress(at, content, End::Open)
}
