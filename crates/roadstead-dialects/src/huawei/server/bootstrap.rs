//! The provisioning service: a device asks where to log in.
//!
//! Any device may ask on any connection with its own credential; members of a registration group
//! log in by the group's and are told the secret that the platform made for them, until they have
//! logged in with it. Which address they get is the first policy that matches, else the default.
//!
//! Source: Huawei §4; T14, T15. The custom policy (a function) is not offered.

use alloc::borrow::Cow;

use roadstead_core::exchange::Uplink;
use serde::{Deserialize, Serialize};

use super::message::{ignored, malformed, message, noted, unreadable};
use super::reply::{Kind, heard};
use super::scene::{Role, Scene};
use crate::cloud::{Heard, Message};
use crate::huawei::settings::{KeywordFrom, Policy};
use crate::huawei::topic::Leaf;

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow, default, rename = "baseStrategyKeyword")]
    keyword: Cow<'a, str>,
}

/// Understands `bootstrap/up`: empty, or a keyword.
pub(super) fn uplink(scene: &Scene<'_>, authority: Option<&str>, payload: &[u8]) -> Heard {
    let keyword = match payload.trim_ascii().is_empty() {
        true => Cow::Borrowed(""),
        false => match serde_json::from_slice::<Question<'_>>(payload) {
            Ok(question) => question.keyword,
            Err(error) => return unreadable(&error),
        },
    };
    if address(scene, authority, &keyword).is_empty() {
        let detail = "no provisioning address is set for this device (`dialect.huawei.address`)";
        return noted(malformed("register.off", detail));
    }
    let Heard { reply, .. } = heard(Uplink::Time, Kind::Bootstrap, &[&keyword]);
    Heard { reply, ..ignored("bootstrap") }
}

fn address<'a>(scene: &Scene<'a>, authority: Option<&str>, keyword: &str) -> &'a str {
    let device = &scene.account.device;
    let matches = |policy: &&Policy| {
        let by_authority =
            policy.authority.as_deref().is_none_or(|wanted| authority == Some(wanted));
        let by_keyword = policy.keyword.as_deref().is_none_or(|wanted| match policy.keyword_from {
            KeywordFrom::DeviceName => [&*device.name, device.id.as_str(), &*device.node]
                .iter()
                .any(|name| name.contains(wanted)),
            KeywordFrom::Payload => keyword.contains(wanted),
        });
        by_authority && by_keyword
    };
    let settings = scene.settings;
    settings.policies.iter().find(matches).map_or(&settings.address, |policy| &policy.address)
}

#[derive(Serialize)]
struct Reply<'a> {
    address: &'a str,
    #[serde(rename = "initConfig", skip_serializing_if = "str::is_empty")]
    init_config: &'a str,
    #[serde(rename = "deviceSecret", skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

/// Writes `bootstrap/down`.
pub(super) fn reply(scene: &Scene<'_>, authority: Option<&str>, keyword: &str) -> Message {
    let device = &scene.account.device;
    let is_fresh = scene.role == Role::Member && device.activated_at.is_none();
    let secret = device.secret.as_ref().filter(|_| is_fresh);
    let body = Reply {
        address: address(scene, authority, keyword),
        init_config: &scene.settings.init_config,
        secret: secret.and_then(|secret| secret.expose_text()),
    };
    message(&scene.topic(Leaf::BootstrapDown), &body)
}
