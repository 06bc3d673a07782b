//! Requests that wait for their answers, in the order they were sent.
use std::collections::VecDeque;

use super::MAX_PIPELINE;
use super::exchange::{HttpError, HttpExchange};

#[derive(Debug)]
pub struct Pending {
    pub exchange: HttpExchange,
    /// The whole request went by, or nothing more of it can be told.
    pub request_done: bool,
    pub response_begun: bool,
    pub response_done: bool,
    /// When the last byte of its response so far was moved.
    pub last_response_ns: u64,
}

/// Only the last one may lack the end of its request, only the first may have a response.
#[derive(Debug, Default)]
pub struct Queue(VecDeque<Pending>);

impl Queue {
    pub fn push(&mut self, exchange: HttpExchange, request_done: bool, out: &mut Vec<HttpExchange>) {
        if self.0.len() >= MAX_PIPELINE {
            let now = exchange.start_ns;
            self.give_up_first(HttpError::Unseen, now, out);
        }
        self.0.push_back(Pending {
            exchange,
            request_done,
            response_begun: false,
            response_done: false,
            last_response_ns: 0,
        });
    }

    /// The request whose bytes go by.
    pub fn sent_last(&mut self) -> Option<&mut Pending> {
        self.0.back_mut()
    }

    /// The request that is being answered, or will be next.
    pub fn answered_next(&mut self) -> Option<&mut Pending> {
        self.0.front_mut().filter(|pending| !pending.response_done)
    }

    /// Hands on the first one if both halves of it are done.
    pub fn settle(&mut self, out: &mut Vec<HttpExchange>) {
        if self.0.front().is_some_and(|pending| pending.request_done && pending.response_done)
            && let Some(pending) = self.0.pop_front()
        {
            out.push(pending.exchange);
        }
    }

    /// Hands on all of them: no more of their responses will be seen.
    pub fn give_up(&mut self, error: HttpError, now_ns: u64, out: &mut Vec<HttpExchange>) {
        while !self.0.is_empty() {
            self.give_up_first(error, now_ns, out);
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn give_up_first(&mut self, error: HttpError, now_ns: u64, out: &mut Vec<HttpExchange>) {
        let Some(Pending { mut exchange, request_done, response_begun, response_done, last_response_ns }) =
            self.0.pop_front()
        else {
            return;
        };
        if response_done {
            exchange.partial |= !request_done;
        } else if response_begun {
            exchange.end_ns = last_response_ns;
            exchange.partial = true;
            exchange.error = Some(match error {
                HttpError::ClosedBeforeResponse => HttpError::ClosedInResponse,
                other => other,
            });
        } else {
            exchange.end_ns = now_ns;
            exchange.error = Some(error);
            exchange.partial |= !request_done || error == HttpError::Unseen;
        }
        out.push(exchange);
    }
}
