//! The cloud half as a whole: log-ins, recordings, rules.

mod login;
