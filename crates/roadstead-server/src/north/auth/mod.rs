//! Who calls: IAM tokens, signatures, bearer tokens; and the IAM calls that SDKs make first.
//!
//! Answers only "who"; what the caller may do is [`super::guard`]'s question. Source: Huawei §10.

mod query;
mod signature;
mod token;

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::failure::Failure;
use crate::service::{Caller, Platform};
use signature::{Algorithm, Authorization, SignatureError, Signed};

pub(super) use signature::parse_date;
pub(super) use token::routes;

/// The header of an IAM token.
const TOKEN_HEADER: &str = "x-auth-token";
/// What the vendor says when neither token nor signature is there; applications search for it
/// (Huawei §9.10). The usual cause is a wrong signing algorithm.
const MISSING: &str = "Missing request header 'X-Auth-Token' for method parameter of type String";

/// Returns who makes a northbound call.
pub(super) async fn north(
    platform: &Platform,
    parts: &Parts,
    body: &[u8],
) -> Result<Caller, Failure> {
    if let Some(token) = header(parts, TOKEN_HEADER) {
        return Ok(platform.authenticate(token).await?);
    }
    let Some(text) = header(parts, AUTHORIZATION.as_str()) else {
        return Err(Failure::new("api.no_credentials", MISSING));
    };
    match Authorization::parse(text) {
        Some(parsed) => signed(platform, parsed?, parts, body).await,
        None => Err(Failure::new("api.no_credentials", MISSING)),
    }
}

/// Returns who makes a call of the phone API.
pub(super) async fn app(platform: &Platform, parts: &Parts) -> Result<Caller, Failure> {
    match bearer(parts) {
        Some(token) => Ok(platform.authenticate(token).await?),
        None => Err(refused("sign in first, then send `Authorization: Bearer TOKEN`")),
    }
}

/// Returns the bearer token of a call.
pub(crate) fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, token) = header(parts, AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

async fn signed(
    platform: &Platform,
    authorization: Authorization,
    parts: &Parts,
    body: &[u8],
) -> Result<Caller, Failure> {
    let headers: Vec<(&str, &str)> = parts
        .headers
        .iter()
        .filter_map(|(name, value)| {
            Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?))
        })
        .collect();
    let request = Signed {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        body,
    };
    let settings = &platform.config().north;
    if let Algorithm::Derived(scope) = &authorization.algorithm
        && settings.region_pinned
        && *scope.region != *settings.region
    {
        return Err(refused("the signature is for another region"));
    }
    let (date, now) = (authorization.date(&request)?, platform.clock().now());
    if date.since(now).max(now.since(date)) > settings.clock_skew {
        return Err(refused("X-Sdk-Date is too far from the time of the platform"));
    }
    let (key, caller) = platform.access_key(&authorization.access_key).await?;
    authorization.verify(&request, &key.secret)?;
    Ok(caller)
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

fn refused(why: &'static str) -> Failure {
    Failure::new("api.unauthenticated", why)
}

impl From<SignatureError> for Failure {
    fn from(error: SignatureError) -> Self {
        Self::new("api.unauthenticated", error.to_string())
    }
}
