//! Responses, whole and in pieces.

use alloc::format;
use alloc::vec::Vec;

use bytes::BytesMut;
use proptest::prelude::*;

use super::{Event, HEAD_BYTES_MAX, Response, ResponseError};

const BODY_MAX: u64 = 100;

/// Status, body and whether the connection may be used again.
type Read = (u16, Vec<u8>, bool);

/// Feeds `wire` in pieces of `piece` bytes, then the end of the connection.
fn read(wire: &[u8], piece: usize, to_head: bool) -> Result<Read, ResponseError> {
    let mut response = Response::new(to_head, BODY_MAX);
    let (mut input, mut status, mut body) = (BytesMut::new(), 0, Vec::new());
    let mut take = |event| match event {
        Event::Head(head) => {
            assert_eq!(status, 0, "one head");
            status = head.status;
            None
        }
        Event::Body(bytes) => {
            assert!(!bytes.is_empty());
            body.extend_from_slice(&bytes);
            None
        }
        Event::Done { keep_alive } => Some(keep_alive),
    };
    let mut done = None;
    for part in wire.chunks(piece) {
        input.extend_from_slice(part);
        while let Some(event) = response.next(&mut input)? {
            done = take(event).or(done);
        }
    }
    if let Some(event) = response.closed()? {
        done = take(event).or(done);
    }
    Ok((status, body, done.expect("done")))
}

#[test]
fn bodies_are_delimited() {
    let cases: [(&str, bool, Read); 9] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, (200, b"hi".into(), true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, (200, b"".into(), true)),
        (
            "HTTP/1.1 403 No\r\ncontent-length: 2\r\nConnection: Foo, Close\r\n\r\nhi",
            false,
            (403, b"hi".into(), false),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nhi\r\n0a\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
            false,
            (200, b"hi0123456789".into(), true),
        ),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", false, (200, b"until the end".into(), false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, (200, b"hi".into(), false)),
        ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", false, (204, b"".into(), true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", true, (200, b"".into(), true)),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            false,
            (200, b"x".into(), true),
        ),
    ];
    for (wire, to_head, expected) in cases {
        for piece in 1..=wire.len() {
            let got = read(wire.as_bytes(), piece, to_head);
            assert_eq!(got.as_ref(), Ok(&expected), "{wire:?} in pieces of {piece}");
        }
    }
}

#[test]
fn broken_responses_are_refused() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(65));
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
    let trailer = format!("{chunked}\r\n0\r\nT: {}\r\n\r\n", "x".repeat(5000));
    let chunk_line = format!("{chunked}\r\n1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(300));
    let both = format!("{chunked}Content-Length: 1\r\n\r\n0\r\n\r\n");
    let twice = format!("{chunked}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let chunk_size = format!("{chunked}\r\n+1\r\nx\r\n0\r\n\r\n");
    let chunk_end = format!("{chunked}\r\n1\r\nxx\r\n0\r\n\r\n");
    let chunk_lf = format!("{chunked}\r\n1\nx\r\n0\r\n\r\n");
    let chunk_huge = format!("{chunked}\r\nfffffffffffffff\r\n{}", "x".repeat(101));
    let chunk_cut = format!("{chunked}\r\n5\r\nxx");
    let cases = [
        ("\x16\x03\x01 TLS", "response_head"),
        ("HTTP/1.1 101 Switch\r\n\r\n", "response_head"),
        (&many, "response_head_too_large"),
        (&long, "response_head_too_large"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "response_length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", "response_length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "response_length"),
        (&both, "response_length"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", "response_coding"),
        (&twice, "response_coding"),
        (&chunk_size, "response_chunk"),
        (&chunk_end, "response_chunk"),
        (&chunk_lf, "response_chunk"),
        (&chunk_line, "response_chunk"),
        (&trailer, "response_chunk"),
        (&chunk_huge, "response_body_too_large"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", "response_body_too_large"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nxx", "response_truncated"),
        ("HTTP/1.1 200 OK\r\nContent", "response_truncated"),
        (&chunk_cut, "response_truncated"),
    ];
    for (wire, expected) in cases {
        for piece in [1, 7, wire.len()] {
            let got = read(wire.as_bytes(), piece, false).map_err(ResponseError::name);
            assert_eq!(got, Err(expected), "{:?} in {piece}", wire.get(..70).unwrap_or(wire));
        }
    }
}

#[test]
fn bytes_behind_the_response_stay() {
    let mut input =
        BytesMut::from(&b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A: b\r\n\r\nxNEXT"[..]);
    let mut response = Response::new(false, BODY_MAX);
    let Some(Event::Head(head)) = response.next(&mut input).unwrap() else { panic!("no head") };
    assert_eq!((head.header("x-a"), head.length), (Some("b"), Some(1)));
    assert!(matches!(response.next(&mut input), Ok(Some(Event::Body(_)))));
    assert_eq!(response.next(&mut input), Ok(Some(Event::Done { keep_alive: true })));
    assert_eq!(response.next(&mut input), Ok(None));
    assert_eq!(&input[..], b"NEXT");
}

proptest! {
    #[test]
    fn any_chunking_gives_the_body(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..12), 0..8),
        piece in 1_usize..40,
    ) {
        let mut wire = Vec::from(&b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..]);
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        prop_assert_eq!(read(&wire, piece, false), Ok((200, chunks.concat(), true)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        head in "(HTTP/1.[01] [0-9]{3} [a-z]{0,4}\r\n)?((Content-Length|Transfer-Encoding|A): [a-z0-9]{0,9}\r\n){0,3}",
        body in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'0')], 0..80),
        piece in 1_usize..40,
    ) {
        let mut wire = head.into_bytes();
        wire.extend_from_slice(&body);
        let whole = read(&wire, wire.len().max(1), false);
        prop_assert_eq!(read(&wire, piece, false), whole, "pieces change nothing");
    }
}
