//! Why the platform did not do what an API asked for.

use roadstead_core::Code;
use roadstead_core::binding::BindError;
use roadstead_core::command::CommandError;
use roadstead_core::port::StoreError;
use roadstead_core::search::SearchError;
use roadstead_dialects::Problem;

use super::IssueError;
use super::password::Busy;

/// Why a call of a service failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such device for the caller.
    #[error("device `{0}` does not exist")]
    UnknownDevice(Box<str>),
    /// There is no such object for the caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A device of this name exists.
    #[error("device `{0}` exists already")]
    DeviceExists(Box<str>),
    /// A message of this id exists.
    #[error("message `{0}` exists already")]
    MessageExists(Box<str>),
    /// A gateway still has sub-devices.
    #[error("device `{0}` still has sub-devices")]
    HasChildren(Box<str>),
    /// An object of this name exists or is in use.
    #[error("{0}")]
    Conflict(String),
    /// A configured quota is reached; the text names it.
    #[error("{0}")]
    Quota(String),
    /// The request names the field and the rule that it breaks.
    #[error("{0}")]
    Invalid(String),
    /// A vendor's rule is broken.
    #[error(transparent)]
    Rule(#[from] Problem),
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// Token, key or sign-in is not valid.
    #[error("not signed in")]
    Unauthenticated,
    /// User name or password is wrong, or the password breaks the rules.
    #[error("{0}")]
    Password(&'static str),
    /// A user of this name exists.
    #[error("user `{0}` exists already")]
    UserExists(Box<str>),
    /// Too many wrong passwords.
    #[error("too many wrong passwords; wait a minute")]
    TooManyFailures,
    /// Too many passwords wait to be checked.
    #[error("too many sign-ins at the same time; try again")]
    Overloaded,
    /// Nobody may sign up.
    #[error("signing up is switched off")]
    SignUpOff,
    /// A search cannot be read.
    #[error("{0}")]
    Search(SearchError),
    /// Binding was refused.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The device did not do it.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// No certificate was made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The store refused or failed.
    #[error("keeping or reading the data")]
    Store(#[from] StoreError),
}

impl Error {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownDevice(_) => "device.unknown",
            Self::NotFound(_) => "api.not_found",
            Self::DeviceExists(_) => "device.exists",
            Self::MessageExists(_) => "message.exists",
            Self::HasChildren(_) => "device.has_children",
            Self::Conflict(_) => "api.conflict",
            Self::Quota(_) => "api.quota",
            Self::Invalid(_) => "api.bad_request",
            Self::Rule(problem) => problem.code,
            Self::Forbidden => "api.forbidden",
            Self::Unauthenticated => "api.unauthenticated",
            Self::Password(_) => "user.bad_password",
            Self::UserExists(_) => "user.exists",
            Self::TooManyFailures => "user.too_many_failures",
            Self::Overloaded => "internal.overload",
            Self::SignUpOff => "user.sign_up_off",
            Self::Search(error) => error.code(),
            Self::Bind(error) => error.code(),
            Self::Command(error) => error.code(),
            Self::Issue(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl From<Busy> for Error {
    fn from(_: Busy) -> Self {
        Self::Overloaded
    }
}
