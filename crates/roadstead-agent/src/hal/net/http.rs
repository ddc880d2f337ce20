//! One HTTP exchange on a connection of its own.

use bytes::BytesMut;
use roadstead_dialects::device::{Fault, FaultKind, HttpCall, HttpReply};
use roadstead_wire::http::{Event, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::tls::{Trust, connect};

/// Performs the call within its time.
pub(super) async fn exchange(call: HttpCall, trust: &Trust) -> Result<HttpReply, Fault> {
    match tokio::time::timeout(call.wait, perform(&call, trust)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::new(FaultKind::Timeout, format!("{}: no whole answer", call.host))),
    }
}

async fn perform(call: &HttpCall, trust: &Trust) -> Result<HttpReply, Fault> {
    let mut stream = connect(&call.host, call.port, &call.tls, &call.server_name, trust).await?;
    let lost = |error: std::io::Error| Fault::new(FaultKind::Closed, error.to_string());
    stream.write_all(&call.request).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let mut response = Response::new(false, call.body_bytes_max as u64);
    let (mut input, mut body) = (BytesMut::new(), BytesMut::new());
    let mut status = 0;
    let broken = |error: roadstead_wire::http::ResponseError| {
        Fault::new(FaultKind::Protocol, error.to_string())
    };
    loop {
        let event = match response.next(&mut input).map_err(broken)? {
            Some(event) => event,
            None if stream.read_buf(&mut input).await.map_err(lost)? > 0 => continue,
            None => match response.closed().map_err(broken)? {
                Some(event) => event,
                None => return Err(Fault::new(FaultKind::Closed, "no answer")),
            },
        };
        match event {
            Event::Head(head) => status = head.status,
            Event::Body(piece) => body.extend_from_slice(&piece),
            Event::Done { .. } => return Ok(HttpReply { status, body: body.freeze() }),
        }
    }
}
