//! What a session looks at, ready for use.
use crate::config::{Capture, Fs};
use crate::glob;
use crate::protocols::http1::HttpOptions;
use std::sync::Arc;

pub struct CapturePlan {
    fs: Option<Fs>,
    pub net: bool,
    pub dns: bool,
    pub http: Option<Arc<HttpOptions>>,
    pub console: bool,
    /// Durations of calls.
    pub timing: bool,
}

impl CapturePlan {
    pub fn new(capture: Capture) -> Self {
        Self {
            net: capture.net.is_some(),
            dns: capture.dns.is_some(),
            console: capture.console_lines(),
            http: capture.http.map(|http| Arc::new(HttpOptions { headers: http.headers, redact: http.redact })),
            timing: capture.fs.as_ref().is_some_and(|fs| fs.timing),
            fs: capture.fs,
        }
    }

    /// Whether events about this path are wanted.
    pub fn path(&self, path: &[u8]) -> bool {
        let Some(fs) = &self.fs else { return false };
        let any = |globs: &[String]| globs.iter().any(|pattern| glob::matches(pattern.as_bytes(), path));
        (fs.include.is_empty() || any(&fs.include)) && !any(&fs.exclude)
    }
}
