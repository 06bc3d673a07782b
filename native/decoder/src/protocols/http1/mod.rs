//! HTTP/1.0 and 1.1 as a program read and wrote it (RFC 9112), one connection at a time.
//!
//! Rules that this decoder lives by:
//! - Parsing begins only at a proven start: a whole request or status line at the start of a call.
//! - While framing is intact nothing inside a body is looked at. When framing is lost, nothing is guessed: the next
//!   message is awaited at the start of a call, and for responses only after a new request.
//! - Memory is bounded: one head of at most [`MAX_HEAD_BYTES`] a direction, no body, [`MAX_PIPELINE`] requests.
//! - Nothing is invented: an exchange has a request that was seen.
mod body;
mod connection;
mod early;
mod exchange;
mod head;
mod pending;
mod start;

pub use connection::{Http1Connection, State};
pub use exchange::{HeaderValue, HttpError, HttpExchange, HttpOptions, MessageSize, TraceContext};

/// A head longer than this is not parsed to its end: its first lines count, the rest is taken as not captured.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Requests without their answer that one connection remembers.
pub const MAX_PIPELINE: usize = 1024;

/// Pieces without a proven start after which a connection is taken for another protocol's.
const MAX_UNDECIDED_PIECES: u32 = 4096;

#[cfg(test)]
mod tests;
