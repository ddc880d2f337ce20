//! The open API and what stays open beside it: phone applications and enterprise programs.
//!
//! | call | file |
//! |---|---|
//! | users, log-in, tokens | `account` |
//! | bindings, guests | `binding` |
//! | devices, values, control, fresh devices | `device` |
//! | sharing | `sharing` |
//! | WebSocket | `socket` |
//! | push line | `push` |
//!
//! `ask` has the checks that every call begins with, `values` how attributes are written, `fault`
//! the numbers of refusals. The schema of a product (`GET /app/datapoint`) is with the calls of
//! modules, which need no user for it.
//!
//! Not here: schedules, groups, messages, aggregates; they are answered with 404.
//!
//! Source: GizWits §6.1, §6.5, §6.6.

mod account;
mod ask;
mod binding;
mod device;
mod fault;
mod message;
mod push;
mod sharing;
mod socket;
mod values;
mod view;

use alloc::boxed::Box;
use alloc::string::ToString as _;

use roadstead_core::Code;

use self::ask::{Answer, Ask};
use crate::cloud::{Answering, Desk, HttpRequest, HttpResponse, Live, News};
use crate::gizwits::http::Form;
use crate::gizwits::settings::Settings;

/// A call that is known, with what its path names.
enum Call<'a> {
    RequestToken,
    SignUp,
    Profile,
    ChangeUser,
    SignIn,
    Message,
    BindMac,
    BindLatest,
    Bindings,
    BindPasscode,
    EndBindings,
    NameBinding(&'a str),
    Guests(&'a str),
    RemoveGuest(&'a str),
    Device(&'a str),
    Log(&'a str),
    Latest(&'a str),
    Control(&'a str),
    Registered,
    Sharings,
    Share,
    AnswerSharing(&'a str),
    TakeBack(&'a str),
}

impl<'a> Call<'a> {
    /// Recognises a call by method and path.
    fn of(method: &str, path: &'a str) -> Option<Self> {
        let mut parts = path.strip_prefix("/app/")?.split('/');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
        Some(match (method, parts) {
            ("POST", [Some("request_token"), None, ..]) => Self::RequestToken,
            ("POST", [Some("users"), None, ..]) => Self::SignUp,
            ("GET", [Some("users"), None, ..]) => Self::Profile,
            ("PUT", [Some("users"), None, ..]) => Self::ChangeUser,
            ("POST", [Some("login"), None, ..]) => Self::SignIn,
            ("POST", [Some("reset_password" | "sms_code"), None, ..])
            | (_, [Some("verify"), Some("codes"), None, _]) => Self::Message,
            ("POST", [Some("bind_mac"), None, ..]) => Self::BindMac,
            ("POST", [Some("bind_latest"), None, ..]) => Self::BindLatest,
            ("GET", [Some("bindings"), None, ..]) => Self::Bindings,
            ("POST", [Some("bindings"), None, ..]) => Self::BindPasscode,
            ("DELETE", [Some("bindings"), None, ..]) => Self::EndBindings,
            ("PUT", [Some("bindings"), Some(did), None, _]) => Self::NameBinding(did),
            ("GET", [Some("devices"), Some(did), None, _]) => Self::Device(did),
            ("GET", [Some("devices"), Some(did), Some("raw_data"), None]) => Self::Log(did),
            ("GET", [Some("devdata"), Some(did), Some("latest"), None]) => Self::Latest(did),
            ("POST", [Some("control"), Some(did), None, _]) => Self::Control(did),
            ("GET", [Some("device_register"), None, ..]) => Self::Registered,
            ("GET", [Some("sharing"), None, ..]) => Self::Sharings,
            ("POST", [Some("sharing"), None, ..]) => Self::Share,
            ("PUT", [Some("sharing"), Some(id), None, _]) => Self::AnswerSharing(id),
            ("DELETE", [Some("sharing"), Some(id), None, _]) => Self::TakeBack(id),
            ("GET", [Some(did), Some("bindings"), None, _]) => Self::Guests(did),
            ("DELETE", [Some(did), Some("bindings"), None, _]) => Self::RemoveGuest(did),
            _ => return None,
        })
    }

    async fn answer(self, ask: &Ask<'_>) -> Answer {
        match self {
            Self::RequestToken => account::request_token(ask).await,
            Self::SignUp => account::sign_up(ask).await,
            Self::Profile => account::profile(ask).await,
            Self::ChangeUser => account::change(ask).await,
            Self::SignIn => account::sign_in(ask).await,
            Self::Message => account::message(ask).await,
            Self::BindMac => binding::bind_mac(ask).await,
            Self::BindLatest => binding::bind_latest(ask).await,
            Self::Bindings => binding::list(ask).await,
            Self::BindPasscode => binding::bind_passcode(ask).await,
            Self::EndBindings => binding::end(ask).await,
            Self::NameBinding(did) => binding::name(ask, did).await,
            Self::Guests(did) => binding::guests(ask, did).await,
            Self::RemoveGuest(did) => binding::remove_guest(ask, did).await,
            Self::Device(did) => device::show(ask, did).await,
            Self::Log(did) => device::log(ask, did).await,
            Self::Latest(did) => device::latest(ask, did).await,
            Self::Control(did) => device::control(ask, did).await,
            Self::Registered => device::registered(ask).await,
            Self::Sharings => sharing::list(ask).await,
            Self::Share => sharing::offer(ask).await,
            Self::AnswerSharing(id) => sharing::answer(ask, id).await,
            Self::TakeBack(id) => sharing::take_back(ask, id).await,
        }
    }
}

/// Opens the WebSocket of a phone at its path.
pub(super) fn live(path: &str) -> Option<Box<dyn Live>> {
    (path == socket::PATH).then(|| Box::new(socket::Socket::new()) as Box<dyn Live>)
}

/// Opens the push line of an enterprise.
pub(super) fn push() -> Box<dyn Live> {
    Box::new(push::Line::default())
}

/// Returns the name of an event.
pub(super) fn kind_of(news: &News) -> &'static str {
    push::kind_of(news)
}

/// Recognises a call and answers it.
pub(super) fn answer<'a>(
    http: HttpRequest<'a>,
    desk: &'a dyn Desk,
    settings: &'a Settings,
) -> Option<Answering<'a, HttpResponse>> {
    let call = Call::of(http.method, http.path)?;
    let query = Form::parse(http.query.as_bytes());
    Some(Box::pin(async move {
        let ask = Ask { http, desk, settings, query };
        match call.answer(&ask).await {
            Ok((status, body)) => HttpResponse::json(status, OK, body.to_string()),
            Err(fault) => fault.respond(),
        }
    }))
}

/// What the trace says of a call that was performed.
const OK: Code = "ok";

#[cfg(test)]
mod tests {
    use super::Call;

    #[test]
    fn calls_are_known_by_method_and_path() {
        for (method, path) in [
            ("POST", "/app/request_token"),
            ("GET", "/app/verify/codes"),
            ("DELETE", "/app/bindings"),
            ("PUT", "/app/bindings/D"),
            ("GET", "/app/D/bindings"),
            ("GET", "/app/devices/D/raw_data"),
            ("GET", "/app/devdata/D/latest"),
            ("POST", "/app/control/D"),
            ("PUT", "/app/sharing/1"),
        ] {
            assert!(Call::of(method, path).is_some(), "{method} {path}");
        }
        for (method, path) in [
            ("GET", "/app/control/D"),
            ("GET", "/app/datapoint"),
            ("POST", "/app/v1/users"),
            ("GET", "/app/devices"),
            ("GET", "/app/devices/D/scheduler"),
            ("POST", "/app/bind_mac/x"),
            ("POST", "/dev/devices"),
            ("GET", "/app/"),
        ] {
            assert!(Call::of(method, path).is_none(), "{method} {path}");
        }
    }
}
