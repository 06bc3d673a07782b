//! Answers that were told before their requests.
//!
//! A program may write a request in one thread and read its answer in another; then the read can end before the write
//! does. Such an answer is known by its time: its request's call began before its first byte came.
use std::collections::VecDeque;

use super::exchange::{HeaderValue, MessageSize};
use super::pending::Pending;

/// Answers that wait for their requests; the oldest gives way.
const MAX_EARLY: usize = 16;

#[derive(Debug)]
pub struct Early {
    pub status: u16,
    pub first_ns: u64,
    pub last_ns: u64,
    pub size: MessageSize,
    pub content_type: Option<String>,
    pub headers: Vec<HeaderValue>,
    pub done: bool,
    pub partial: bool,
}

#[derive(Debug, Default)]
pub struct EarlyAnswers(VecDeque<Early>);

impl EarlyAnswers {
    pub fn push(&mut self, early: Early) {
        if self.0.len() >= MAX_EARLY {
            self.0.pop_front();
        }
        self.0.push_back(early);
    }

    /// The one that goes by.
    pub fn last(&mut self) -> Option<&mut Early> {
        self.0.back_mut()
    }

    /// The answer to a request whose call began at `began_ns`. Those that came before that answer something else: they
    /// are forgotten.
    pub fn answer_to(&mut self, began_ns: u64) -> Option<Early> {
        while let Some(early) = self.0.pop_front() {
            if early.first_ns >= began_ns {
                return Some(early);
            }
        }
        None
    }
}

impl Early {
    pub fn give_to(self, pending: &mut Pending) {
        let exchange = &mut pending.exchange;
        exchange.status = Some(self.status);
        exchange.first_response_ns = Some(self.first_ns);
        exchange.end_ns = self.last_ns;
        exchange.response = self.size;
        exchange.response_content_type = self.content_type;
        exchange.response_headers = self.headers;
        exchange.partial |= self.partial;
        pending.response_begun = true;
        pending.response_done = self.done;
        pending.last_response_ns = self.last_ns;
    }
}
