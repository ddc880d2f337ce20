//! The phone's side of one session.
//!
//! Source: Alibaba §10 items 3 to 5.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::{Code, Secret, Value};

use super::super::crypt::BLOCK;
use super::super::lan::{Answer, Ask, MessageError};
use super::cipher;
use super::key::{AccessKey, server_sign, session_key};
use super::server::{AuthError, auth_params};

/// How often a phone says that it is there: three times within the device's patience.
pub const HEARTBEAT: Duration = Duration::from_secs(40);

/// Why a device is not controlled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The device refused the access key.
    #[error("the device refused the access key: {0}")]
    Refused(AuthError),
    /// The device refused with a number that is not documented.
    #[error("the device refused the access key with {0}")]
    Unknown(i64),
    /// What answers does not know the key: it is not the device.
    #[error("the device did not prove that it knows the access key")]
    Impostor,
    /// The answer is not readable.
    #[error("the device's answer is not readable: {0}")]
    Answer(#[from] MessageError),
    /// The answer does not decrypt.
    #[error("the device's answer does not decrypt")]
    Cipher,
}

impl ClientError {
    /// Returns the stable code.
    pub fn code(self) -> Code {
        match self {
            Self::Refused(_) | Self::Unknown(_) => "local.refused",
            Self::Impostor => "local.impostor",
            Self::Answer(_) | Self::Cipher => "local.answer",
        }
    }
}

/// A phone that wants to control one device.
pub struct Client {
    key: AccessKey,
    random: String,
    session: Option<Session>,
}

struct Session {
    id: u32,
    key: [u8; BLOCK],
}

impl Client {
    /// Returns a phone without a session; `random` must be fresh, 16 printable characters.
    pub fn new(key: AccessKey, random: impl Into<String>) -> Self {
        Self { key, random: random.into(), session: None }
    }

    /// Returns the payload of `auth` for the device of these names (product, device).
    pub fn auth(&self, id: &str, names: (&str, &str)) -> String {
        let params = auth_params(names, &self.key, &self.random);
        Ask::new(id, "core/service/auth", params).emit()
    }

    /// Takes the answer of `auth`.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; there is no session then.
    pub fn opened(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        let answer = Answer::parse(payload)?;
        if answer.code != super::super::lan::message::OK {
            let known = AuthError::from_number(answer.code);
            return Err(known.map_or(ClientError::Unknown(answer.code), ClientError::Refused));
        }
        let text = |key: &str| answer.data.get(key).and_then(Value::as_str).unwrap_or_default();
        let random = text("randomKey");
        let right = Secret::from(server_sign(&self.key.token, random));
        if random.is_empty() || !right.matches(text("sign").as_bytes()) {
            return Err(ClientError::Impostor);
        }
        let id = answer.data.get("sessionId").and_then(Value::as_u64);
        let id = id.and_then(|id| u32::try_from(id).ok()).ok_or(MessageError::NoCode)?;
        let key = session_key(&self.key.token, &self.random, random);
        self.session = Some(Session { id, key });
        Ok(())
    }

    /// Returns the session's id for the option; `None` before it is open.
    pub fn session(&self) -> Option<u32> {
        self.session.as_ref().map(|session| session.id)
    }

    /// Encrypts a request; `None` before the session is open.
    pub fn seal(&self, ask: &Ask) -> Option<Vec<u8>> {
        self.session.as_ref().map(|session| cipher::seal(&session.key, ask.emit().as_bytes()))
    }

    /// Decrypts an answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn open(&self, sealed: &[u8]) -> Result<Answer, ClientError> {
        let session = self.session.as_ref().ok_or(ClientError::Cipher)?;
        let plain = cipher::open(&session.key, sealed).ok_or(ClientError::Cipher)?;
        Ok(Answer::parse(&plain)?)
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;
    use std::string::ToString as _;

    use roadstead_core::Tick;
    use serde_json::json;

    use super::super::server::blacklist;
    use super::super::{KeyPair, Server, SessionError};
    use super::*;

    const NAMES: (&str, &str) = ("a1RsKq9ZxTb", "lamp-0001");
    const PHONE: &str = "ABCDEFGHIJKLMNOP";
    const DEVICE: &str = "b7lI4bKoCP8uVKu";

    fn peer(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 168, 77, host], 40_000))
    }

    fn ask(server: &mut Server, client: &Client, at: Tick) -> Result<Value, AuthError> {
        let ask = Ask::parse(client.auth("11", NAMES).as_bytes()).expect("message");
        server.auth(peer(1), &ask.version, &ask.params, DEVICE, at)
    }

    fn connect(server: &mut Server, key: AccessKey) -> Result<Client, ClientError> {
        let mut client = Client::new(key, PHONE);
        let answer = match ask(server, &client, Tick::ZERO) {
            Ok(data) => Answer::ok("11", data),
            Err(error) => Answer { id: "11".into(), code: error.number(), data: json!({}) },
        };
        client.opened(answer.emit(super::super::super::lan::IdStyle::Quoted).as_bytes())?;
        Ok(client)
    }

    #[test]
    fn the_recorded_session_opens() {
        let mut server = Server::with_factory_key();
        let client = Client::new(KeyPair::factory().access_key(0), PHONE);
        let recorded = r#"{"prodKey":"a1RsKq9ZxTb","deviceName":"lamp-0001","encrypt":"payload","randomKey":"ABCDEFGHIJKLMNOP","sign":"riZwbSljBy9dOWrhIIrP5tc0KJw=","accessKey":"Xtau@iot10000"}"#;
        assert!(client.auth("11", NAMES).contains(recorded));
        let data = ask(&mut server, &client, Tick::ZERO).expect("session");
        let recorded = r#"{"sign":"uIDF/8mLsydD0DWrcFGEdw80ZmE=","randomKey":"b7lI4bKoCP8uVKu","sessionId":256,"expire":86400}"#;
        assert_eq!(data.to_string(), recorded);
    }

    #[test]
    fn both_sides_talk_and_strangers_do_not() {
        let mut server = Server::with_factory_key();
        let client = connect(&mut server, KeyPair::factory().access_key(0)).expect("session");
        let id = client.session().expect("open");
        let set = Ask::new("21", "thing.service.property.set", json!({"LightSwitch": 1}));
        let sealed = client.seal(&set).expect("open");
        let plain = server.open(peer(1), id, &sealed, Tick::ZERO).expect("plain");
        assert_eq!(Ask::parse(&plain), Ok(set));
        let again = server.open(peer(2), id, &sealed, Tick::ZERO);
        assert_eq!(again, Err(SessionError::Unknown), "another phone");
        let foreign = server.open(peer(1), id + 1, &sealed, Tick::ZERO);
        assert_eq!(foreign, Err(SessionError::Unknown), "another session");
        let broken = server.open(peer(1), id, &sealed[..16], Tick::ZERO);
        assert_eq!(broken, Err(SessionError::Cipher));
        let answer = server.seal(peer(1), id, br#"{"id":"21","code":200,"data":{}}"#);
        assert_eq!(client.open(&answer.expect("sealed")), Ok(Answer::ok("21", json!({}))));
        assert_eq!(client.open(b"x"), Err(ClientError::Cipher));
    }

    #[test]
    fn each_refusal_has_its_number() {
        let pair = KeyPair::new("Mine@iot", "own-secret".into()).expect("pair");
        let mut server = Server::default();
        let refused = |server: &mut Server, key| connect(server, key).err().expect("refused");
        let factory = KeyPair::factory().access_key(0);
        assert_eq!(refused(&mut server, factory.clone()), ClientError::Refused(AuthError::NoKeys));
        server.add(pair.clone());
        assert_eq!(refused(&mut server, factory), ClientError::Refused(AuthError::Prefix));
        let other = KeyPair::new("Mine@iot", "guess".into()).expect("pair").access_key(1);
        assert_eq!(refused(&mut server, other), ClientError::Refused(AuthError::Sign));
        let short = AccessKey { key: "Mine@iot".into(), ..pair.access_key(1) };
        assert_eq!(refused(&mut server, short), ClientError::Refused(AuthError::Parameter));
        server.revoke(["001".to_string()]);
        let revoked = refused(&mut server, pair.access_key(1));
        assert_eq!(revoked, ClientError::Refused(AuthError::Revoked));
        assert!(connect(&mut server, pair.access_key(2)).is_ok());
        let params = json!({});
        let old = server.auth(peer(1), "2.0", &params, DEVICE, Tick::ZERO);
        assert_eq!(old, Err(AuthError::Version));
        for error in [501, 502, 503, 504, 505, 506] {
            assert!(AuthError::from_number(error).is_some_and(|e| e.number() == error));
        }
    }

    #[test]
    fn a_key_of_the_platform_ends_the_factorys() {
        let mut server = Server::with_factory_key();
        assert!(server.is_open_to_all());
        connect(&mut server, KeyPair::factory().access_key(0)).expect("open to all");
        server.add(KeyPair::new("Mine@iot", "own-secret".into()).expect("pair"));
        assert!(!server.is_open_to_all());
        assert_eq!(server.sessions(), 0, "what was opened with the public key is closed");
        assert!(connect(&mut server, KeyPair::factory().access_key(0)).is_err());
    }

    #[test]
    fn revoking_closes_sessions_and_selecting_finds_the_own_key() {
        let pair = KeyPair::new("Mine@iot", "own-secret".into()).expect("pair");
        let mut server = Server::default();
        server.add(pair.clone());
        connect(&mut server, pair.access_key(7)).expect("session");
        let offered = json!({"accessKeys": ["Xtau@iot10000", "Mine@iot10007"]});
        assert_eq!(server.select(&offered), Ok(json!({"accessKey": "Mine@iot10007"})));
        assert_eq!(server.select(&json!({"accessKeys": []})), Err(AuthError::Parameter));
        let foreign = json!({"accessKeys": ["Xtau@iot10000"]});
        assert_eq!(server.select(&foreign), Err(AuthError::Prefix));
        server.revoke(blacklist(&json!({"blacklist": "007, 008"})));
        assert_eq!(server.sessions(), 0);
        assert_eq!(blacklist(&json!(["001", 2])), ["001"]);
        assert!(blacklist(&json!({})).is_empty());
    }

    #[test]
    fn a_session_without_heart_beat_ends() {
        let mut server = Server::with_factory_key();
        let client = connect(&mut server, KeyPair::factory().access_key(0)).expect("session");
        let id = client.session().expect("open");
        let beat = client.seal(&Ask::new("1", "core/service/heartBeat", json!({}))).expect("open");
        let at = |s: u64| Tick::from_millis(s * 1000);
        assert!(server.open(peer(1), id, &beat, at(119)).is_ok());
        assert!(server.open(peer(1), id, &beat, at(238)).is_ok());
        assert_eq!(server.open(peer(1), id, &beat, at(358)), Err(SessionError::Unknown));
    }

    #[test]
    fn an_impostor_is_recognised() {
        let mut client = Client::new(KeyPair::factory().access_key(0), PHONE);
        let lie = json!({"sign": "AAAA", "randomKey": DEVICE, "sessionId": 256, "expire": 1});
        let answer = Answer::ok("11", lie).emit(super::super::super::lan::IdStyle::Quoted);
        assert_eq!(client.opened(answer.as_bytes()), Err(ClientError::Impostor));
        assert!(client.session().is_none() && client.seal(&Ask::new("1", "", json!({}))).is_none());
        let odd = client.opened(br#"{"id":"11","code":599,"data":{}}"#);
        assert_eq!(odd, Err(ClientError::Unknown(599)));
        assert_eq!(client.opened(b"x"), Err(ClientError::Answer(MessageError::NotJson)));
    }
}
