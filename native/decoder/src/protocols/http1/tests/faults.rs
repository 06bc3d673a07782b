//! What is not captured, makes no sense, or is too much.
use super::*;

/// `data` captured of `data` and `missing` more bytes.
fn cut(talk: &mut Talk, direction: Direction, data: &[u8], missing: u64) {
    talk.piece(direction, data, data.len() as u64 + missing);
}

#[test]
fn bodies_are_skipped_by_their_length() {
    let mut talk = Talk::fresh();
    cut(&mut talk, Direction::Read, b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", 900_000);
    cut(&mut talk, Direction::Read, b"some", 99_996);
    talk.write(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n");
    cut(&mut talk, Direction::Write, b"", 70_000);
    talk.read(GET).write(OK_EMPTY);
    assert_eq!(talk.told(), [("POST", "/", Some(200)), ("GET", "/a?b=1", Some(200))]);
    assert_eq!((talk.out[0].request.body, talk.out[0].response.body), (1_000_000, 70_000));
    assert!(!talk.out[0].partial);
}

#[test]
fn chunks_are_skipped_where_their_sizes_were_captured() {
    let mut talk = Talk::fresh();
    talk.read(GET).write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    cut(&mut talk, Direction::Write, b"1000\r\nabc", 0x1000 - 3 + 2);
    cut(&mut talk, Direction::Write, b"2000\r\n", 0x1000);
    cut(&mut talk, Direction::Write, b"", 0x1000);
    talk.write(b"\r\n");
    cut(&mut talk, Direction::Write, b"3000\r\n", 0x3000 + 7);
    let exchange = talk.only();
    assert_eq!((exchange.response.body, exchange.partial), (0x6000, false));
}

#[test]
fn a_chunk_size_that_was_not_captured_loses_one_answer_only() {
    let mut talk = Talk::fresh();
    talk.read(GET).write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    cut(&mut talk, Direction::Write, b"5\r\nhello", 500);
    // Before a new request nothing is an answer.
    talk.write(OK_EMPTY);
    assert!(talk.out.is_empty());
    talk.read(b"GET /next HTTP/1.1\r\n\r\n");
    assert_eq!(talk.told(), [("GET", "/a?b=1", Some(200))]);
    assert_eq!((talk.out[0].partial, talk.out[0].error, talk.out[0].end_ns), (true, Some(HttpError::Unseen), 4000));
    talk.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(talk.told()[1..], [("GET", "/next", Some(404))]);
    assert!(!talk.out[1].partial);
}

#[test]
fn heads_that_were_captured_in_part_count() {
    let mut talk = Talk::fresh();
    for _ in 0..3 {
        cut(&mut talk, Direction::Read, b"GET /long HTTP/1.1\r\nHost: h\r\nCookie: abcdef", 2000);
        cut(&mut talk, Direction::Write, b"HTTP/1.1 200 OK\r\nSet-Cookie: abc", 3000);
    }
    talk.close();
    assert_eq!(talk.told(), vec![("GET", "/long", Some(200)); 3]);
    assert!(talk.out.iter().all(|one| one.partial && one.host.as_deref() == Some("h")));
}

#[test]
fn a_request_that_was_not_captured_makes_its_answer_an_orphan() {
    let mut talk = Talk::fresh();
    talk.read(GET).write(OK_EMPTY);
    cut(&mut talk, Direction::Read, b"", 100);
    talk.read(b"its body: ").read(GET);
    talk.write(OK_EMPTY).read(GET).write(OK_EMPTY);
    assert_eq!((talk.told().len(), talk.connection.orphans()), (2, 1));
}

#[test]
fn an_answer_that_was_not_captured_is_said_to_be_unseen() {
    let mut talk = Talk::fresh();
    talk.read(GET).write(OK_EMPTY).read(GET);
    cut(&mut talk, Direction::Write, b"", 100);
    talk.read(GET).write(OK_EMPTY);
    let errors: Vec<_> = talk.out.iter().map(|one| (one.status, one.error)).collect();
    assert_eq!(errors, [(Some(200), None), (None, Some(HttpError::Unseen)), (Some(200), None)]);
}

#[test]
fn both_directions_find_back_after_both_were_lost() {
    let mut talk = Talk::fresh();
    talk.read(GET).write(OK_EMPTY);
    cut(&mut talk, Direction::Read, b"", 10);
    cut(&mut talk, Direction::Write, b"", 10);
    talk.read(GET).write(OK_EMPTY);
    assert_eq!(talk.told().len(), 2);
}

#[test]
fn a_request_that_makes_no_sense_is_left_out() {
    let mut talk = Talk::fresh();
    talk.read(GET).write(OK_EMPTY);
    talk.read(b"\x00\x01\x02 junk").write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    talk.read(GET).write(OK_EMPTY);
    assert_eq!((talk.told(), talk.connection.orphans()), (vec![("GET", "/a?b=1", Some(200)); 2], 1));
}

#[test]
fn lengths_that_contradict_each_other_are_not_believed() {
    let mut talk = Talk::fresh();
    talk.read(GET).write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd");
    talk.read(GET).write(b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nabcd");
    let bodies: Vec<_> = talk.out.iter().map(|one| (one.status, one.partial, one.response.body)).collect();
    assert_eq!(bodies, [(Some(200), true, 4), (Some(200), false, 4)]);
}

#[test]
fn a_head_without_end_is_bounded() {
    let mut talk = Talk::fresh();
    talk.read(b"GET /big HTTP/1.1\r\nHost: h\r\n");
    for _ in 0..200 {
        talk.read(&[b'x'; 1000]);
    }
    talk.write(b"HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n").read(GET).write(OK_EMPTY);
    assert_eq!(talk.told(), [("GET", "/big", Some(431)), ("GET", "/a?b=1", Some(200))]);
    assert!(talk.out[0].partial);
    assert!(talk.connection.unparsed_bytes() > 100_000);
}

#[test]
fn requests_without_answers_are_bounded() {
    let mut talk = Talk::fresh();
    for _ in 0..MAX_PIPELINE + 10 {
        talk.read(GET);
    }
    assert_eq!(talk.out.len(), 10);
    assert!(talk.out.iter().all(|one| one.error == Some(HttpError::Unseen)));
}
