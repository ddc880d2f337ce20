//! What the device sends: identity, error records, progress.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use roadstead_core::Value;

use super::Protocol;
use super::json::{Object, print};
use super::record::RecordText;

/// A message of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// `cmdType` 2: who it is; the answer to a good command.
    Identity {
        /// Product id.
        product: String,
        /// Device name.
        device: String,
        /// Generation it speaks.
        protocol: Protocol,
    },
    /// `cmdType` 2 with `deviceReply`: something went wrong.
    Record {
        /// True for a left-over of an earlier attempt: report it and go on.
        previous: bool,
        /// What.
        text: RecordText,
    },
    /// `cmdType` 5: authentication facts; compiled out in all public SDKs.
    AuthInfo {
        /// Product id.
        product: String,
        /// Device name.
        device: String,
        /// Opaque request that the phone passes on.
        request: String,
    },
    /// `cmdType` 7: how far the binding is; protocol 3.0.
    Progress {
        /// Product id.
        product: String,
        /// Device name.
        device: String,
        /// How far.
        state: Progress,
    },
}

/// `wifiConfigState` of protocol 3.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// 0: joining the network.
    Joining,
    /// 1: connecting to the platform.
    Connecting,
    /// 2: the platform was not reached.
    ConnectFailed,
    /// 3: the token is being reported.
    Reporting,
    /// 4: no acknowledgement or no answer came.
    ReportFailed,
    /// 5: the platform answered; that may have been a refusal.
    Reported,
}

impl Progress {
    /// Every state, by number.
    pub const ALL: [Self; 6] = [
        Self::Joining,
        Self::Connecting,
        Self::ConnectFailed,
        Self::Reporting,
        Self::ReportFailed,
        Self::Reported,
    ];
}

/// Why a datagram is no message of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not a JSON object with a known `cmdType`.
    #[error("not a message of a device")]
    Malformed,
    /// A member is missing or has a wrong type.
    #[error("a field is missing")]
    MissingField,
}

impl Message {
    /// Reads a datagram as a phone does.
    ///
    /// # Errors
    ///
    /// [`MessageError`]; the phone ignores the datagram.
    pub fn parse(datagram: &[u8]) -> Result<Self, MessageError> {
        let object = Object::parse(datagram).ok_or(MessageError::Malformed)?;
        match object.integer("cmdType") {
            Some(2) => match object.text("deviceReply") {
                Some(reply) => Ok(Self::Record {
                    previous: reply == PREVIOUS,
                    text: RecordText::parse(&object.text_or_empty("log")),
                }),
                None => identity(&object),
            },
            Some(5) => Ok(Self::AuthInfo {
                product: required(&object, "pid")?,
                device: required(&object, "dsn")?,
                request: object.text_or_empty("authReqInfo"),
            }),
            Some(7) => progress(&object),
            _ => Err(MessageError::Malformed),
        }
    }

    /// Writes the datagram: records compact with CR LF, everything else as `cJSON_Print` does.
    /// `protocol` is the sender's generation.
    pub fn emit(&self, protocol: Protocol) -> Vec<u8> {
        let text = match self {
            Self::Identity { product, device, protocol } => print(&[
                ("cmdType", Value::from(2)),
                ("productId", Value::from(product.as_str())),
                ("deviceName", Value::from(device.as_str())),
                ("protoVersion", Value::from(protocol.text())),
            ]),
            Self::Record { previous, text } => alloc::format!(
                "{{\"cmdType\":2,\"deviceReply\":\"{}\",\"log\":{}}}\r\n",
                if *previous { PREVIOUS } else { CURRENT },
                Value::from(text.to_string())
            ),
            Self::AuthInfo { product, device, request } => print(&[
                ("cmdType", Value::from(5)),
                ("pid", Value::from(product.as_str())),
                ("dsn", Value::from(device.as_str())),
                ("authReqInfo", Value::from(request.as_str())),
            ]),
            // UNVERIFIED: pretty-printed like the identity; no recording of this message exists.
            Self::Progress { product, device, state } => print(&[
                ("cmdType", Value::from(7)),
                ("productId", Value::from(product.as_str())),
                ("deviceName", Value::from(device.as_str())),
                ("protoVersion", Value::from(protocol.text())),
                ("wifiConfigState", Value::from(*state as u8)),
            ]),
        };
        text.into_bytes()
    }
}

const CURRENT: &str = "Current_Error";
const PREVIOUS: &str = "Previous_Error";

fn identity(object: &Object) -> Result<Message, MessageError> {
    let version = object.text("protoVersion").ok_or(MessageError::MissingField)?;
    Ok(Message::Identity {
        product: required(object, "productId")?,
        device: required(object, "deviceName")?,
        protocol: Protocol::parse(version).ok_or(MessageError::MissingField)?,
    })
}

fn progress(object: &Object) -> Result<Message, MessageError> {
    let state = object.integer("wifiConfigState").and_then(|n| usize::try_from(n).ok());
    let state = state.and_then(|n| Progress::ALL.get(n)).ok_or(MessageError::MissingField)?;
    Ok(Message::Progress {
        product: required(object, "productId")?,
        device: required(object, "deviceName")?,
        state: *state,
    })
}

fn required(object: &Object, key: &str) -> Result<String, MessageError> {
    object.text(key).map(ToString::to_string).ok_or(MessageError::MissingField)
}
