//! Messages to devices: kept while the device is away, delivered in order, never answered.
//!
//! ```text
//! PENDING --acknowledged, or written without QoS--> DELIVERED
//! PENDING --cannot be sent; away and not to be kept--> FAILED
//! PENDING --life over--> TIMEOUT
//! ```
//!
//! A pure decision, like [`crate::command::queue`]. Source: Huawei §8.4, §9.4.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::exchange::channel;
use crate::{DeviceId, MessageId, Timestamp, Value};

/// State of a message; the names are those of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Kept, not delivered.
    Pending,
    /// The device has it.
    Delivered,
    /// It could not be sent.
    Failed,
    /// Its life was over before the device could take it.
    Timeout,
}

impl Status {
    /// Returns the name of the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Delivered => "DELIVERED",
            Self::Failed => "FAILED",
            Self::Timeout => "TIMEOUT",
        }
    }
}

/// How the content is written in the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As it is.
    #[default]
    None,
    /// Bytes as Base64 text.
    Base64,
}

/// What the device gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The vendor's document around the content, where the vendor has one.
    #[default]
    Standard,
    /// The bytes alone.
    Raw,
}

/// Which topic a message goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The topic where this vendor's devices expect messages.
    #[default]
    Default,
    /// A topic of the product's own, without the part that names the device.
    Topic(Box<str>),
    /// A whole topic name.
    TopicName(Box<str>),
}

impl Target {
    /// Returns the channel of [`crate::exchange::Downlink::Message`].
    pub fn channel(&self) -> Box<str> {
        match self {
            Self::Default => channel::DEFAULT.into(),
            Self::Topic(end) => format!("{}{end}", channel::TOPIC).into(),
            Self::TopicName(name) => format!("{}{name}", channel::TOPIC_NAME).into(),
        }
    }
}

/// What MQTT 5 carries beside the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Tells the sender which answer is whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_data: Option<Box<str>>,
    /// Where an answer is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_topic: Option<Box<str>>,
    /// Name and value, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_properties: Vec<(Box<str>, Box<str>)>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Unique per device.
    pub id: MessageId,
    /// Whose.
    pub device: DeviceId,
    /// Name that the application gave it.
    pub name: Option<Box<str>>,
    /// The content as it was given: text, or a JSON object.
    pub content: Value,
    /// How `content` is written.
    pub encoding: Encoding,
    /// What the device gets.
    pub format: Format,
    /// Where it goes.
    pub target: Target,
    /// What goes beside it.
    pub properties: Option<Properties>,
    /// How long it is kept, seconds; 0 is not at all.
    pub ttl_s: u32,
    /// Where it stands.
    pub status: Status,
    /// Stable code and text of a failure.
    pub error: Option<(Box<str>, Box<str>)>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub finished_at: Option<Timestamp>,
    /// When its life is over; `None` once it is finished.
    pub due_at: Option<Timestamp>,
}

/// Something that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The device acknowledged it, or it was written without QoS.
    Delivered,
    /// It cannot be sent: stable code and text.
    Failed(Box<str>, Box<str>),
    /// The device is away: kept, or given up when it is not to be kept.
    Away,
    /// `due_at` may have come.
    Timeout,
}

impl Message {
    /// Feeds one input at `now`; true when the message changed. A finished one never does.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> bool {
        if self.status != Status::Pending {
            return false;
        }
        match input {
            Input::Delivered => self.finish(Status::Delivered, None, now),
            Input::Failed(code, text) => self.finish(Status::Failed, Some((code, text)), now),
            Input::Away if self.ttl_s == 0 => {
                let error = ("command.offline".into(), "the device is not on line".into());
                self.finish(Status::Failed, Some(error), now)
            }
            Input::Timeout if self.due_at.is_some_and(|due| now >= due) => {
                let text = "the device did not come back in time".into();
                self.finish(Status::Timeout, Some(("message.timeout".into(), text)), now)
            }
            Input::Away | Input::Timeout => false,
        }
    }

    fn finish(
        &mut self,
        status: Status,
        error: Option<(Box<str>, Box<str>)>,
        now: Timestamp,
    ) -> bool {
        self.status = status;
        self.error = error;
        self.finished_at = Some(now);
        self.due_at = None;
        true
    }

    /// Returns the bytes of the content, before any envelope; `decode` turns Base64 into bytes.
    pub fn payload(&self, decode: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        match (&self.content, self.encoding) {
            (Value::String(text), Encoding::None) => Some(text.as_bytes().into()),
            (Value::String(text), Encoding::Base64) => decode(text),
            (document, Encoding::None) => Some(String::into_bytes(format!("{document}"))),
            (_, Encoding::Base64) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn message(ttl_s: u32) -> Message {
        Message {
            id: "m1".into(),
            device: "lamp".into(),
            name: None,
            content: json!("hello"),
            encoding: Encoding::None,
            format: Format::Standard,
            target: Target::Default,
            properties: None,
            ttl_s,
            status: Status::Pending,
            error: None,
            created_at: Timestamp(0),
            finished_at: None,
            due_at: Some(Timestamp(i64::from(ttl_s) * 1000)),
        }
    }

    #[test]
    fn a_message_waits_for_a_day_and_no_longer() {
        let mut kept = message(86_400);
        assert!(!kept.handle(Input::Away, Timestamp(5)));
        assert!(!kept.handle(Input::Timeout, Timestamp(86_399_999)));
        assert!(kept.handle(Input::Timeout, Timestamp(86_400_000)));
        assert_eq!((kept.status, kept.finished_at), (Status::Timeout, Some(Timestamp(86_400_000))));
        assert!(!kept.handle(Input::Delivered, Timestamp(86_400_001)), "too late");
    }

    #[test]
    fn a_message_without_a_life_is_not_kept() {
        let mut fleeting = message(0);
        assert!(fleeting.handle(Input::Away, Timestamp(1)));
        assert_eq!(fleeting.status, Status::Failed);
        assert_eq!(fleeting.error.expect("code").0.as_ref(), "command.offline");
        let mut delivered = message(0);
        assert!(delivered.handle(Input::Delivered, Timestamp(1)));
        assert_eq!((delivered.status, delivered.due_at), (Status::Delivered, None));
    }

    #[test]
    fn payloads_are_text_documents_or_bytes() {
        let decode = |text: &str| (text == "AP8=").then(|| alloc::vec![0, 255]);
        let mut message = message(60);
        assert_eq!(message.payload(decode).as_deref(), Some(&b"hello"[..]));
        message.content = json!({"a": 1});
        assert_eq!(message.payload(decode).as_deref(), Some(&b"{\"a\":1}"[..]));
        message.encoding = Encoding::Base64;
        assert_eq!(message.payload(decode), None, "a document is not Base64");
        message.content = json!("AP8=");
        assert_eq!(message.payload(decode).as_deref(), Some(&[0, 255][..]));
        message.content = json!("%");
        assert_eq!(message.payload(decode), None);
    }

    #[test]
    fn targets_are_channels() {
        assert_eq!(&*Target::Default.channel(), "default");
        assert_eq!(&*Target::Topic("alarm".into()).channel(), "topic/alarm");
        assert_eq!(&*Target::TopicName("a/b".into()).channel(), "topic_name/a/b");
    }

    proptest! {
        #[test]
        fn a_finished_message_never_changes(
            inputs in prop::collection::vec((0..4u8, 0..200_000_000i64), 0..12),
            ttl_s in 0..86_400u32,
        ) {
            let mut message = message(ttl_s);
            for (kind, at) in inputs {
                let input = match kind {
                    0 => Input::Delivered,
                    1 => Input::Failed("command.not_listening".into(), "".into()),
                    2 => Input::Away,
                    _ => Input::Timeout,
                };
                let before = message.clone();
                let changed = message.handle(input, Timestamp(at));
                prop_assert_eq!(changed, before != message);
                prop_assert!(!changed || before.status == Status::Pending);
                prop_assert_eq!(message.status == Status::Pending, message.due_at.is_some());
            }
        }
    }
}
