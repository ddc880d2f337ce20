//! The cloud half as a whole: log-ins, HTTP calls, recordings, sessions.

mod http;
mod journey;
mod lab;
mod login;
mod replay;
mod session;
