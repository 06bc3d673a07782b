//! What the lines of one batch come to, for those who only count: they need not read a line.
use crate::event_writer::{Event, NAMES};
use crate::protocols::Role;
use rustc_hash::FxHashMap;

/// Exchanges that metrics don't tell apart. `status` is 0 where there was no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    pub role: Role,
    /// One of the known methods, or `_OTHER`.
    pub method: &'static str,
    pub status: u16,
}

#[derive(Default)]
pub struct Summary {
    by_name: [u64; NAMES.len()],
    /// Nanoseconds that each exchange took.
    durations: Vec<(Kind, Vec<u64>)>,
    places: FxHashMap<Kind, usize>,
    /// The next exchange is mostly of the same kind as the last one.
    last: usize,
}

impl Summary {
    pub fn add(&mut self, event: Event) {
        self.by_name[event as usize] += 1;
    }

    pub fn add_exchange(&mut self, kind: Kind, ns: u64) {
        if self.durations.get(self.last).is_none_or(|(last, _)| *last != kind) {
            self.last = *self.places.entry(kind).or_insert_with(|| {
                self.durations.push((kind, Vec::new()));
                self.durations.len() - 1
            });
        }
        self.durations[self.last].1.push(ns);
    }

    /// `{"events":{"http.exchange":2},"exchanges":[{"role":"server","method":"GET","status":200,"ns":[5,7]}]}`; then it
    /// begins anew.
    pub fn take_json(&mut self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(b"{\"events\":{");
        let counts = NAMES.iter().zip(self.by_name).filter(|(_, count)| *count > 0);
        for (number, (name, count)) in counts.enumerate() {
            let comma = if number > 0 { "," } else { "" };
            for piece in [comma, "\"", name, "\":", digits.format(count)] {
                out.extend_from_slice(piece.as_bytes());
            }
        }
        out.extend_from_slice(b"},\"exchanges\":[");
        for (number, (Kind { role, method, status }, ns)) in self.durations.iter().enumerate() {
            let open = if number > 0 { ",{\"role\":\"" } else { "{\"role\":\"" };
            for piece in [open, role.as_str(), "\",\"method\":\"", method, "\",\"status\":", digits.format(*status)] {
                out.extend_from_slice(piece.as_bytes());
            }
            let mut before = ",\"ns\":[";
            for each in ns {
                out.extend_from_slice(before.as_bytes());
                out.extend_from_slice(digits.format(*each).as_bytes());
                before = ",";
            }
            out.extend_from_slice(b"]}");
        }
        out.extend_from_slice(b"]}");
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_names_and_gathers_durations_of_a_kind() {
        let mut summary = Summary::default();
        let kind = |role, status| Kind { role, method: "GET", status };
        for (role, status, ns) in [(Role::Server, 200, 5), (Role::Client, 0, 6), (Role::Server, 200, 7)] {
            summary.add(Event::HttpExchange);
            summary.add_exchange(kind(role, status), ns);
        }
        summary.add(Event::FsOpen);
        let mut json = Vec::new();
        summary.take_json(&mut json);
        let told: serde_json::Value = serde_json::from_slice(&json).expect("it is JSON");
        assert_eq!(
            told,
            serde_json::json!({
                "events": {"fs.open": 1, "http.exchange": 3},
                "exchanges": [
                    {"role": "server", "method": "GET", "status": 200, "ns": [5, 7]},
                    {"role": "client", "method": "GET", "status": 0, "ns": [6]},
                ],
            })
        );
        json.clear();
        summary.take_json(&mut json);
        assert_eq!(json, br#"{"events":{},"exchanges":[]}"#);
    }
}
