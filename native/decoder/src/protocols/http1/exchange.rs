//! What is told of one request and its answer.
use crate::protocols::Role;

/// Which headers are told, and which of them without their value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpOptions {
    /// Names in lower case whose values are wanted.
    pub headers: Vec<String>,
    /// Names in lower case whose values are never told: `REDACTED` stands for them.
    pub redact: Vec<String>,
}

/// A wanted header as one message had it. A header that comes twice is told twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderValue {
    /// Index of its name in [`HttpOptions::headers`].
    pub name: usize,
    pub value: String,
}

/// Bytes of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageSize {
    /// Start line, headers, and the empty line after them.
    pub head: u64,
    /// The content, without chunk framing and trailers.
    pub body: u64,
}

/// The W3C `traceparent` of a request: lower-case hexadecimal, not all zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: String,
    pub span_id: String,
    pub sampled: bool,
}

/// Why an exchange has no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The connection ended before the answer began.
    ClosedBeforeResponse,
    /// The connection ended inside the answer.
    ClosedInResponse,
    /// Bytes were not captured, or made no sense, and the answer can't be told from what followed.
    Unseen,
}

impl HttpError {
    /// The word for `error.type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClosedBeforeResponse => "closed_before_response",
            Self::ClosedInResponse => "closed_in_response",
            Self::Unseen => "response_unseen",
        }
    }
}

/// A request and its final answer. Times are wall clock, nanoseconds since 1970, of the call that moved the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpExchange {
    pub role: Role,
    /// The request's first byte.
    pub start_ns: u64,
    /// The final response's first byte; interim (1xx) responses don't count.
    pub first_response_ns: Option<u64>,
    /// The response's last byte; without a response, when that became certain.
    pub end_ns: u64,
    pub method: String,
    pub target: String,
    /// The request's version: 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub version_minor: u8,
    /// `None`: no answer was seen; `error` says why.
    pub status: Option<u16>,
    pub error: Option<HttpError>,
    pub request: MessageSize,
    pub response: MessageSize,
    pub host: Option<String>,
    pub user_agent: Option<String>,
    pub request_content_type: Option<String>,
    pub response_content_type: Option<String>,
    pub request_headers: Vec<HeaderValue>,
    pub response_headers: Vec<HeaderValue>,
    pub trace: Option<TraceContext>,
    /// Something of it was not seen: headers may be missing, sizes and the end are what was seen.
    pub partial: bool,
}
