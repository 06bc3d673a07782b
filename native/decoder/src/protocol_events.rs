//! What the protocols found, as events.
use crate::descriptors::{Description, Key};
use crate::event_writer::{Attributes, Event, EventWriter};
use crate::protocols::http1::{HeaderValue, HttpExchange, HttpOptions};
use crate::protocols::{Role, console};
use crate::session::Session;
use crate::summary::Kind;

/// The methods that OpenTelemetry's conventions know (RFC 9110, RFC 5789, httpbis-safe-method-w-body); any other, and one
/// in other letters, is `_OTHER`.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
const OTHER_METHOD: &str = "_OTHER";

fn known_method(method: &str) -> Option<&'static str> {
    METHODS.into_iter().find(|known| *known == method)
}

impl Session {
    /// Tells of the exchanges that a connection's decoder has just finished.
    pub(crate) fn tell_exchanges(&mut self, key: Key) {
        if self.fds.at(key).socket().is_some_and(|socket| socket.role.is_none())
            && let Some(exchange) = self.exchanges.first()
        {
            let role = exchange.role;
            if let Some(socket) = self.fds.at(key).socket() {
                socket.role = Some(role);
                socket.changed();
            }
        }
        self.settle(key);
        self.tell_due_open(key);
        let Self { fds, exchanges, writer, capture, .. } = self;
        put_exchanges(fds.at(key), exchanges, writer, capture.http.as_deref());
    }

    /// What the protocols still hold of a description that is no longer in the table. `is_end`: the stream has ended,
    /// not just our looking at it.
    pub(crate) fn end_protocols(&mut self, description: &mut Description, time: u64, is_end: bool) {
        for (fd, console) in (1..).zip(description.consoles.iter_mut().flat_map(|both| both.iter_mut())) {
            console.flush(&mut self.console_lines);
            self.tell_console(fd);
        }
        self.end_lookups(description);
        let Some(mut http) = description.socket().and_then(|socket| socket.http.take()) else { return };
        if is_end {
            http.close(self.clock.wall_of(time), &mut self.exchanges);
        }
        self.unparsed += http.unparsed_bytes();
        if !self.exchanges.is_empty() {
            put_exchanges(description, &mut self.exchanges, &mut self.writer, self.capture.http.as_deref());
        }
    }

    pub(crate) fn tell_console(&mut self, fd: i32) {
        for console::Line { text, time_ns, cut, escaped, open } in self.console_lines.drain(..) {
            let mut line = self.writer.event(Event::ConsoleLine, time_ns);
            line.text("scope.console.line", text.as_bytes())
                .text("scope.console.stream", if fd == 2 { b"stderr" } else { b"stdout" })
                .signed("scope.fd", i64::from(fd));
            for (key, is) in
                [("scope.console.cut", cut), ("scope.console.escaped", escaped), ("scope.console.open", open)]
            {
                if is {
                    line.truth(key, true);
                }
            }
        }
    }
}

fn put_exchanges(
    description: &mut Description,
    exchanges: &mut Vec<HttpExchange>,
    writer: &mut EventWriter,
    options: Option<&HttpOptions>,
) {
    let fd = description.fd;
    let Some(socket) = description.socket() else { return exchanges.clear() };
    for exchange in exchanges.drain(..) {
        let kind = Kind {
            role: exchange.role,
            method: known_method(&exchange.method).unwrap_or(OTHER_METHOD),
            status: exchange.status.unwrap_or(0),
        };
        writer.count_exchange(kind, exchange.end_ns.saturating_sub(exchange.start_ns));
        let mut line = writer.event(Event::HttpExchange, exchange.start_ns);
        put_exchange(&mut line, &exchange, options);
        line.fragment(socket.fragment_without_role(fd));
    }
}

fn put_exchange(line: &mut Attributes, exchange: &HttpExchange, options: Option<&HttpOptions>) {
    match known_method(&exchange.method) {
        Some(method) => drop(line.text("http.request.method", method.as_bytes())),
        None => drop(
            line.text("http.request.method", OTHER_METHOD.as_bytes())
                .text("http.request.method_original", exchange.method.as_bytes()),
        ),
    }
    if let Some(status) = exchange.status {
        line.number("http.response.status_code", u64::from(status));
    }
    put_target(line, exchange);
    line.text("network.protocol.name", b"http")
        .text("network.protocol.version", if exchange.version_minor == 0 { b"1.0" } else { b"1.1" })
        .text("scope.http.role", exchange.role.as_str().as_bytes())
        .seconds("scope.http.duration", exchange.end_ns.saturating_sub(exchange.start_ns));
    if let Some(first) = exchange.first_response_ns {
        line.seconds("scope.http.first_byte", first.saturating_sub(exchange.start_ns));
    }
    line.number("http.request.body.size", exchange.request.body)
        .number("http.response.body.size", exchange.response.body);
    if let Some(error) = exchange.error {
        line.text("error.type", error.as_str().as_bytes());
    } else if let Some(status) = exchange.status
        && status >= if exchange.role == Role::Server { 500 } else { 400 }
    {
        line.text("error.type", itoa::Buffer::new().format(status).as_bytes());
    }
    if let Some(agent) = &exchange.user_agent {
        line.text("user_agent.original", agent.as_bytes());
    }
    put_headers(line, "http.request.header.", &exchange.request_headers, options);
    put_headers(line, "http.response.header.", &exchange.response_headers, options);
    if let Some(trace) = &exchange.trace {
        line.text("scope.trace.id", trace.trace_id.as_bytes())
            .text("scope.trace.span_id", trace.span_id.as_bytes())
            .truth("scope.trace.sampled", trace.sampled);
    }
    if exchange.partial {
        line.truth("scope.partial", true);
    }
}

/// url.* and server.*: origin form gives a path, absolute form (proxies) the whole, authority form (CONNECT) a server.
fn put_target(line: &mut Attributes, exchange: &HttpExchange) {
    let target = exchange.target.as_str();
    let mut authority = exchange.host.as_deref();
    let mut path = target;
    if let Some((scheme, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) {
        line.text("url.full", target.as_bytes()).text("url.scheme", scheme.to_ascii_lowercase().as_bytes());
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        authority = Some(&rest[..end]);
        path = &rest[end..];
    } else if exchange.method == "CONNECT" {
        authority = Some(target);
        path = "";
    } else {
        line.text("url.scheme", b"http");
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    line.text("url.path", path.as_bytes());
    if let Some(query) = query {
        line.text("url.query", query.as_bytes());
    }
    if let Some(authority) = authority.filter(|authority| !authority.is_empty()) {
        let (host, port) = split_authority(authority);
        line.text("server.address", host.as_bytes());
        if let Some(port) = port {
            line.number("server.port", u64::from(port));
        }
    }
}

/// `host`, `host:80`, `[::1]:80`.
fn split_authority(authority: &str) -> (&str, Option<u16>) {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok())
        }
        _ => (authority.trim_start_matches('[').trim_end_matches(']'), None),
    }
}

fn put_headers(line: &mut Attributes, prefix: &str, headers: &[HeaderValue], options: Option<&HttpOptions>) {
    let Some(options) = options else { return };
    for (index, name) in options.headers.iter().enumerate() {
        let mut values = headers.iter().filter(|header| header.name == index).peekable();
        if values.peek().is_none() {
            continue;
        }
        let mut key = String::with_capacity(prefix.len() + name.len());
        key.push_str(prefix);
        // The names come from the configuration; a key must need no escaping.
        key.extend(name.chars().map(|c| if c.is_ascii_graphic() && c != '"' && c != '\\' { c } else { '_' }));
        line.texts(&key, values.map(|header| header.value.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::split_authority;

    #[test]
    fn splits_authorities() {
        assert_eq!(split_authority("a.b:80"), ("a.b", Some(80)));
        assert_eq!(split_authority("[::1]:443"), ("::1", Some(443)));
        assert_eq!(split_authority("[::1]"), ("::1", None));
        assert_eq!(split_authority("u@h"), ("h", None));
        assert_eq!(split_authority("h:99999"), ("h", None));
    }
}
