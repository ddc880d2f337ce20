//! Streams to the platform: plain TCP, TLS with a server certificate, with both certificates, or
//! with a pre-shared key.
//!
//! The PSK profile is that of real firmware: TLS 1.2, `PSK-AES128-CBC-SHA` and
//! `PSK-AES256-CBC-SHA`, nothing else.
//!
//! Source: Tencent §2.1, §2.2.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use openssl::x509::verify::X509CheckFlags;
use roadstead_dialects::device::{Fault, FaultKind, Tls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// Suites of PSK firmware. CBC with SHA-1 lies below OpenSSL's default security level.
const PSK_SUITES: &str = "PSK-AES128-CBC-SHA:PSK-AES256-CBC-SHA:@SECLEVEL=0";

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Which authorities a device trusts.
#[derive(Clone)]
pub(super) struct Trust(Option<Arc<[X509]>>);

/// The authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    #[error("reading the trusted authorities from {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file is not PEM.
    #[error("the trusted authorities in {path} are not PEM certificates")]
    Parse {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        cause: ErrorStack,
    },
}

impl Trust {
    /// Reads authorities; `None` trusts the system's.
    pub(super) fn load(file: Option<&Path>) -> Result<Self, TlsError> {
        let Some(file) = file else { return Ok(Self(None)) };
        let path = file.display().to_string();
        let pem =
            std::fs::read(file).map_err(|cause| TlsError::Read { path: path.clone(), cause })?;
        let all = X509::stack_from_pem(&pem).map_err(|cause| TlsError::Parse { path, cause })?;
        Ok(Self(Some(all.into())))
    }
}

/// Connects to `host:port` with the wanted protection.
pub(super) async fn connect(
    host: &str,
    port: u16,
    tls: &Tls,
    server_name: &str,
    trust: &Trust,
) -> Result<Box<dyn Stream>, Fault> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| Fault::new(FaultKind::Name, format!("{host}: {error}")))?
        .collect();
    let stream = TcpStream::connect(&addresses[..])
        .await
        .map_err(|error| Fault::new(FaultKind::Connect, format!("{host}:{port}: {error}")))?;
    let _ = stream.set_nodelay(true);
    let context = match context(tls, trust) {
        Ok(Some(context)) => context,
        Ok(None) => return Ok(Box::new(stream)),
        Err(error) => return Err(Fault::new(FaultKind::Tls, error.to_string())),
    };
    handshake(stream, &context, tls, server_name).await
}

async fn handshake(
    stream: TcpStream,
    context: &SslContext,
    tls: &Tls,
    server_name: &str,
) -> Result<Box<dyn Stream>, Fault> {
    let failed = |error: String| Fault::new(FaultKind::Tls, error);
    let ssl = session(context, tls, server_name).map_err(|error| failed(error.to_string()))?;
    let mut stream = SslStream::new(ssl, stream).map_err(|error| failed(error.to_string()))?;
    if let Err(error) = Pin::new(&mut stream).connect().await {
        let verify = stream.ssl().verify_result();
        let text = match verify.as_raw() {
            0 => error.to_string(),
            _ => format!("{error}: {}", verify.error_string()),
        };
        return Err(failed(text));
    }
    Ok(Box::new(stream))
}

fn session(context: &SslContext, tls: &Tls, server_name: &str) -> Result<Ssl, ErrorStack> {
    let mut ssl = Ssl::new(context)?;
    let is_address = server_name.parse::<std::net::IpAddr>();
    if is_address.is_err() {
        ssl.set_hostname(server_name)?;
    }
    if matches!(tls, Tls::Server | Tls::Certificate { .. }) {
        let parameters = ssl.param_mut();
        parameters.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
        match is_address {
            Ok(address) => parameters.set_ip(address)?,
            Err(_) => parameters.set_host(server_name)?,
        }
    }
    Ok(ssl)
}

fn context(tls: &Tls, trust: &Trust) -> Result<Option<SslContext>, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    match tls {
        Tls::Off => return Ok(None),
        Tls::Server => verify(&mut builder, trust)?,
        Tls::Certificate { chain, key } => {
            verify(&mut builder, trust)?;
            let mut chain = X509::stack_from_pem(chain)?.into_iter();
            if let Some(own) = chain.next() {
                builder.set_certificate(&own)?;
            }
            for issuer in chain {
                builder.add_extra_chain_cert(issuer)?;
            }
            let key = PKey::private_key_from_pem(key.expose())?;
            builder.set_private_key(&key)?;
            builder.check_private_key()?;
        }
        Tls::Psk { identity, key } => {
            builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
            builder.set_cipher_list(PSK_SUITES)?;
            builder.set_verify(SslVerifyMode::NONE);
            let (identity, key) = (identity.clone(), key.clone());
            builder.set_psk_client_callback(move |_, _, identity_out, key_out| {
                Ok(offer(&identity, key.expose(), identity_out, key_out).unwrap_or(0))
            });
        }
    }
    Ok(Some(builder.build()))
}

/// Writes identity (with its final NUL) and key; `None` when OpenSSL's buffers are too small.
fn offer(identity: &str, key: &[u8], identity_out: &mut [u8], key_out: &mut [u8]) -> Option<usize> {
    identity_out.get_mut(..identity.len())?.copy_from_slice(identity.as_bytes());
    *identity_out.get_mut(identity.len())? = 0;
    key_out.get_mut(..key.len())?.copy_from_slice(key);
    Some(key.len())
}

fn verify(builder: &mut SslContextBuilder, trust: &Trust) -> Result<(), ErrorStack> {
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    match &trust.0 {
        None => builder.set_default_verify_paths(),
        Some(authorities) => {
            for authority in authorities.iter() {
                builder.cert_store_mut().add_cert(authority.clone())?;
            }
            Ok(())
        }
    }
}
