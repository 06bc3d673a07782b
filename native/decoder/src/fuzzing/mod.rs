//! What the fuzz targets (../../fuzz) drive: bytes become what a hostile target or peer could do, and what comes of it is
//! checked. Nothing here panics but for a bug. A finding stays as a test below.
mod input;
mod protocols;
mod session;

pub use protocols::{console, dns, http1};
pub use session::{header, ring};

#[cfg(test)]
mod tests;
