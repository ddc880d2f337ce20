//! CoAP (RFC 7252) as LAN devices speak it: messages, and the exchange machine of both roles.
//!
//! ```text
//! datagram <-message-> Message <-endpoint-> caller (requests, responses)
//! ```
//!
//! - [`Message`]: bytes to a message and back. Reading is tolerant where real firmware is wrong
//!   and nothing is lost by it: options in any order, their numbers modulo 65536.
//! - [`Endpoint`]: acknowledgements, retransmission, duplicates, separate responses, tokens.
//!
//! Not here: DTLS, block-wise transfer (RFC 7959), observation (RFC 7641; its option is readable),
//! proxying. Resources and payloads belong to the dialects.
//!
//! Source: RFC 7252; Eclipse Californium's and libcoap's reading of it where the text is open.

mod code;
mod endpoint;
mod message;

pub use code::Code;
pub use endpoint::{Cause, Endpoint, Exchange, Key, Output, Policy, Query, Reply, Style};
pub use message::{
    Kind, MESSAGE_BYTES_MAX, Message, Opt, ParseError, TOKEN_BYTES_MAX, Token, option,
};
