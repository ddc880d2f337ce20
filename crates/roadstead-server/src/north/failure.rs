//! Failures of the HTTP APIs: one table from our codes to statuses and IoTDA codes, two shapes.
//!
//! A handler returns a [`Failure`]; [`envelope`](super::envelope) writes it in the shape of the
//! API that was called. Codes that the vendor documents keep their number and status (Huawei
//! §9.10); the others are numbers of our own in the block `IOTDA.0149xx`.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use roadstead_core::Code;
use roadstead_core::code::info;
use roadstead_core::port::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::service;

/// Why a call was not performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Stable code.
    pub(crate) code: Code,
    /// What exactly, for the caller; never a secret.
    pub(crate) message: Cow<'static, str>,
    /// True when the wrong password is the caller's own proof of who it is.
    pub(crate) sign_in: bool,
}

/// The error body of the northbound API.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NorthError {
    /// The vendor's number, `IOTDA.` and six digits.
    pub(crate) error_code: &'static str,
    /// What exactly went wrong.
    pub(crate) error_msg: Cow<'static, str>,
    /// Our stable code, see `GET /v5/iot/{project_id}/errors`.
    pub(crate) code: Code,
    /// What to do about it.
    pub(crate) remedy: &'static str,
}

/// The error body of the phone API.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppError {
    /// Our stable code.
    pub(crate) code: Code,
    /// What exactly went wrong.
    pub(crate) message: Cow<'static, str>,
    /// What to do about it.
    pub(crate) remedy: &'static str,
}

/// How a code travels over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    /// Status of the northbound API.
    status: u16,
    /// Number of the northbound API.
    pub(crate) number: &'static str,
    /// Status of the phone API.
    app_status: u16,
}

const fn row(code: Code, status: u16, number: &'static str, app_status: u16) -> (Code, Wire) {
    (code, Wire { status, number, app_status })
}

/// Every code that a call may fail with, sorted.
#[rustfmt::skip] // a table reads best in columns
static TABLE: &[(Code, Wire)] = &[
    row("api.bad_request",         400, "IOTDA.000006", 400),
    row("api.conflict",            409, "IOTDA.014902", 409),
    row("api.forbidden",           403, "IOTDA.001002", 403),
    row("api.no_credentials",      400, "IOTDA.000006", 401),
    row("api.not_found",           404, "IOTDA.014901", 404),
    row("api.quota",               403, "IOTDA.014903", 403),
    row("api.token_expired",       403, "IOTDA.014906", 401),
    row("api.too_large",           400, "IOTDA.021105", 413),
    row("api.unauthenticated",     403, "IOTDA.000004", 401),
    row("bind.already_used",       409, "IOTDA.014921", 409),
    row("bind.bound_to_other",     409, "IOTDA.014922", 409),
    row("bind.expired",            410, "IOTDA.014923", 410),
    row("bind.not_bound",          404, "IOTDA.014924", 404),
    row("bind.not_reported",       409, "IOTDA.014925", 409),
    row("bind.other_account",      403, "IOTDA.014926", 403),
    row("bind.other_device",       409, "IOTDA.014927", 409),
    row("bind.other_region",       409, "IOTDA.014930", 409),
    row("bind.other_space",        403, "IOTDA.014928", 403),
    row("bind.unknown_token",      404, "IOTDA.014929", 404),
    row("certificate.invalid",     400, "IOTDA.014951", 400),
    row("certificate.proof",       400, "IOTDA.014952", 400),
    row("command.busy",            403, "IOTDA.021101", 429),
    row("command.expired",         409, "IOTDA.014916", 409),
    row("command.lost",            409, "IOTDA.014911", 409),
    row("command.model",           400, "IOTDA.014912", 400),
    row("command.no_ack",          409, "IOTDA.014917", 409),
    row("command.no_answer",       409, "IOTDA.014918", 409),
    row("command.not_listening",   400, "IOTDA.014112", 409),
    row("command.offline",         404, "IOTDA.014016", 409),
    row("command.refused",         409, "IOTDA.014919", 409),
    // Trap T24: a synchronous request that nobody answered is a success with an error in it.
    row("command.timeout",         200, "IOTDA.014111", 504),
    row("command.too_large",       400, "IOTDA.014913", 400),
    row("command.unsupported",     400, "IOTDA.014914", 400),
    row("device.exists",           400, "IOTDA.014031", 409),
    row("device.has_children",     400, "IOTDA.014961", 409),
    row("device.unknown",          404, "IOTDA.014000", 404),
    row("http.method",             405, "IOTDA.014905", 405),
    row("http.not_found",          404, "IOTDA.014904", 404),
    row("import.bad_model",        400, "IOTDA.014931", 400),
    row("import.bad_name",         400, "IOTDA.014935", 400),
    row("import.bad_row",          400, "IOTDA.014932", 400),
    row("import.conflict",         409, "IOTDA.014933", 409),
    row("import.foreign_file",     400, "IOTDA.014936", 400),
    row("import.has_codec",        400, "IOTDA.014937", 400),
    row("import.model_exists",     409, "IOTDA.014938", 409),
    row("import.not_archive",      400, "IOTDA.014939", 400),
    row("import.unreadable",       400, "IOTDA.014934", 400),
    row("internal.overload",       503, "IOTDA.014991", 503),
    row("internal.store",          500, "IOTDA.014990", 500),
    row("message.displaced",       409, "IOTDA.014973", 409),
    row("message.exists",          409, "IOTDA.014971", 409),
    row("message.timeout",         409, "IOTDA.014972", 409),
    row("model.violation",         400, "IOTDA.014915", 400),
    row("search.syntax",           400, "IOTDA.014962", 400),
    row("search.too_broad",        400, "IOTDA.014963", 400),
    row("user.bad_password",       400, "IOTDA.014941", 400),
    row("user.exists",             409, "IOTDA.014942", 409),
    row("user.sign_up_off",        403, "IOTDA.014943", 403),
    row("user.too_many_failures",  429, "IOTDA.021102", 429),
];

/// For codes that no call fails with by itself but that a cause may carry.
const OTHER: Wire = Wire { status: 500, number: "IOTDA.014999", app_status: 500 };

/// Returns how a code travels over HTTP.
pub(crate) fn wire(code: &str) -> Wire {
    match TABLE.binary_search_by(|(known, _)| known.cmp(&code)) {
        Ok(n) => TABLE[n].1,
        Err(_) => OTHER,
    }
}

impl Failure {
    /// Returns a failure.
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), sign_in: false }
    }

    /// A field that is missing or wrong.
    pub(crate) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("api.bad_request", message)
    }

    /// No such object for this caller.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::new("api.not_found", format!("there is no {what} `{id}`"))
    }

    /// Role or space do not allow it. The first sentence is the vendor's; applications search for
    /// it (Huawei §9.10).
    pub(crate) fn forbidden(why: &str) -> Self {
        let text = "Operation not allowed. The user does not have the permission";
        Self::new("api.forbidden", format!("{text}: {why}"))
    }

    /// The same as the answer to a sign-in: a wrong password is then 401.
    pub(crate) fn at_sign_in(self) -> Self {
        Self { sign_in: self.code == "user.bad_password", ..self }
    }

    /// Returns the status of the API that was called.
    pub(crate) fn status(&self, of_app: bool) -> StatusCode {
        let wire = wire(self.code);
        let status = match (self.sign_in, of_app) {
            (true, _) => 401,
            (false, true) => wire.app_status,
            (false, false) => wire.status,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the body of the northbound API.
    pub(crate) fn north(self) -> NorthError {
        let remedy = remedy(self.code);
        let number = wire(self.code).number;
        NorthError { error_code: number, error_msg: self.message, code: self.code, remedy }
    }

    /// Returns the body of the phone API.
    pub(crate) fn app(self) -> AppError {
        AppError { code: self.code, message: self.message, remedy: remedy(self.code) }
    }
}

/// Returns what to do about a code.
pub(crate) fn remedy(code: &str) -> &'static str {
    info(code).map_or("", |info| info.remedy)
}

/// The body is written by the envelope, which knows the API that was called.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status(false).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<service::Error> for Failure {
    fn from(error: service::Error) -> Self {
        if let service::Error::Store(cause) = error {
            return cause.into();
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<roadstead_dialects::Problem> for Failure {
    fn from(problem: roadstead_dialects::Problem) -> Self {
        Self::new(problem.code, problem.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if let StoreError::Engine(cause) = &error {
            // The cause is the operator's; the caller learns only that it is not its fault.
            tracing::error!(code = error.code(), %cause, "a call failed");
        }
        Self::new(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_code_is_documented() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
        let mut numbers: Vec<_> = TABLE.iter().map(|(_, wire)| wire.number).collect();
        numbers.sort_unstable();
        let twice = numbers.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        // The vendor's one number for a request that does not fit.
        assert_eq!(twice.collect::<Vec<_>>(), ["IOTDA.000006"], "a number stands for one code");
        for (code, wire) in TABLE {
            assert!(info(code).is_some(), "{code} has a remedy");
            assert!(StatusCode::from_u16(wire.status).is_ok());
            let digits = wire.number.strip_prefix("IOTDA.").expect("prefix");
            assert!(digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit()), "{code}");
        }
    }

    #[test]
    fn every_code_of_an_api_family_has_a_row() {
        for row in roadstead_core::code::ALL {
            let family = row.code.split('.').next().expect("family");
            let families =
                ["api", "bind", "command", "http", "import", "message", "search", "user"];
            if families.contains(&family) {
                assert_ne!(wire(row.code), OTHER, "{}", row.code);
            }
        }
    }

    #[test]
    fn the_vendors_numbers_are_kept() {
        for (code, status, number) in [
            ("device.unknown", 404, "IOTDA.014000"),
            ("command.offline", 404, "IOTDA.014016"),
            ("command.timeout", 200, "IOTDA.014111"),
            ("device.exists", 400, "IOTDA.014031"),
            ("session.lost", 500, "IOTDA.014999"),
        ] {
            assert_eq!((wire(code).status, wire(code).number), (status, number), "{code}");
        }
    }
}
