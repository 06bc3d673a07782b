//! Whole sessions over synthetic rings.
mod console;
mod endings;
mod files;
mod hostile;
mod http;
mod looks;
mod losses;
mod order;
mod restart;
mod sockets;
pub mod support;
