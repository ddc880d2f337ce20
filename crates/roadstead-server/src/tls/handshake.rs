//! One server handshake: what it proved, or why it failed.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use openssl::ssl::{ErrorCode, Ssl, SslContext, SslRef, SslVersion};
use roadstead_dialects::cloud::{Refusal, Tls};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::authority::fingerprints;
use super::{Gate, OFFER, Offer};
use crate::metrics::Transport;

/// A finished handshake.
pub(crate) struct Secured {
    /// The stream.
    pub(crate) stream: SslStream<Gate>,
    /// What it proved.
    pub(crate) tls: Tls,
    /// The certificates that the client sent, its own first, DER.
    pub(crate) chain: Vec<Vec<u8>>,
    /// The version that was negotiated.
    pub(crate) version: Transport,
}

/// Certificates of a client that are looked at.
const CHAIN_MAX: usize = 8;

/// A failed handshake.
pub(crate) struct Failed {
    /// The true cause.
    pub(crate) refusal: Refusal,
    /// The PSK identity that was offered.
    pub(crate) identity: Option<Box<[u8]>>,
    /// The socket with the alert that is to be sent; `None` when the client has gone.
    pub(crate) answer: Option<(TcpStream, Vec<u8>)>,
}

/// Performs the handshake. The alert of a failed one is not sent but returned.
pub(crate) async fn accept(context: &SslContext, socket: TcpStream) -> Result<Secured, Failed> {
    let stream = Ssl::new(context).and_then(|ssl| SslStream::new(ssl, Gate::new(socket)));
    let mut stream = stream.map_err(|error| Failed {
        refusal: Refusal::new("internal.overload", format!("opening TLS: {error}")),
        identity: None,
        answer: None,
    })?;
    let outcome = poll_fn(|cx| poll_accept(&mut stream, cx)).await;
    let offer = take_offer(&mut stream);
    match outcome {
        Ok(()) => {
            stream.get_mut().open();
            let tls = proved(stream.ssl());
            let chain = match tls {
                Tls::Certificate { .. } => sent(stream.ssl()),
                Tls::None | Tls::Server | Tls::Psk { .. } => Vec::new(),
            };
            let version = version(stream.ssl());
            Ok(Secured { stream, tls, chain, version })
        }
        Err(error) => {
            let answer = stream.get_mut().take().filter(|_| !is_gone(&error));
            let refusal = refusal(&error, offer.as_ref());
            Err(Failed { refusal, identity: offer.map(|offer| offer.identity), answer })
        }
    }
}

fn poll_accept(
    stream: &mut SslStream<Gate>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), openssl::ssl::Error>> {
    let outcome = Pin::new(&mut *stream).poll_accept(cx);
    if let Poll::Ready(Err(error)) = outcome {
        return Poll::Ready(Err(error));
    }
    // A socket error shows up again at the next read.
    let flushed = stream.get_mut().poll_flush_kept(cx);
    ready!(outcome)?;
    match flushed {
        Poll::Ready(_) => Poll::Ready(Ok(())),
        // The handshake is done (`accept` is idempotent then), its last flight is not yet out.
        Poll::Pending => Poll::Pending,
    }
}

fn take_offer(stream: &mut SslStream<Gate>) -> Option<Offer> {
    let index = *OFFER.get()?;
    // `tokio-openssl` lends the connection read-only; the entry is small and dies with it.
    let offer = stream.ssl().ex_data(index)?.as_ref()?;
    Some(Offer { identity: offer.identity.clone(), is_known: offer.is_known })
}

fn proved(ssl: &SslRef) -> Tls {
    if let Some(identity) = ssl.psk_identity() {
        return Tls::Psk { identity: identity.into() };
    }
    let Some(certificate) = ssl.peer_certificate() else { return Tls::Server };
    let Ok((sha1, sha256)) = fingerprints(&certificate) else { return Tls::Server };
    let name = certificate.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME).next();
    let common_name =
        name.and_then(|name| name.data().to_string().ok()).map(String::into_boxed_str);
    Tls::Certificate { sha1, sha256, common_name, authority: None }
}

/// Returns the certificates that the client sent, its own first, DER; empty without one.
fn sent(ssl: &SslRef) -> Vec<Vec<u8>> {
    let own = ssl.peer_certificate();
    let others = ssl.peer_cert_chain().into_iter().flatten();
    let others = others.filter_map(|certificate| certificate.to_der().ok());
    let own = own.and_then(|certificate| certificate.to_der().ok());
    own.into_iter().chain(others).take(CHAIN_MAX).collect()
}

fn version(ssl: &SslRef) -> Transport {
    match ssl.version2() {
        Some(SslVersion::TLS1) => Transport::Tls10,
        Some(SslVersion::TLS1_1) => Transport::Tls11,
        Some(SslVersion::TLS1_3) => Transport::Tls13,
        _ => Transport::Tls12,
    }
}

/// True when there is nobody left to send an alert to.
fn is_gone(error: &openssl::ssl::Error) -> bool {
    error.code() == ErrorCode::ZERO_RETURN || error.code() == ErrorCode::SYSCALL
}

fn refusal(error: &openssl::ssl::Error, offer: Option<&Offer>) -> Refusal {
    let reason = error
        .ssl_error()
        .and_then(|stack| stack.errors().first().and_then(openssl::error::Error::reason))
        .map_or_else(|| error.to_string(), str::to_owned);
    match offer {
        _ if is_gone(error) => {
            Refusal::new("tls.handshake", "the client closed the connection during the handshake")
        }
        Some(offer) => {
            let identity = String::from_utf8_lossy(&offer.identity);
            if offer.is_known {
                let detail = format!("PSK identity `{identity}`, key does not fit: {reason}");
                Refusal::new("auth.psk_mismatch", detail)
            } else {
                let detail = format!("PSK identity `{identity}` is not known or has no key");
                Refusal::new("auth.unknown_device", detail)
            }
        }
        None => Refusal::new("tls.handshake", reason),
    }
}
