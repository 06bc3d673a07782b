//! Start lines and headers: what a message is called and how its body ends.
use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};
use memchr::{memchr, memchr_iter};

use super::exchange::{HeaderValue, HttpOptions, TraceContext};

/// Headers of nearly every message fit into this many slots, which cost nothing; up to [`MAX_HEADERS`] are taken.
const USUAL_HEADERS: usize = 96;
const MAX_HEADERS: usize = 2048;
/// A longer value of a header is cut.
const MAX_VALUE_BYTES: usize = 4096;
/// No method of any registry is half as long.
const MAX_METHOD_BYTES: usize = 32;

/// How the body of a message ends, as its own head tells (RFC 9112, section 6.3, without what the other side decides).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Neither length nor coding: a request ends here, a response with its connection.
    Unstated,
    Length(u64),
    Chunked,
    /// A coding other than chunked is last: ends with the connection; in a request it can't be framed.
    UntilClose,
    /// Contradictory or unreadable.
    Invalid,
}

#[derive(Debug)]
pub struct RequestHead {
    pub method: String,
    pub target: String,
    pub version_minor: u8,
    pub host: Option<String>,
    pub user_agent: Option<String>,
    pub trace: Option<TraceContext>,
    pub fields: Fields,
}

#[derive(Debug)]
pub struct ResponseHead {
    pub status: u16,
    pub fields: Fields,
}

/// What requests and responses have in common.
#[derive(Debug)]
pub struct Fields {
    pub framing: Framing,
    pub content_type: Option<String>,
    pub wanted: Vec<HeaderValue>,
}

#[derive(Debug)]
pub enum Parsed<T> {
    /// The head, and its bytes including the empty line.
    Whole(T, usize),
    NotYet,
    Invalid,
}

impl<T> Parsed<T> {
    pub fn then(self, take: impl FnOnce(T, usize)) -> Parsed<()> {
        match self {
            Self::Whole(head, bytes) => {
                take(head, bytes);
                Parsed::Whole((), bytes)
            }
            Self::NotYet => Parsed::NotYet,
            Self::Invalid => Parsed::Invalid,
        }
    }
}

pub fn parse_request(bytes: &[u8], options: &HttpOptions) -> Parsed<RequestHead> {
    let mut slots = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    match try_request(bytes, &mut slots, options) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut more = vec![MaybeUninit::uninit(); MAX_HEADERS];
            try_request(bytes, &mut more, options).unwrap_or(Parsed::Invalid)
        }
        other => other.unwrap_or(Parsed::Invalid),
    }
}

pub fn parse_response(bytes: &[u8], options: &HttpOptions) -> Parsed<ResponseHead> {
    let mut slots = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    match try_response(bytes, &mut slots, options) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut more = vec![MaybeUninit::uninit(); MAX_HEADERS];
            try_response(bytes, &mut more, options).unwrap_or(Parsed::Invalid)
        }
        other => other.unwrap_or(Parsed::Invalid),
    }
}

fn try_request<'b>(
    bytes: &'b [u8],
    slots: &mut [MaybeUninit<Header<'b>>],
    options: &HttpOptions,
) -> Result<Parsed<RequestHead>, httparse::Error> {
    let mut request = httparse::Request::new(&mut []);
    let Status::Complete(length) = request.parse_with_uninit_headers(bytes, slots)? else {
        return Ok(Parsed::NotYet);
    };
    let (mut host, mut user_agent, mut trace) = (None, None, None);
    let fields = read_fields(request.headers, options, |name, value| match name.len() {
        4 if name.eq_ignore_ascii_case("host") => host = Some(told(options, "host", value)),
        10 if name.eq_ignore_ascii_case("user-agent") => user_agent = Some(told(options, "user-agent", value)),
        11 if name.eq_ignore_ascii_case("traceparent") => trace = parse_traceparent(value),
        _ => {}
    });
    Ok(Parsed::Whole(
        RequestHead {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            version_minor: request.version.unwrap_or(1),
            host,
            user_agent,
            trace,
            fields,
        },
        length,
    ))
}

fn try_response<'b>(
    bytes: &'b [u8],
    slots: &mut [MaybeUninit<Header<'b>>],
    options: &HttpOptions,
) -> Result<Parsed<ResponseHead>, httparse::Error> {
    let mut response = httparse::Response::new(&mut []);
    let mut lenient = ParserConfig::default();
    lenient
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    let Status::Complete(length) = lenient.parse_response_with_uninit_headers(&mut response, bytes, slots)? else {
        return Ok(Parsed::NotYet);
    };
    let fields = read_fields(response.headers, options, |_, _| {});
    Ok(Parsed::Whole(ResponseHead { status: response.code.unwrap_or_default(), fields }, length))
}

fn read_fields(headers: &[Header<'_>], options: &HttpOptions, mut other: impl FnMut(&str, &[u8])) -> Fields {
    let mut content_type = None;
    let mut wanted = Vec::new();
    let mut length: Option<u64> = None;
    let mut coding = None;
    let mut invalid = false;
    for header in headers {
        let (name, value) = (header.name, header.value);
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => match parse_length(value) {
                Some(bytes) if length.is_none_or(|before| before == bytes) => length = Some(bytes),
                _ => invalid = true,
            },
            17 if name.eq_ignore_ascii_case("transfer-encoding") => coding = Some(ends_in_chunked(value)),
            12 if name.eq_ignore_ascii_case("content-type") => {
                content_type = Some(told(options, "content-type", value));
            }
            _ => other(name, value),
        }
        if let Some(index) = options.headers.iter().position(|wish| wish.eq_ignore_ascii_case(name)) {
            wanted.push(HeaderValue { name: index, value: told(options, &options.headers[index], value) });
        }
    }
    let framing = match (coding, length) {
        (Some(true), _) => Framing::Chunked,
        (Some(false), _) => Framing::UntilClose,
        (None, _) if invalid => Framing::Invalid,
        (None, Some(bytes)) => Framing::Length(bytes),
        (None, None) => Framing::Unstated,
    };
    Fields { framing, content_type, wanted }
}

fn told(options: &HttpOptions, name: &str, value: &[u8]) -> String {
    if options.redact.iter().any(|secret| secret.eq_ignore_ascii_case(name)) {
        return "REDACTED".to_owned();
    }
    String::from_utf8_lossy(&value[..value.len().min(MAX_VALUE_BYTES)]).into_owned()
}

/// One number, or a list of equal numbers (RFC 9112, section 6.3, rule 5).
fn parse_length(value: &[u8]) -> Option<u64> {
    let mut found = None;
    for part in value.split(|&byte| byte == b',') {
        let digits = part.trim_ascii();
        if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if found.is_some_and(|before| before != number) {
            return None;
        }
        found = Some(number);
    }
    found
}

fn ends_in_chunked(value: &[u8]) -> bool {
    value.rsplit(|&byte| byte == b',').next().is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// W3C trace context, version 00 and what later versions must begin with.
fn parse_traceparent(value: &[u8]) -> Option<TraceContext> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let mut parts = text.split('-');
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let id = |part: &str, digits: usize| hex(part, digits) && part.bytes().any(|byte| byte != b'0');
    let version = parts.next().filter(|part| hex(part, 2) && *part != "ff")?;
    let trace_id = parts.next().filter(|part| id(part, 32))?;
    let span_id = parts.next().filter(|part| id(part, 16))?;
    let flags = parts.next().filter(|part| hex(part, 2))?;
    if version == "00" && parts.next().is_some() {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    Some(TraceContext { trace_id: trace_id.to_owned(), span_id: span_id.to_owned(), sampled })
}

/// Where a head ends: the index past its empty line. Looks for lines that end at `from` or later.
pub fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', &bytes[from..]).map(|at| from + at + 1).find_map(|next| match bytes.get(next..)? {
        [b'\n', ..] => Some(next + 1),
        [b'\r', b'\n', ..] => Some(next + 2),
        _ => None,
    })
}

/// The whole lines of a head whose rest is missing, made into a head; `None` when not even the first line is whole.
pub fn close_cut_head(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = memchr::memrchr(b'\n', bytes)? + 1;
    let mut whole = Vec::with_capacity(end + 2);
    whole.extend_from_slice(&bytes[..end]);
    whole.extend_from_slice(b"\r\n");
    Some(whole)
}

/// Whether bytes at the start of a call begin a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    Yes,
    /// They could be the beginning of a first line.
    Maybe,
    No,
}

/// `method SP target SP HTTP/1.x`, with a target of one of the four forms of RFC 9112, section 3.2.
pub fn probe_request(bytes: &[u8]) -> Probe {
    let method_area = &bytes[..bytes.len().min(MAX_METHOD_BYTES + 1)];
    let Some(space) = memchr(b' ', method_area) else {
        return if method_area.len() <= MAX_METHOD_BYTES && method_area.iter().copied().all(is_token) {
            Probe::Maybe
        } else {
            Probe::No
        };
    };
    let (method, rest) = (&bytes[..space], &bytes[space + 1..]);
    if method.is_empty() || !method.iter().copied().all(is_token) {
        return Probe::No;
    }
    let Some(&first) = rest.first() else { return Probe::Maybe };
    let form = match first {
        b'/' | b'*' => true,
        _ if method == b"CONNECT" => first.is_ascii_alphanumeric() || first == b'[',
        _ => starts_like_ignoring_case(rest, b"http://") || starts_like_ignoring_case(rest, b"https://"),
    };
    if !form {
        return Probe::No;
    }
    let Some(end) = rest.iter().position(|&byte| byte <= b' ' || byte == 0x7f) else { return Probe::Maybe };
    match &rest[end..] {
        [b' ', version @ ..] => probe_version_then(version, |after| match after {
            [] | [b'\r'] => Probe::Maybe,
            [b'\n', ..] | [b'\r', b'\n', ..] => Probe::Yes,
            _ => Probe::No,
        }),
        _ => Probe::No,
    }
}

/// `HTTP/1.x SP 3DIGIT`, then a space or the end of the line, which is there.
pub fn probe_response(bytes: &[u8]) -> Probe {
    probe_version_then(bytes, |after| {
        let shape: [fn(u8) -> bool; 4] = [
            |byte| byte == b' ',
            |byte| (b'1'..=b'9').contains(&byte),
            |byte| byte.is_ascii_digit(),
            |byte| byte.is_ascii_digit(),
        ];
        if !after.iter().zip(shape).all(|(&byte, fits)| fits(byte)) {
            return Probe::No;
        }
        match after.get(shape.len()) {
            None => Probe::Maybe,
            Some(b' ' | b'\r' | b'\n') if memchr(b'\n', after).is_some() => Probe::Yes,
            Some(b' ' | b'\r') if after.len() < super::MAX_HEAD_BYTES => Probe::Maybe,
            Some(_) => Probe::No,
        }
    })
}

fn probe_version_then(bytes: &[u8], then: impl FnOnce(&[u8]) -> Probe) -> Probe {
    const VERSION: &[u8] = b"HTTP/1.";
    if bytes.len() <= VERSION.len() {
        return if VERSION.starts_with(bytes) { Probe::Maybe } else { Probe::No };
    }
    if bytes.starts_with(VERSION) && matches!(bytes[VERSION.len()], b'0' | b'1') {
        then(&bytes[VERSION.len() + 1..])
    } else {
        Probe::No
    }
}

fn starts_like_ignoring_case(bytes: &[u8], prefix: &[u8]) -> bool {
    let known = bytes.len().min(prefix.len());
    bytes[..known].eq_ignore_ascii_case(&prefix[..known])
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
