//! The HTTP calls before the log-in: where to connect, with what, and the device's own secret.
//!
//! Source: Alibaba §3.1 to §3.3; transcripts l16_ackbind, v301_dynreg, vector http-dynreg.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};

use bytes::Bytes;
use roadstead_core::{Code, Secret, Value};

use super::super::auth::{Method, login_source, register_source};
use super::config::{AUTH_HOST, BOOTSTRAP_HOST, Config};

/// Largest answer that is read, bytes; the firmware's buffer has 512.
pub(super) const ANSWER_BYTES_MAX: usize = 4096;
/// The date that C SDKs sign, being without a clock.
pub(super) const TIMESTAMP: &str = "2524608000000";
/// Longest host name that is taken.
const HOST_LEN_MAX: usize = 255;

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Where to log in; with the number of a region.
    Bootstrap(Option<u32>),
    /// Where and with what to log in.
    Guide,
    /// The device's secret.
    Register,
}

/// Where to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: Box<str>,
    pub(super) port: u16,
}

/// What an answer brought.
pub(super) enum Outcome {
    /// Where.
    Place(Place),
    /// Where, user name and password.
    Guided {
        /// Where; `None` leaves it as it is.
        place: Option<Place>,
        /// User name (`iotId`).
        user: Box<str>,
        /// Password (`iotToken`).
        password: Secret,
    },
    /// The device's secret.
    Secret(Secret),
}

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// The platform said no; asking again at once does not help.
    #[error("the platform answered {code}: {message}")]
    Refused {
        /// Vendor's code.
        code: i64,
        /// Vendor's words.
        message: String,
    },
    /// The answer is not readable, or lacks what was asked for.
    #[error("the answer of HTTP {0} is not readable")]
    Unreadable(u16),
    /// Neither secret to ask with.
    #[error("the device has no secret to ask with")]
    NoSecret,
}

impl CallError {
    /// Returns the stable code.
    pub(super) fn code(&self, call: Call) -> Code {
        match (self, call) {
            (Self::Refused { .. }, Call::Register) => "register.unknown_device",
            (Self::Refused { .. }, Call::Bootstrap(_) | Call::Guide) => "auth.unknown_device",
            (Self::Unreadable(_), _) => "attempt.never_connected",
            (Self::NoSecret, _) => "auth.no_credential",
        }
    }
}

impl Call {
    /// Returns the vendor's host of the call.
    pub(super) fn host(self) -> &'static str {
        match self {
            Self::Bootstrap(_) => BOOTSTRAP_HOST,
            Self::Guide | Self::Register => AUTH_HOST,
        }
    }

    /// Returns the whole request.
    ///
    /// # Errors
    ///
    /// [`CallError::NoSecret`].
    pub(super) fn request(self, config: &Config, random: &str) -> Result<Bytes, CallError> {
        let (product, device) = (&*config.product, &*config.device);
        let names = format!("productKey={product}&deviceName={device}");
        let base = config.client_base();
        let (line, body) = match self {
            Self::Bootstrap(Some(region)) => {
                (format!("GET /auth/bootstrap/regionId/{region}"), String::new())
            }
            Self::Bootstrap(None) => {
                let tail = format!("&clientId={base}&timestamp={TIMESTAMP}&resources=mqtt");
                ("POST /auth/bootstrap".to_string(), names + &tail)
            }
            Self::Guide => {
                let secret = config.secret.as_ref().ok_or(CallError::NoSecret)?;
                let source = login_source(&base, device, product, None, Some(TIMESTAMP));
                let sign = Method::Sha256.sign(secret.expose(), &source);
                let tail = format!(
                    "&signmethod=hmacsha256&sign={sign}&version=default&clientId={base}\
                     &timestamp={TIMESTAMP}&resources=mqtt"
                );
                ("POST /auth/devicename".to_string(), names + &tail)
            }
            Self::Register => {
                let secret = config.product_secret.as_ref().ok_or(CallError::NoSecret)?;
                let source = register_source(device, product, random);
                let sign = Method::Sha256.sign(secret.expose(), &source).to_ascii_uppercase();
                let tail = format!("&random={random}&sign={sign}&signMethod=hmacsha256");
                ("POST /auth/register/device".to_string(), names + &tail)
            }
        };
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded;charset=utf-8\r\n\
             Connection: close\r\n\r\n",
            self.host(),
            body.len(),
        );
        Ok(Bytes::from(head + &body))
    }

    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub(super) fn answer(self, status: u16, body: &[u8]) -> Result<Outcome, CallError> {
        let unreadable = CallError::Unreadable(status);
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return Err(unreadable) };
        let code = match answer.get("code") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(code) => code.as_i64(),
            None => None,
        };
        let Some(code) = code else { return Err(unreadable) };
        if code != 200 {
            let message = answer.get("message").and_then(Value::as_str).unwrap_or_default();
            return Err(CallError::Refused { code, message: message.chars().take(200).collect() });
        }
        let data = answer.get("data").unwrap_or(&Value::Null);
        let text =
            |key: &str| data.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let outcome = match self {
            Self::Bootstrap(_) => place(data).map(Outcome::Place),
            Self::Guide => text("iotId").zip(text("iotToken")).map(|(user, password)| {
                let (user, password) = (user.into(), password.into());
                Outcome::Guided { place: place(data), user, password }
            }),
            Self::Register => text("deviceSecret").map(|secret| Outcome::Secret(secret.into())),
        };
        outcome.ok_or(unreadable)
    }
}

fn place(data: &Value) -> Option<Place> {
    let mqtt = data.pointer("/resources/mqtt")?;
    let host = mqtt.get("host").and_then(Value::as_str)?;
    let port = mqtt.get("port").and_then(super::super::lan::info::number)?;
    let fits = !host.is_empty() && host.len() <= HOST_LEN_MAX && host.is_ascii();
    let port = u16::try_from(port).ok().filter(|port| *port != 0 && fits)?;
    Some(Place { host: host.into(), port })
}

impl Place {
    /// Reads `host:port`; a scheme in front is skipped, the last colon starts the port (§4).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = rest.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let fits = !host.is_empty() && host.len() <= HOST_LEN_MAX && host.is_ascii();
        fits.then(|| Self { host: host.into(), port })
    }

    /// Writes `host:port`.
    pub(super) fn text(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::new("a1RsKq9ZxTb", "lamp-0001");
        config.secret = Some("Zq3tJ8vYp0LwXc5NdR7mBf2HsK9uGa4E".into());
        config.product_secret = Some("pS9dK2mQ7xWv4LtZ".into());
        config
    }

    #[test]
    fn requests_are_the_firmwares() {
        let text = |call: Call| {
            let bytes = call.request(&config(), "8Ygb7ULYh53B6OA").expect("secret");
            String::from_utf8(bytes.to_vec()).expect("text")
        };
        // l16_ackbind.
        let bootstrap = text(Call::Bootstrap(None));
        assert!(bootstrap.starts_with("POST /auth/bootstrap HTTP/1.1\r\nHost: iot-auth-global."));
        assert!(bootstrap.contains("Content-Length: 113\r\n"));
        assert!(bootstrap.ends_with(
            "\r\n\r\nproductKey=a1RsKq9ZxTb&deviceName=lamp-0001&clientId=a1RsKq9ZxTb.lamp-0001\
             &timestamp=2524608000000&resources=mqtt"
        ));
        // v301_dynreg, vector http-dynreg.
        assert!(text(Call::Register).ends_with(
            "\r\n\r\nproductKey=a1RsKq9ZxTb&deviceName=lamp-0001&random=8Ygb7ULYh53B6OA\
             &sign=94DF5DEAF61C19C7C8DD2A205F808744D5937DABBC501CFDFA033C20D6C16FFF\
             &signMethod=hmacsha256"
        ));
        let region = text(Call::Bootstrap(Some(7)));
        assert!(region.starts_with("GET /auth/bootstrap/regionId/7 HTTP/1.1\r\n"));
        let bare = Config::new("a", "b");
        assert_eq!(Call::Guide.request(&bare, "").err(), Some(CallError::NoSecret));
        assert_eq!(Call::Register.request(&bare, "").err(), Some(CallError::NoSecret));
    }

    #[test]
    fn answers_bring_what_was_asked_for() {
        let body = br#"{"code":200,"data":{"resources":{"mqtt":{"host":"192.168.77.1","port":1883}}},"message":"success"}"#;
        let answer = Call::Bootstrap(None).answer(200, body).ok();
        assert!(
            matches!(answer, Some(Outcome::Place(place)) if place.text() == "192.168.77.1:1883")
        );
        let body = br#"{"code":200,"data":{"deviceName":"lamp-0001","deviceSecret":"Zq3t","productKey":"a"}}"#;
        let answer = Call::Register.answer(200, body).ok();
        assert!(matches!(answer, Some(Outcome::Secret(secret)) if secret.matches(b"Zq3t")));
        let body = br#"{"code":200,"data":{"iotId":"i","iotToken":"t","resources":{"mqtt":{"host":"h","port":"443"}}}}"#;
        let answer = Call::Guide.answer(200, body).ok();
        assert!(
            matches!(answer, Some(Outcome::Guided { place: Some(place), .. }) if place.port == 443)
        );
    }

    #[test]
    fn refusals_and_damage_are_told_apart() {
        let error = |body: &[u8]| Call::Register.answer(200, body).err().expect("an error");
        let refused = error(br#"{"code":6288,"message":"no"}"#);
        assert_eq!(refused.code(Call::Register), "register.unknown_device");
        assert_eq!(refused.code(Call::Bootstrap(None)), "auth.unknown_device");
        for body in [&b""[..], b"{}", b"[]", br#"{"code":200}"#, br#"{"code":200,"data":{}}"#] {
            assert_eq!(error(body), CallError::Unreadable(200));
        }
        let bad = br#"{"code":200,"data":{"resources":{"mqtt":{"host":"","port":0}}}}"#;
        assert!(Call::Bootstrap(None).answer(200, bad).is_err());
    }

    #[test]
    fn addresses_are_read_as_the_firmware_reads_them() {
        let place = |text: &str| Place::parse(text).map(|place| (place.host, place.port));
        assert_eq!(place("h:1883"), Some(("h".into(), 1883)));
        assert_eq!(place("ssl://h.x:443"), Some(("h.x".into(), 443)));
        for bad in ["", "h", "h:", ":1", "h:0", "h:70000"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
