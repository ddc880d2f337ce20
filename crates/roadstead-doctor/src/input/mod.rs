//! From bytes to lines: encodings, line ends, control sequences, prefixes of loggers.
//!
//! Nothing here knows a vendor. Source: diagnosis model, section 2, steps 1 to 4.

mod clean;
mod line;
mod prefix;
mod split;

pub(crate) use clean::{printable, strip};
pub use line::Line;
pub(crate) use line::{PAYLOAD_MARKS, is_payload};
pub(crate) use prefix::unwrap;
pub use split::{Encoding, Splitter};
