//! The log-in as each generation writes it.
//!
//! Source: Alibaba §2, §3.2, §3.3, §5.6, §6; vectors mqtt-*.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::Secret;

use super::super::auth::{Method, login_source, register_source, user_name};
use super::super::client;
use super::super::lan::Maker;
use super::config::Config;
use super::http::{Place, TIMESTAMP};
use super::policy::{Generation, Policy};
use crate::device::{Login, Tls};

/// Version of the imitated SDK.
const LIVING16_VERSION: &str = "sdk-c-2.3.0_FY_1.6.0";
const LINKKIT3_VERSION: &str = "sdk-c-3.0.1";

/// What a device proves itself with.
pub(super) enum Proof<'a> {
    /// Its own secret.
    Secret(&'a Secret),
    /// User name and password of the guided log-in.
    Guided(&'a str, &'a Secret),
    /// Client id and token of an open registration.
    Token(&'a str, &'a Secret),
}

/// What a smart-living device tells with its log-in.
#[derive(Default)]
pub(super) struct Extras {
    /// Bind token and its maker (§6).
    pub(super) token: Option<(Secret, Maker)>,
    /// A factory reset that the platform has not heard of (§5.6).
    pub(super) reset: Option<u8>,
    /// The address came over HTTP.
    pub(super) is_told: bool,
}

/// Returns the log-in.
pub(super) fn login(
    config: &Config,
    policy: &Policy,
    place: &Place,
    proof: &Proof<'_>,
    extras: &Extras,
) -> Login {
    let (product, device) = (&*config.product, &*config.device);
    let base = config.client_base();
    let living = policy.generation == Generation::Living16;
    let method = if living { Method::Sha1 } else { Method::Sha256 };
    let (client_id, user, password) = match proof {
        Proof::Secret(secret) => {
            let mode = if config.tls { "2" } else { "3" };
            let source = login_source(&base, device, product, None, Some(TIMESTAMP));
            let sign = method.sign(secret.expose(), &source);
            let password = if living { sign } else { sign.to_ascii_uppercase() };
            let id = match living {
                true => living16(&base, mode, method, extras),
                false => linkkit3(&base, mode, method),
            };
            (id, user_name(device, product), Secret::from(password))
        }
        Proof::Guided(user, password) => {
            let mode = if config.tls { "-1" } else { "0" };
            let id = linkkit3(&base, mode, method);
            (id, (*user).to_string(), (*password).clone())
        }
        Proof::Token(client, token) => {
            let id = client::write(client, &[("securemode", "-2"), ("authType", "connwl")]);
            (id, user_name(device, product), (*token).clone())
        }
    };
    with(config, policy, place, client_id, user, password)
}

/// Returns the log-in of a registration (§3.3 b, c).
pub(super) fn registration(
    config: &Config,
    policy: &Policy,
    place: &Place,
    is_open: bool,
    random: &str,
) -> Option<Login> {
    let (product, device) = (&*config.product, &*config.device);
    let secret = config.product_secret.as_ref()?;
    let auth = if is_open { "regnwl" } else { "register" };
    let method = Method::Sha256;
    let keys = [
        ("random", random),
        ("authType", auth),
        ("securemode", "2"),
        ("signmethod", method.name()),
    ];
    let id = client::write(&format!("{device}.{product}"), &keys);
    let password = method.sign(secret.expose(), &register_source(device, product, random));
    Some(with(config, policy, place, id, user_name(device, product), password.into()))
}

fn with(
    config: &Config,
    policy: &Policy,
    place: &Place,
    client_id: String,
    user: String,
    password: Secret,
) -> Login {
    // A told address is asked for by its own name; the built-in one by the vendor's.
    let server_name: Box<str> = match *place.host == *config.mqtt.host {
        true => config.mqtt.name.clone(),
        false => place.host.clone(),
    };
    Login {
        host: place.host.clone(),
        port: place.port,
        tls: if config.tls { Tls::Server } else { Tls::Off },
        server_name,
        client_id: client_id.into(),
        user: Some(user.into()),
        password: Some(password),
        keep_alive: policy.keep_alive,
        wait: policy.connack_wait,
    }
}

fn linkkit3(base: &str, mode: &str, method: Method) -> String {
    let keys = [
        ("timestamp", TIMESTAMP),
        ("_v", LINKKIT3_VERSION),
        ("securemode", mode),
        ("signmethod", method.name()),
        ("lan", "C"),
        ("gw", "0"),
        ("ext", "0"),
    ];
    client::write(base, &keys)
}

fn living16(base: &str, mode: &str, method: Method, extras: &Extras) -> String {
    let token = extras.token.as_ref().map(|(token, maker)| {
        (token.expose_text().unwrap_or_default(), maker.number().to_string())
    });
    let reset = extras.reset.map(|reset| reset.to_string());
    let mut keys: Vec<(&str, &str)> = Vec::with_capacity(16);
    keys.push(("securemode", mode));
    if let Some((token, maker)) = &token {
        keys.extend([("tokenType", maker.as_str()), ("token", token)]);
    }
    if let Some(reset) = &reset {
        keys.push(("reset", reset));
    }
    keys.extend([
        ("_v", LIVING16_VERSION),
        ("timestamp", TIMESTAMP),
        ("signmethod", method.name()),
        ("lan", "C"),
        ("pid", "example.demo.partner-id"),
        ("mid", "example.demo.module-id"),
    ]);
    if extras.is_told {
        keys.push(("authtype", "custom-ilop"));
    }
    keys.extend([("_fy", "1.6.0"), ("_ss", "1")]);
    client::write(base, &keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::new("a1RsKq9ZxTb", "lamp-0001");
        config.product_secret = Some("pS9dK2mQ7xWv4LtZ".into());
        config.tls = false;
        config
    }

    fn text(login: &Login) -> (&str, &str, &str) {
        let password = login.password.as_ref().and_then(Secret::expose_text);
        (&login.client_id, login.user.as_deref().unwrap_or_default(), password.unwrap_or_default())
    }

    #[test]
    fn log_ins_are_the_recorded_ones() {
        let secret = Secret::from("Zq3tJ8vYp0LwXc5NdR7mBf2HsK9uGa4E");
        let place = Place::parse("192.168.77.1:1883").expect("place");
        let proof = Proof::Secret(&secret);
        // Vector mqtt-sha256-sdk3.
        let made = login(&config(), &Policy::linkkit3(), &place, &proof, &Extras::default());
        assert_eq!(
            text(&made),
            (
                "a1RsKq9ZxTb.lamp-0001|timestamp=2524608000000,_v=sdk-c-3.0.1,securemode=3,signmethod=hmacsha256,lan=C,gw=0,ext=0|",
                "lamp-0001&a1RsKq9ZxTb",
                "C2BD1B8409A0B6D8CBA8FD85C196C5F1A988F8C093E331C974936BF487E37AFF",
            )
        );
        // Vector mqtt-sha1-living16.
        let extras = Extras {
            token: Some(("00112233445566778899AABBCCDDEEFF".into(), Maker::Phone)),
            reset: None,
            is_told: true,
        };
        let made = login(&config(), &Policy::living16(), &place, &proof, &extras);
        assert_eq!(
            text(&made),
            (
                "a1RsKq9ZxTb.lamp-0001|securemode=3,tokenType=1,token=00112233445566778899AABBCCDDEEFF,_v=sdk-c-2.3.0_FY_1.6.0,timestamp=2524608000000,signmethod=hmacsha1,lan=C,pid=example.demo.partner-id,mid=example.demo.module-id,authtype=custom-ilop,_fy=1.6.0,_ss=1|",
                "lamp-0001&a1RsKq9ZxTb",
                "8ba1e437aaefca482f7be8eca1e0bd5792b858e1",
            )
        );
        // Vector mqtt-dynreg-regnwl.
        let made = registration(&config(), &Policy::living16(), &place, true, "RKAaVZlLdHcDOYT");
        assert_eq!(
            text(&made.expect("secret")),
            (
                "lamp-0001.a1RsKq9ZxTb|random=RKAaVZlLdHcDOYT,authType=regnwl,securemode=2,signmethod=hmacsha256|",
                "lamp-0001&a1RsKq9ZxTb",
                "f961b9b748ef16c6aa9731abb034baa76fe3abda1cd29bb9e69dbe39a956a914",
            )
        );
        let bare = Config::new("a", "b");
        assert!(registration(&bare, &Policy::living16(), &place, true, "x").is_none());
    }

    #[test]
    fn a_reset_and_other_proofs_are_told() {
        let secret = Secret::from("t");
        let place = Place::parse("h:1").expect("place");
        let reset = Extras { reset: Some(2), ..Extras::default() };
        let made = login(&config(), &Policy::living16(), &place, &Proof::Secret(&secret), &reset);
        assert!(made.client_id.contains(",reset=2,"));
        let made = login(
            &config(),
            &Policy::linkkit3(),
            &place,
            &Proof::Guided("iot-id", &secret),
            &Extras::default(),
        );
        assert!(made.client_id.contains("securemode=0") && text(&made).1 == "iot-id");
        let proof = Proof::Token("x9f8", &secret);
        let made = login(&config(), &Policy::living16(), &place, &proof, &Extras::default());
        assert_eq!(&*made.client_id, "x9f8|securemode=-2,authType=connwl|");
    }
}
