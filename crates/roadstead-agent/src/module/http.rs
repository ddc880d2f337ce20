//! One HTTP exchange over plain TCP, with the answer's head.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use roadstead_dialects::device::{Fault, FaultKind};
use roadstead_wire::http::{Event, Head, Response, ResponseError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Performs an exchange within its time.
pub(super) async fn exchange(
    to: SocketAddr,
    request: &[u8],
    wait: Duration,
    body_bytes_max: usize,
) -> Result<(Head, Bytes), Fault> {
    match tokio::time::timeout(wait, perform(to, request, body_bytes_max)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::new(FaultKind::Timeout, format!("{to}: no whole answer"))),
    }
}

async fn perform(
    to: SocketAddr,
    request: &[u8],
    body_bytes_max: usize,
) -> Result<(Head, Bytes), Fault> {
    let refused = |error: std::io::Error| Fault::new(FaultKind::Connect, format!("{to}: {error}"));
    let lost = |error: std::io::Error| Fault::new(FaultKind::Closed, format!("{to}: {error}"));
    let broken = |error: ResponseError| Fault::new(FaultKind::Protocol, error.to_string());
    let mut stream = TcpStream::connect(to).await.map_err(refused)?;
    stream.write_all(request).await.map_err(lost)?;
    let mut response = Response::new(false, body_bytes_max as u64);
    let (mut input, mut body, mut head) = (BytesMut::new(), BytesMut::new(), None);
    loop {
        let event = match response.next(&mut input).map_err(broken)? {
            Some(event) => Some(event),
            None if stream.read_buf(&mut input).await.map_err(lost)? > 0 => continue,
            None => response.closed().map_err(broken)?,
        };
        match event {
            Some(Event::Head(found)) => head = Some(found),
            Some(Event::Body(piece)) => body.extend_from_slice(&piece),
            Some(Event::Done { .. }) | None => {
                let head = head.ok_or_else(|| Fault::new(FaultKind::Closed, "no answer"))?;
                return Ok((head, body.freeze()));
            }
        }
    }
}
