//! Users: sign up, sign in, profile; and the token of an application.
//!
//! An anonymous user is known by the id of its phone within its application; who has that id is
//! that user, as in the vendor's cloud. The platform sends no short messages and no letters, so
//! the calls around codes are refused.
//!
//! Source: GizWits §6.1.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::time::Duration;

use roadstead_core::record::RecordKind;
use roadstead_core::{Map, Secret, Value};
use serde_json::json;
use sha2::Sha256;

use super::ask::{Answer, Ask, date, needed, seconds, signature, text};
use super::fault::{Fault, fault, form};
use crate::cloud::{Application, Note, Person};

/// How long a token lives (GizWits §6.1).
const TOKEN_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Names of anonymous users begin so; nobody else may choose such a name.
const ANONYMOUS: &str = "anonymous:";
/// Fields of a profile.
const PROFILE: [&str; 6] = ["name", "gender", "birthday", "address", "lang", "remark"];
/// Longest field of a profile, bytes.
const FIELD_BYTES_MAX: usize = 512;
/// Longest id of a phone, bytes.
const PHONE_ID_MAX: usize = 256;

/// `POST /app/request_token`: an application proves itself.
pub(super) async fn request_token(ask: &Ask<'_>) -> Answer {
    use sha2::Digest as _;
    let application = ask.application().await?;
    let given = ask.http.header("x-gizwits-application-auth").ok_or(fault(9038))?;
    let secret = application.secret.expose_text().unwrap_or_default();
    if !signature(&[&application.id, secret]).matches(given.as_bytes()) {
        return Err(fault(9038));
    }
    // It opens nothing here: the calls that ask for it send short messages.
    let token = Sha256::digest(ask.desk.random());
    let expired_at = seconds(ask.desk.now() + TOKEN_LIFE);
    Ok((200, json!({"token": hex::encode(&token[..16]), "expired_at": expired_at})))
}

/// `POST /app/users`: anonymous by `phone_id`, by `username` or by `email`; with a token an
/// anonymous user gets a name.
pub(super) async fn sign_up(ask: &Ask<'_>) -> Answer {
    let application = ask.application().await?;
    let body = ask.body()?;
    if body.contains_key("authData") {
        return Err(Fault {
            number: 9026,
            detail: Some("accounts of third parties cannot be checked here".into()),
        });
    }
    if body.contains_key("phone") {
        return Err(no_messages());
    }
    if let Some(phone) = text(&body, "phone_id") {
        return anonymous(ask, &application, phone).await;
    }
    let (name, taken) = name_of(&body)?;
    let password = Secret::from(needed(&body, "password")?);
    if ask.http.header("x-gizwits-user-token").is_some() {
        let (_, person) = ask.person().await?;
        let person = give_name(ask, &person, name, &password, taken).await?;
        return signed_in(ask, &person, 201).await;
    }
    let person = ask.desk.sign_up(&application.space, name, Some(&password)).await;
    let person = person.map_err(|code| unavailable(code, taken))?;
    signed_in(ask, &person, 201).await
}

/// `POST /app/login`.
pub(super) async fn sign_in(ask: &Ask<'_>) -> Answer {
    let application = ask.application().await?;
    let body = ask.body()?;
    let name = needed(&body, "username")?;
    let password = Secret::from(needed(&body, "password")?);
    if name.starts_with(ANONYMOUS) {
        return Err(fault(9020));
    }
    let person = ask.desk.sign_in(name, &password).await?;
    if person.space != application.space {
        return Err(fault(9020));
    }
    signed_in(ask, &person, 200).await
}

/// `GET /app/users`.
pub(super) async fn profile(ask: &Ask<'_>) -> Answer {
    let (_, person) = ask.person().await?;
    let kept = ask.desk.note(RecordKind::Profile, person.user.as_str()).await?;
    let mut shown = kept.map(|note| note.body).unwrap_or_default();
    let is_anonymous = person.name.starts_with(ANONYMOUS);
    for key in PROFILE {
        shown.entry(key).or_insert(Value::Null);
    }
    let is_email = person.name.contains('@');
    let named = |here: bool| match here && !is_anonymous {
        true => Value::from(&*person.name),
        false => Value::Null,
    };
    shown.insert("uid".into(), person.user.as_str().into());
    shown.insert("username".into(), named(!is_email));
    shown.insert("email".into(), named(is_email));
    shown.insert("phone".into(), Value::Null);
    shown.insert("is_anonymous".into(), is_anonymous.into());
    Ok((200, Value::Object(shown)))
}

/// `PUT /app/users`: profile, password, or the name of an anonymous user.
pub(super) async fn change(ask: &Ask<'_>) -> Answer {
    let (application, person) = ask.person().await?;
    let body = ask.body()?;
    if body.contains_key("phone") || body.contains_key("code") {
        return Err(no_messages());
    }
    if body.contains_key("username") || body.contains_key("email") {
        let (name, taken) = name_of(&body)?;
        let password = Secret::from(needed(&body, "password")?);
        give_name(ask, &person, name, &password, taken).await?;
    } else if let Some(new) = text(&body, "new_pwd") {
        let old = Secret::from(needed(&body, "old_pwd")?);
        ask.desk.sign_in(&person.name, &old).await?;
        let changed = ask.desk.change_person(&person, None, Some(&Secret::from(new))).await;
        changed.map_err(|code| unavailable(code, 9019))?;
    }
    let fields = body.into_iter().filter(|(key, _)| PROFILE.contains(&&**key));
    let fields: Map<String, Value> = fields.collect();
    if fields.values().any(|value| value.to_string().len() > FIELD_BYTES_MAX) {
        return Err(form(&format!("a field has at most {FIELD_BYTES_MAX} bytes")));
    }
    if !fields.is_empty() {
        let kind = RecordKind::Profile;
        let id: Box<str> = person.user.as_str().into();
        let kept = ask.desk.note(kind, &id).await?;
        let mut body = kept.map(|note| note.body).unwrap_or_default();
        body.extend(fields);
        let (user, since) = (Some(person.user), ask.desk.now());
        ask.desk
            .keep(&application.space, Note { kind, id, user, device: None, body, since })
            .await?;
    }
    Ok((200, json!({"updatedAt": date(ask.desk.now())})))
}

/// `POST /app/sms_code`, `/app/verify/codes`, `/app/reset_password`.
pub(super) async fn message(ask: &Ask<'_>) -> Answer {
    ask.application().await?;
    Err(no_messages())
}

fn no_messages() -> Fault {
    let detail = "no short messages and letters are sent here; an operator sets a password anew";
    Fault { number: 9037, detail: Some(detail.into()) }
}

/// Returns the user of a phone, made at the first call.
async fn anonymous(ask: &Ask<'_>, application: &Application, phone: &str) -> Answer {
    use sha2::Digest as _;
    if phone.len() > PHONE_ID_MAX {
        return Err(form(&format!("phone_id: at most {PHONE_ID_MAX} bytes")));
    }
    let digest = Sha256::new().chain_update(&*application.id).chain_update([0]);
    let digest = hex::encode(digest.chain_update(phone).finalize());
    let name = format!("{ANONYMOUS}{}", &digest[..32]);
    // The phone keeps its user when that has got a name since.
    let kind = RecordKind::Profile;
    let link = format!("{ANONYMOUS}{digest}");
    let linked = ask.desk.note(kind, &link).await?.and_then(|note| note.user);
    let known = linked.as_ref().map_or(&*name, |user| user.as_str());
    if let Some(person) = ask.desk.person(&application.space, known).await? {
        return signed_in(ask, &person, 201).await;
    }
    let person = match ask.desk.sign_up(&application.space, &name, None).await {
        Ok(person) => person,
        // Two calls at the same time.
        Err("user.exists") => {
            ask.desk.person(&application.space, &name).await?.ok_or(fault(9008))?
        }
        Err(code) => return Err(code.into()),
    };
    let note = Note {
        kind,
        id: link.into(),
        user: Some(person.user.clone()),
        device: None,
        body: Map::new(),
        since: ask.desk.now(),
    };
    ask.desk.keep(&application.space, note).await?;
    signed_in(ask, &person, 201).await
}

/// Returns the name to sign in with, and the number that says it is taken.
fn name_of(body: &Map<String, Value>) -> Result<(&str, u32), Fault> {
    let (name, taken) = match (text(body, "username"), text(body, "email")) {
        (Some(name), _) => (name, 9019),
        (None, Some(email)) if email.contains('@') => (email, 9022),
        (None, Some(_)) => return Err(form("email: has no `@`")),
        (None, None) => return Err(form("phone_id, username or email: missing")),
    };
    match name.starts_with(ANONYMOUS) {
        true => Err(form("username: not allowed")),
        false => Ok((name, taken)),
    }
}

/// An anonymous user gets a name and a password.
async fn give_name(
    ask: &Ask<'_>,
    person: &Person,
    name: &str,
    password: &Secret,
    taken: u32,
) -> Result<Person, Fault> {
    if !person.name.starts_with(ANONYMOUS) {
        return Err(Fault { number: 9026, detail: Some("the user has a name already".into()) });
    }
    let changed = ask.desk.change_person(person, Some(name), Some(password)).await;
    changed.map_err(|code| unavailable(code, taken))?;
    Ok(Person { name: name.into(), ..person.clone() })
}

/// A name that is taken, or a password that breaks the rules, refuses the form.
fn unavailable(code: roadstead_core::Code, taken: u32) -> Fault {
    match code {
        "user.exists" => fault(taken),
        "user.bad_password" => form("password: 8 to 256 bytes"),
        code => code.into(),
    }
}

async fn signed_in(ask: &Ask<'_>, person: &Person, status: u16) -> Answer {
    let (token, expires_at) = ask.desk.grant(person, TOKEN_LIFE).await?;
    let answer = json!({
        "uid": person.user.as_str(),
        "token": token.expose_text().unwrap_or_default().to_string(),
        "expire_at": seconds(expires_at),
    });
    Ok((status, answer))
}
