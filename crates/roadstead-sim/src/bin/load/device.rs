//! The devices of a load: one product, numbered nodes, one secret.

use std::io::Write as _;
use std::pin::Pin;

use bytes::BytesMut;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVersion};
use roadstead_wire::mqtt::codec::{Decoder, encode};
use roadstead_wire::mqtt::packet::{Connect, Opaque, Packet, Reason, Version};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// Product id of every load device.
pub(crate) const PRODUCT: &str = "LOADLOADLD";
/// Secret of every load device; a public test value.
pub(crate) const SECRET: &str = "MLvMHde65nKPk0Lx+ZThaA==";
/// Largest packet that a load device takes, bytes.
const PACKET_BYTES_MAX: u32 = 64 * 1024;

/// Any byte stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A fleet file of `count` devices.
pub(crate) fn fleet(count: usize) -> String {
    let devices: Vec<_> = (0..count)
        .map(|n| json!({"dialect": "tencent", "product": PRODUCT, "device": node(n), "secret": SECRET}))
        .collect();
    let model = json!({"version": "1.0", "profile": {"ProductId": PRODUCT, "CategoryId": "1"},
        "properties": [
            {"id": "power_switch", "name": "Power", "desc": "", "required": true, "mode": "rw",
             "define": {"type": "bool", "mapping": {"0": "off", "1": "on"}}},
            {"id": "brightness", "name": "Brightness", "desc": "", "required": false, "mode": "rw",
             "define": {"type": "int", "min": "0", "max": "100000", "start": "0", "step": "1", "unit": ""}},
            {"id": "temperature", "name": "Temperature", "desc": "", "required": false, "mode": "r",
             "define": {"type": "float", "min": "-50", "max": "150", "start": "0", "step": "0.1", "unit": "C"}},
            {"id": "name", "name": "Name", "desc": "", "required": false, "mode": "r",
             "define": {"type": "string", "min": "0", "max": "256"}}],
        "events": [], "actions": [
            {"id": "ping", "name": "Ping", "desc": "", "required": false,
             "input": [{"id": "n", "name": "N", "define": {"type": "int", "min": "0", "max": "1000000000", "start": "0", "step": "1", "unit": ""}}],
             "output": [{"id": "n", "name": "N", "define": {"type": "int", "min": "0", "max": "1000000000", "start": "0", "step": "1", "unit": ""}}]}]});
    let mut out = Vec::new();
    let path = std::path::Path::new("load-model.json");
    if let Ok(mut file) = std::fs::File::create(path) {
        drop(file.write_all(model.to_string().as_bytes()));
    }
    let fleet = json!({"version": 1,
        "products": [{"dialect": "tencent", "product": PRODUCT, "name": "Load", "auth": "secret",
                      "dynamic_registration": "off", "model": "load-model.json"}],
        "devices": devices});
    drop(serde_json::to_writer(&mut out, &fleet));
    String::from_utf8_lossy(&out).into_owned()
}

/// Node id of device `n`.
pub(crate) fn node(n: usize) -> String {
    format!("D{n}")
}

/// One connection of a load device.
pub(crate) struct Device {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buffer: BytesMut,
}

impl Device {
    /// Connects and logs in; with `psk` over TLS-PSK, otherwise with a password.
    pub(crate) async fn login(address: &str, n: usize, psk: bool) -> Result<Self, String> {
        let tcp = TcpStream::connect(address).await.map_err(|e| format!("{address}: {e}"))?;
        tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        let client_id = format!("{PRODUCT}{}", node(n));
        let user = format!("{client_id};21010406;5B1N0;92233720368547758");
        let mut connect = Connect::new(Version::V311, &client_id);
        connect.username = Some(user.as_str().into());
        let stream: Box<dyn Stream> = if psk {
            Box::new(tls(tcp, client_id).await?)
        } else {
            let password =
                roadstead_sim::password(SECRET, &user).ok_or("the secret is not base64")?;
            connect.password = Some(Opaque::new(password.into_bytes()));
            Box::new(tcp)
        };
        Self::admitted(stream, connect).await
    }

    /// Connects over plain TCP and logs in with this CONNECT.
    pub(crate) async fn login_as(address: &str, connect: Connect) -> Result<Self, String> {
        let tcp = TcpStream::connect(address).await.map_err(|e| format!("{address}: {e}"))?;
        tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        Self::admitted(Box::new(tcp), connect).await
    }

    async fn admitted(stream: Box<dyn Stream>, connect: Connect) -> Result<Self, String> {
        let decoder = Decoder::with_version(Version::V311, PACKET_BYTES_MAX);
        let mut device = Self { stream, decoder, buffer: BytesMut::new() };
        device.send(&Packet::Connect(connect.into())).await?;
        match device.next().await? {
            Packet::ConnAck(ack) if ack.reason == Reason::Success => Ok(device),
            other => Err(format!("log-in refused: {other:?}")),
        }
    }

    pub(crate) async fn send(&mut self, packet: &Packet) -> Result<(), String> {
        let mut bytes = BytesMut::new();
        encode(packet, Version::V311, &mut bytes).map_err(|e| e.to_string())?;
        self.stream.write_all(&bytes).await.map_err(|e| e.to_string())
    }

    pub(crate) async fn next(&mut self) -> Result<Packet, String> {
        loop {
            if let Some(packet) =
                self.decoder.decode(&mut self.buffer).map_err(|e| e.to_string())?
            {
                return Ok(packet);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

async fn tls(tcp: TcpStream, identity: String) -> Result<SslStream<TcpStream>, String> {
    let show = |e: openssl::error::ErrorStack| e.to_string();
    let mut context = SslContext::builder(SslMethod::tls_client()).map_err(show)?;
    context.set_max_proto_version(Some(SslVersion::TLS1_2)).map_err(show)?;
    context.set_cipher_list("PSK-AES128-CBC-SHA:@SECLEVEL=0").map_err(show)?;
    let key = openssl::base64::decode_block(SECRET).map_err(show)?;
    context.set_psk_client_callback(move |_, _, identity_out, key_out| {
        identity_out[..identity.len()].copy_from_slice(identity.as_bytes());
        identity_out[identity.len()] = 0;
        key_out[..key.len()].copy_from_slice(&key);
        Ok(key.len())
    });
    let ssl = Ssl::new(&context.build()).map_err(show)?;
    let mut stream = SslStream::new(ssl, tcp).map_err(show)?;
    Pin::new(&mut stream).connect().await.map_err(|e| e.to_string())?;
    Ok(stream)
}
