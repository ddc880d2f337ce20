//! Messages: create, list, delete, and the worker that delivers them in order.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Downlink, Envelope};
use roadstead_core::limit::{
    COMMAND_DEADLINE, ID_BYTES_MAX, MESSAGE_LIFE_MAX, MESSAGE_LIFE_STEP, NAME_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
};
use roadstead_core::message::{Encoding, Format, Input, Message, Properties, Status, Target};
use roadstead_core::port::{Listing, Page, StoreError};
use roadstead_core::{DeviceId, MessageId, SpaceId, Timestamp, Value};

use super::{DUE_MAX, Error, Key, Lane, Platform, SUBSCRIBE_GRACE};
use crate::config::Full;

/// Name of its hops in the trace.
const WHAT: &str = "message";
/// Longest id that an application gives a message, bytes (Huawei §9.4).
const MESSAGE_ID_BYTES_MAX: usize = 100;
/// Properties of one message that the customer names (Huawei §9.4).
const USER_PROPERTIES_MAX: usize = 20;

/// A message to create.
#[derive(Clone, Debug, Default)]
pub struct NewMessage {
    /// Its id, unique per device; made when absent.
    pub id: Option<String>,
    /// Name that the application gives it.
    pub name: Option<String>,
    /// Text, or a JSON object.
    pub content: Value,
    /// How the content is written.
    pub encoding: Encoding,
    /// What the device gets.
    pub format: Format,
    /// Where it goes.
    pub target: Target,
    /// What goes beside it.
    pub properties: Option<Properties>,
    /// How long it is kept; absent means as long as possible.
    pub ttl: Option<Duration>,
}

impl Platform {
    /// Keeps a message for a device and delivers it when the device can take it. The answer is
    /// the message as it stands a moment later.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.bad_request`, `message.exists`, `api.quota` when too many wait,
    /// `command.too_large`.
    pub async fn create_message(
        self: &Arc<Self>,
        space: &SpaceId,
        device: &DeviceId,
        new: NewMessage,
    ) -> Result<Message, Error> {
        let account = self.account_in(space, device).await?;
        let message = self.checked_message(device, new).inspect_err(|error| {
            self.note_step(device, WHAT, error.code(), &error.to_string());
        })?;
        let pending_max = self.config.downlink.messages_pending_max;
        let key: Key = (device.clone(), Lane::Messages);
        let id = message.id.clone();
        let watcher = self.outbox.watch(&key, id.as_str());
        self.outbox.awaited.lock().insert(device.clone());
        let mut kept = self.store.create_message(message.clone(), pending_max).await;
        if matches!(kept, Err(StoreError::Limit(_)))
            && self.config.downlink.messages_full == Full::DropOldest
        {
            self.drop_oldest_message(device).await?;
            kept = self.store.create_message(message, pending_max).await;
        }
        if let Err(error) = kept {
            self.outbox.tell(&key, id.as_str());
            let error = match error == StoreError::Exists {
                true => Error::MessageExists(id.as_str().into()),
                false => error.into(),
            };
            self.note_step(device, WHAT, error.code(), &format!("{id}: {error}"));
            return Err(error);
        }
        self.poke(device, Lane::Messages);
        if self.link_of(&account).await?.is_some() {
            self.first_news(watcher, &key, id.as_str()).await;
        } else {
            self.outbox.tell(&key, id.as_str());
        }
        self.message(space, device, &id).await
    }

    /// Ends the message that has waited longest, to make room for a newer one.
    async fn drop_oldest_message(&self, device: &DeviceId) -> Result<(), Error> {
        let Some(oldest) = self.store.waiting_messages(device).await?.into_iter().next() else {
            return Ok(());
        };
        let (code, text) = ("message.displaced", "a newer message took its place");
        let (input, now) = (Input::Failed(code.into(), text.into()), self.clock.now());
        self.store.step_message(device, &oldest.id, input, now).await?;
        self.note_step(device, WHAT, code, &format!("{}: {text}", oldest.id));
        self.outbox.tell(&(device.clone(), Lane::Messages), oldest.id.as_str());
        Ok(())
    }

    fn checked_message(&self, device: &DeviceId, new: NewMessage) -> Result<Message, Error> {
        let NewMessage { id, name, content, encoding, format, target, properties, ttl } = new;
        if let Some(id) = &id {
            let fits = (1..=MESSAGE_ID_BYTES_MAX).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            if !fits {
                return Err(Error::Invalid(format!(
                    "message_id: 1 to {MESSAGE_ID_BYTES_MAX} letters, digits, `_` and `-`"
                )));
            }
        }
        if name.as_ref().is_some_and(|name| name.chars().count() > ID_BYTES_MAX) {
            return Err(Error::Invalid(format!("name: at most {ID_BYTES_MAX} characters")));
        }
        if !matches!(content, Value::String(_) | Value::Object(_)) {
            return Err(Error::Invalid("message: a text or a JSON object".into()));
        }
        check_target(&target)?;
        check_properties(properties.as_ref())?;
        let ttl_s = life(ttl)?;
        let now = self.clock.now();
        let id = id.unwrap_or_else(|| self.random.id());
        let message = Message {
            id: id.as_str().into(),
            device: device.clone(),
            name: name.map(Into::into),
            content,
            encoding,
            format,
            target,
            properties,
            ttl_s,
            status: Status::Pending,
            error: None,
            created_at: now,
            finished_at: None,
            // One that is not to be kept gets the time of one delivery.
            due_at: Some(now + Duration::from_secs(ttl_s.into()).max(COMMAND_DEADLINE)),
        };
        let Some(payload) = message.payload(|text| BASE64.decode(text).ok()) else {
            return Err(Error::Invalid("message: not Base64, though `encoding` says so".into()));
        };
        if payload.len() > PAYLOAD_BYTES_MAX {
            let (size, limit) = (payload.len(), PAYLOAD_BYTES_MAX);
            return Err(CommandError::TooLarge { size, limit }.into());
        }
        Ok(message)
    }

    /// Returns a message of a device of the space.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.not_found`.
    pub async fn message(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        id: &MessageId,
    ) -> Result<Message, Error> {
        self.device_in(space, device).await?;
        self.store.message(device, id).await?.ok_or(Error::NotFound("message"))
    }

    /// Lists messages of a device of the space, newest first.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn messages(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        page: &Page,
    ) -> Result<Listing<Message>, Error> {
        self.device_in(space, device).await?;
        Ok(self.store.messages(device, page).await?)
    }

    /// Forgets a message; one that waits is not delivered any more.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.not_found`.
    pub async fn delete_message(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        id: &MessageId,
    ) -> Result<(), Error> {
        self.device_in(space, device).await?;
        match self.store.delete_message(device, id).await {
            Err(StoreError::Missing) => Err(Error::NotFound("message")),
            deleted => {
                deleted?;
                self.note_step(device, WHAT, "ok", &format!("{id}: deleted"));
                Ok(())
            }
        }
    }

    pub(super) async fn sweep_messages(&self, now: Timestamp) -> Result<(), Error> {
        for message in self.store.due_messages(now, DUE_MAX).await? {
            self.noted_message(&message);
        }
        Ok(())
    }

    /// Delivers what waits for a device, oldest first; stops at the first that must wait.
    pub(super) async fn work_messages(&self, device: &DeviceId) -> Result<(), Error> {
        let Some(known) = self.store.device(device).await? else { return Ok(()) };
        loop {
            let waiting = self.store.waiting_messages(device).await?;
            if waiting.is_empty() {
                return self.look_whether_awaited(device).await;
            }
            let account = self.account_in(&known.space, device).await?;
            if self.link_of(&account).await?.is_none() {
                return self.stay_behind(device, &waiting).await;
            }
            for message in waiting {
                // The sweep or a deletion may have been faster than the messages before it.
                let current = self.store.message(device, &message.id).await?;
                if current.is_none_or(|current| current.status != Status::Pending) {
                    continue;
                }
                if !self.deliver(&known.space, &message).await? {
                    return Ok(());
                }
            }
        }
    }

    /// The device is away: what is not to be kept is given up.
    async fn stay_behind(&self, device: &DeviceId, waiting: &[Message]) -> Result<(), Error> {
        for message in waiting.iter().filter(|message| message.ttl_s == 0) {
            let now = self.clock.now();
            match self.store.step_message(device, &message.id, Input::Away, now).await {
                Ok((message, true)) => self.noted_message(&message),
                Ok((_, false)) | Err(StoreError::Missing) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Delivers one message; false when it and those behind it must wait.
    async fn deliver(&self, space: &SpaceId, message: &Message) -> Result<bool, Error> {
        let Message { device, id, .. } = message;
        let payload = message.payload(|text| BASE64.decode(text).ok()).unwrap_or_default();
        let envelope = (message.format == Format::Standard).then(|| {
            let (id, name) = (id.as_str().into(), message.name.clone());
            Box::new(Envelope { id, name, content: message.content.clone() })
        });
        let channel = message.target.channel();
        let properties = message.properties.clone().map(Box::new);
        let payload = payload.into();
        let request = Downlink::Message { channel, payload, envelope, properties };
        let failed =
            |error: &CommandError| Input::Failed(error.code().into(), error.to_string().into());
        let input = match self.request(space, device, request, Some(COMMAND_DEADLINE)).await {
            Ok(_) => Input::Delivered,
            Err(CommandError::Store(failure)) => {
                return Err(Error::Store(StoreError::Engine(failure)));
            }
            Err(CommandError::NotListening) if self.may_subscribe_yet(device).await? => {
                let at = self.clock.now() + SUBSCRIBE_GRACE;
                self.outbox.retry(at, (device.clone(), Lane::Messages));
                return Ok(false);
            }
            Err(CommandError::Offline | CommandError::Lost | CommandError::Timeout(_)) => {
                Input::Away
            }
            Err(CommandError::Busy) => {
                let at = self.clock.now() + super::FIRST_NEWS;
                self.outbox.retry(at, (device.clone(), Lane::Messages));
                Input::Away
            }
            Err(error) => failed(&error),
        };
        match self.store.step_message(device, id, input, self.clock.now()).await {
            Ok((message, true)) => self.noted_message(&message),
            Ok((message, false)) => return Ok(message.status != Status::Pending),
            // Deleted meanwhile.
            Err(StoreError::Missing) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    fn noted_message(&self, message: &Message) {
        let Message { device, id, .. } = message;
        let (code, why) = match &message.error {
            None => ("ok", ""),
            Some((code, text)) => (&**code, &**text),
        };
        let text = format!("{id}: {} {why}", message.status.name());
        self.note_step(device, WHAT, code, text.trim_end());
        self.outbox.tell(&(device.clone(), Lane::Messages), id.as_str());
    }
}

fn check_target(target: &Target) -> Result<(), Error> {
    let (field, topic) = match target {
        Target::Default => return Ok(()),
        Target::Topic(topic) => ("topic", topic),
        Target::TopicName(topic) => ("topic_full_name", topic),
    };
    let fits = (1..=NAME_BYTES_MAX).contains(&topic.len())
        && !topic.contains(['+', '#'])
        && !topic.chars().any(char::is_control);
    match fits {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "{field}: 1 to {NAME_BYTES_MAX} bytes without `+`, `#` and control characters"
        ))),
    }
}

fn check_properties(properties: Option<&Properties>) -> Result<(), Error> {
    let Some(properties) = properties else { return Ok(()) };
    if properties.user_properties.len() > USER_PROPERTIES_MAX {
        let rule = format!("user_properties: at most {USER_PROPERTIES_MAX}");
        return Err(Error::Invalid(rule));
    }
    let texts = properties.user_properties.iter().flat_map(|(key, value)| [key, value]);
    let texts = texts.chain(&properties.correlation_data).chain(&properties.response_topic);
    for text in texts {
        if text.len() > NAME_BYTES_MAX || text.contains('\0') {
            return Err(Error::Invalid(format!("properties: texts of {NAME_BYTES_MAX} bytes")));
        }
    }
    Ok(())
}

/// Returns the seconds that a message is kept.
fn life(ttl: Option<Duration>) -> Result<u32, Error> {
    let ttl = ttl.unwrap_or(MESSAGE_LIFE_MAX);
    let (step, most) = (MESSAGE_LIFE_STEP.as_secs(), MESSAGE_LIFE_MAX.as_secs());
    if ttl.as_secs() > most || !ttl.as_secs().is_multiple_of(step) {
        let (step, most) = (step / 60, most / 60);
        return Err(Error::Invalid(format!("ttl: a multiple of {step}, 0 to {most} minutes")));
    }
    Ok(u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX))
}
