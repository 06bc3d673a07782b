//! What a session is opened with, as JSON.
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// As the agent sees it.
    pub pid: i32,
    /// A path that maps the ring: /proc/PID/map_files/…, or any file of that layout.
    pub ring: String,
    /// Written into every event as it is.
    pub process: Box<RawValue>,
    #[serde(default)]
    pub capture: Capture,
    #[serde(default = "ten")]
    pub progress_seconds: u64,
    /// It stands still until the session is open: its descriptors are looked at before that, not by the first step.
    #[serde(default)]
    pub held: bool,
    /// It was scoped in the middle of its own birth.
    #[serde(default)]
    pub born: bool,
    /// Where to keep, for the time after this process, how far the ring was read.
    pub cursor: Option<String>,
    /// Go on from what an earlier process kept there.
    pub resume: Option<Resume>,
}

#[derive(Deserialize)]
pub struct Resume {
    /// Of the last batch whose lines were kept, in hexadecimal.
    pub mark: Option<String>,
}

fn ten() -> u64 {
    10
}

/// What is looked at; absent means off.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Capture {
    pub fs: Option<Fs>,
    pub net: Option<Empty>,
    pub dns: Option<Empty>,
    pub http: Option<Http>,
    pub console: Option<Console>,
}

/// An object whose fields say nothing yet.
#[derive(Deserialize, Default)]
pub struct Empty {}

/// `include`, `exclude`: globs over paths.
#[derive(Deserialize, Default)]
pub struct Fs {
    #[serde(default)]
    pub include: Vec<String>,
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Durations of calls too: the injector was asked for the records that they need.
    #[serde(default)]
    pub timing: bool,
}

/// Header names, in lower case.
#[derive(Deserialize, Default)]
pub struct Http {
    #[serde(default)]
    pub headers: Vec<String>,
    #[serde(default)]
    pub redact: Vec<String>,
}

#[derive(Deserialize)]
pub struct Console {
    pub mode: ConsoleMode,
}

#[derive(Deserialize, PartialEq, Eq)]
pub enum ConsoleMode {
    Disabled,
    Lines,
}

impl Config {
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

impl Capture {
    pub fn console_lines(&self) -> bool {
        self.console.as_ref().is_some_and(|console| console.mode == ConsoleMode::Lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_process_as_it_was_written() {
        let json = br#"{"pid":5,"ring":"/x","process":{ "pid" : 5 },"capture":{"fs":{},"console":{"mode":"Lines"}}}"#;
        let config = Config::parse(json).expect("it is well formed");
        assert_eq!(config.process.get(), r#"{ "pid" : 5 }"#);
        assert_eq!(config.progress_seconds, 10);
        assert!(config.capture.fs.is_some() && config.capture.net.is_none() && config.capture.console_lines());
    }
}
