//! Reads the rings of scoped processes from outside and tells what they did, as lines of JSON.
//!
//! ```text
//! ring file ─▶ ring ─▶ merge ─▶ thread_state ─▶ session ─▶ descriptors ─▶ protocols ─▶ event_writer ─▶ hub ─▶ ffi
//!  (hostile)   copy     order    pair PRE/POST   one call    what a number    http dns     JSON lines   batches
//!              out      by time                  at a time   stands for       console
//!                                    │
//!                                  looks ◀── adopt, settle: what no call has told, from /proc and the kernel's
//!                                            listings (sockets), as far as `ahead` says that it can still be told
//! ```
//!
//! The target can write every byte of its ring: nothing here trusts a cursor, a size or a length.
mod address;
mod adopt;
mod ahead;
mod call;
mod capture;
mod clock;
mod config;
mod cursor;
mod descriptor_calls;
mod descriptors;
mod errno;
mod event_writer;
mod ffi;
#[doc(hidden)]
pub mod fuzzing;
mod glob;
mod heap;
mod hub;
mod looks;
mod mapping;
mod merge;
mod name_lookups;
mod opening;
mod paths;
mod protocol_events;
pub mod protocols;
mod record;
mod ring;
mod session;
mod settle;
mod signals;
mod socket;
mod sockets;
mod stats;
mod summary;
#[doc(hidden)]
pub mod synthetic;
mod target;
mod telling;
#[cfg(test)]
mod tests;
mod thread_state;
mod transfers;

pub use ffi::{
    scope_hub, scope_hub_ack, scope_hub_close, scope_hub_flush, scope_hub_free, scope_hub_new, scope_hub_open,
    scope_hub_stats, scope_string_free,
};
pub use hub::{Batch, BatchKind, Hub};
