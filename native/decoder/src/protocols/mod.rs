//! Protocols, decoded from what a program read and wrote. Pure: bytes and times in, events out; no descriptor, no clock,
//! no process. What a hostile peer sends can confuse the view of one connection, never more.
pub mod console;
pub mod dns;
pub mod http1;

/// Which way bytes went, seen from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Read,
    Write,
}

/// No call moves more (include/linux/fs.h, MAX_RW_COUNT; a batch of messages a thousand times that): sums of it don't
/// overflow within a century.
pub const MOST_BYTES: u64 = 0x7fff_f000 << 10;

/// What one call moved over a stream.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub direction: Direction,
    /// The first bytes of it; the start of a call is where `data` starts.
    pub data: &'a [u8],
    /// Bytes that the call moved, at least `data.len()` and at most `MOST_BYTES`: the rest was not captured.
    pub total: u64,
    /// Wall clock, nanoseconds since 1970.
    pub time_ns: u64,
}

/// Which end of a connection the program is, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Server,
    Client,
}

impl Role {
    /// The word for `scope.http.role`, `scope.dns.role` and `scope.net.role`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}
