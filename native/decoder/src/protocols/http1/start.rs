//! Finding where messages begin, when nothing yet says so.
use super::MAX_HEAD_BYTES;
use super::head::Probe;
use crate::protocols::Piece;

/// Bytes of one direction that may be the beginning of a head.
#[derive(Debug, Default)]
pub struct Held {
    pub bytes: Vec<u8>,
    /// When the call that moved the first of them began.
    pub since_ns: u64,
}

impl Held {
    /// Forgets the bytes; keeps a little room for the next ones.
    pub fn clear(&mut self) {
        const KEEP: usize = 4096;
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<T> {
    /// A message begins with what is held, or with the piece if nothing is; the piece is not in what is held.
    Proven(T),
    /// The piece was taken to what is held: it may be the beginning of a first line.
    Open,
    /// Neither; nothing is held.
    No,
}

/// Asks `probe` about a whole call's bytes, after what earlier calls left. What is held and proves to be nothing is
/// added to `unparsed`.
pub fn find_start<T>(
    held: &mut Held,
    piece: &Piece<'_>,
    began_ns: u64,
    unparsed: &mut u64,
    probe: impl Fn(&[u8]) -> (Probe, T),
) -> Start<T> {
    let before = held.bytes.len();
    if before > 0 {
        let room = MAX_HEAD_BYTES.saturating_sub(before).min(piece.data.len());
        held.bytes.extend_from_slice(&piece.data[..room]);
        match probe(&held.bytes) {
            (Probe::Yes, found) => {
                held.bytes.truncate(before);
                return Start::Proven(found);
            }
            (Probe::Maybe, _) if may_go_on(piece, held.bytes.len()) => return Start::Open,
            _ => {
                *unparsed += before as u64;
                held.clear();
            }
        }
    }
    match probe(piece.data) {
        (Probe::Yes, found) => Start::Proven(found),
        (Probe::Maybe, _) if !piece.data.is_empty() && may_go_on(piece, piece.data.len()) => {
            held.bytes.extend_from_slice(piece.data);
            held.since_ns = began_ns;
            Start::Open
        }
        _ => Start::No,
    }
}

fn may_go_on(piece: &Piece<'_>, bytes: usize) -> bool {
    piece.total <= piece.data.len() as u64 && bytes < MAX_HEAD_BYTES
}

/// Length of what a load balancer puts before the first message: the PROXY protocol, version 1 or 2, if it is whole.
pub fn proxy_header(bytes: &[u8]) -> Option<usize> {
    const LONGEST_V1: usize = 107;
    const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    const V2_FIXED: usize = 16;
    if bytes.starts_with(b"PROXY ") {
        let line = &bytes[..bytes.len().min(LONGEST_V1)];
        return memchr::memchr(b'\n', line).map(|end| end + 1);
    }
    if bytes.starts_with(V2_SIGNATURE) && bytes.len() >= V2_FIXED {
        let length = V2_FIXED + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
        return (length <= bytes.len()).then_some(length);
    }
    None
}
