//! What devices say: one effect and one answer per [`Uplink`].
//!
//! Order: for every uplink that writes, the hand-over to the store is the first thing its future
//! does, so futures that are polled once in order of arrival write in that order. Reads that must
//! see earlier writes of the device go behind them through the store's own queue.

use roadstead_core::exchange::{Answer, Occurrence, Response, Uplink, Wipe};
use roadstead_core::port::{DevicePatch, StoreError};
use roadstead_core::session::Epoch;
use roadstead_core::shadow::{Change, Values};
use roadstead_core::trace::{Entries, Entry, Hop};
use roadstead_core::{Code, Map, Timestamp, Value};
use roadstead_dialects::cloud::{Account, Happening};

use super::Platform;
use super::device::{RESERVED, setting};

/// What was left out of a report: key and what is wrong.
type Rejected = Vec<(Box<str>, Box<str>)>;

/// Facts a device may tell about itself.
const INFO_KEYS_MAX: usize = 128;
/// Largest set of facts in one message, bytes of JSON.
const INFO_BYTES_MAX: usize = 16 * 1024;
/// Log records kept of one message.
const LOGS_MAX: usize = 100;
/// Reasons named in an answer that something was left out.
const REASONS_SHOWN: usize = 4;

impl Platform {
    /// Performs what a device said.
    pub(super) async fn hear(
        &self,
        account: &Account,
        epoch: Epoch,
        source: &str,
        uplink: Uplink,
    ) -> Answer {
        let what = uplink.name();
        let answer = match uplink {
            Uplink::Report { services, rejected } => {
                self.report(account, source, services, rejected).await
            }
            Uplink::Info(info) => self.learn_info(account, source, info).await,
            Uplink::ReadShadow => self.read_shadow(account, source).await,
            Uplink::ClearDesired => {
                let all = vec![Change::ClearDesired { service: None }];
                self.change_desired_by_device(account, source, all).await
            }
            Uplink::ForgetDesired(keys) => {
                let changes = self.taken_back(keys);
                self.change_desired_by_device(account, source, changes).await
            }
            Uplink::Events(events) => self.keep_events(account, events).await,
            Uplink::Response { request, response } => {
                self.late_response(account, source, request.is_some(), &response)
            }
            Uplink::BindToken { token, stages, method, own_life } => {
                self.report_token(account, source, &token, &stages, method, own_life).await
            }
            Uplink::Unbind => self.unbind_by_device(&account.device.id, source).await,
            Uplink::Reset(wipe) => self.reset_by_device(account, source, wipe).await,
            Uplink::Asked { what: name } => {
                self.hop(account, self.clock.now(), what, "ok", &format!("{source}, {name}"));
                Answer::Done
            }
            Uplink::Time => {
                let received = self.clock.now();
                self.hop(account, received, what, "ok", source);
                Answer::Time { received, sent: self.clock.now() }
            }
            Uplink::LogLevel => {
                self.hop(account, self.clock.now(), what, "ok", source);
                Answer::LogLevel(log_level(account))
            }
            Uplink::Config => {
                self.hop(account, self.clock.now(), what, "ok", source);
                Answer::Config(setting(&account.device, "config").cloned())
            }
            Uplink::Message { channel, payload } => {
                let text = format!("{source}, {channel}, {} B", payload.len());
                let answer = self.kept(account, vec![self.entry(what, "ok", &text)]).await;
                self.spread(account, || Happening::Message { channel, payload });
                answer
            }
            Uplink::Logs(records) => self.keep_logs(account, records).await,
            Uplink::SubDevices(said) => self.sub_devices(account, epoch, source, said).await,
            Uplink::Ignored { what: name } => {
                self.hop(account, self.clock.now(), what, "ok", &format!("{source}, {name}"));
                Answer::Done
            }
            Uplink::Malformed { code, detail } => {
                self.hop(account, self.clock.now(), what, code, &format!("{source}: {detail}"));
                Answer::Refused { code, detail }
            }
        };
        self.observer.count(what, code_of(&answer));
        answer
    }

    /// The hot path: one store call with state and trace together. The dialect has applied the
    /// thing model already, with the operator's policy for keys that it does not have; judging
    /// again here would overrule that policy and pay twice.
    async fn report(
        &self,
        account: &Account,
        source: &str,
        services: Vec<(Box<str>, Values)>,
        rejected: Rejected,
    ) -> Answer {
        let now = self.clock.now();
        let detail = reasons(&rejected);
        let entry = match detail.is_empty() {
            true => Entry::new(now, Hop::Up, "report", "ok", source),
            false => {
                let text = format!("{source}: {detail}");
                Entry::new(now, Hop::Up, "report", "model.violation", &text)
            }
        };
        let nothing = services.is_empty();
        // Copied only while somebody listens.
        let heard = (!self.feed.is_idle()).then(|| services.clone());
        let changes =
            services.into_iter().map(|(service, values)| Change::Report { service, values });
        let device = &account.device.id;
        let kept = self.store.change_shadow(device, changes.collect(), Some(entry)).await;
        if let Err(error) = kept {
            return self.unkept(account, &error);
        }
        if let Some(heard) = heard.filter(|_| !nothing) {
            let values = |(service, values): (Box<str>, Values)| (service, values.properties);
            self.spread(account, || Happening::Report(heard.into_iter().map(values).collect()));
        }
        if !nothing && let Some(attempt) = self.onboarding.take_first_report(device, now) {
            self.mark_first_report(&attempt, now).await;
        }
        match (detail.is_empty(), nothing) {
            (true, _) => Answer::Done,
            (false, true) => Answer::Refused { code: "model.violation", detail: detail.into() },
            (false, false) => Answer::Partly { code: "model.violation", detail: detail.into() },
        }
    }

    pub(super) async fn learn_info(
        &self,
        account: &Account,
        source: &str,
        mut info: Map<String, Value>,
    ) -> Answer {
        info.retain(|key, _| !key.starts_with(RESERVED));
        let known = &account.device.info;
        let fresh = info.keys().filter(|key| !known.contains_key(*key)).count();
        let size = serde_json::to_vec(&info).map_or(usize::MAX, |json| json.len());
        if known.len() + fresh > INFO_KEYS_MAX || size > INFO_BYTES_MAX {
            let error = StoreError::Limit("facts about a device");
            self.hop(account, self.clock.now(), "info", error.code(), source);
            return self.unkept(account, &error);
        }
        let device = &account.device.id;
        let patch = DevicePatch { info: Some(info), ..DevicePatch::default() };
        match self.store.update_device(device, patch).await {
            Ok(device) => {
                self.reload(&device).await;
                self.hop(account, self.clock.now(), "info", "ok", source);
                Answer::Done
            }
            Err(error) => self.unkept(account, &error),
        }
    }

    /// The trace entry goes through the queue that earlier reports went through: when it is
    /// durable they are, and the read sees them.
    async fn read_shadow(&self, account: &Account, source: &str) -> Answer {
        let device = &account.device.id;
        let entry = self.entry("read_shadow", "ok", source);
        if let Err(error) = self.store.change_shadow(device, Vec::new(), Some(entry)).await {
            return self.unkept(account, &error);
        }
        match self.store.shadow(device).await {
            Ok(shadow) => Answer::Shadow(Box::new(shadow)),
            Err(error) => self.unkept(account, &error),
        }
    }

    /// Takes wishes back one by one.
    fn taken_back(&self, keys: Vec<(Box<str>, Vec<Box<str>>)>) -> Vec<Change> {
        let at = self.clock.now();
        let nulls = |keys: Vec<Box<str>>| {
            keys.into_iter().map(|key| (key.into(), Value::Null)).collect::<Map<String, Value>>()
        };
        let change = |(service, keys)| Change::Desire {
            service,
            values: Values { properties: nulls(keys), at },
        };
        keys.into_iter().map(change).collect()
    }

    async fn change_desired_by_device(
        &self,
        account: &Account,
        source: &str,
        changes: Vec<Change>,
    ) -> Answer {
        let entry = self.entry("clear_desired", "ok", source);
        match self.store.change_shadow(&account.device.id, changes, Some(entry)).await {
            Ok(_) => Answer::Done,
            Err(error) => self.unkept(account, &error),
        }
    }

    /// A device was reset to what left the factory. The bindings end first: that is what the next
    /// owner needs; the rest may be repeated by the device until it is answered.
    async fn reset_by_device(&self, account: &Account, source: &str, wipe: Wipe) -> Answer {
        let device = &account.device.id;
        let answer = self.unbind_by_device(device, source).await;
        let failed = matches!(&answer, Answer::Refused { code, .. } if *code != "bind.not_bound");
        if failed || wipe == Wipe::Bindings {
            return answer;
        }
        let entry = self.entry("reset", "ok", &format!("{source}, {wipe:?}"));
        if let Err(error) =
            self.store.change_shadow(device, vec![Change::Forget], Some(entry)).await
        {
            return self.unkept(account, &error);
        }
        if wipe == Wipe::Everything {
            let told = account.device.info.keys().filter(|key| !key.starts_with(RESERVED));
            let nulls = told.map(|key| (key.clone(), Value::Null)).collect();
            let patch = DevicePatch { info: Some(nulls), ..DevicePatch::default() };
            match self.store.update_device(device, patch).await {
                Ok(device) => self.reload(&device).await,
                Err(error) => return self.unkept(account, &error),
            }
        }
        answer
    }

    async fn keep_events(&self, account: &Account, events: Vec<Occurrence>) -> Answer {
        let entry = |event: &Occurrence| self.entry("event", "ok", &show_event(event));
        let entries = events.iter().map(entry).collect();
        let answer = self.kept(account, entries).await;
        for event in events {
            self.spread(account, || Happening::Event(event));
        }
        answer
    }

    /// A response that no request waits for (any longer).
    fn late_response(
        &self,
        account: &Account,
        source: &str,
        is_ours: bool,
        response: &Response,
    ) -> Answer {
        let why = if is_ours { "nobody waits any longer" } else { "not a request of ours" };
        let text = format!("{source}, {why}: code {} {}", response.code, response.status);
        self.hop(account, self.clock.now(), "response", "ok", &text);
        Answer::Done
    }

    async fn keep_logs(&self, account: &Account, records: Vec<Box<str>>) -> Answer {
        let dropped = records.len().saturating_sub(LOGS_MAX);
        let mut entries: Vec<Entry> =
            records.iter().take(LOGS_MAX).map(|line| self.entry("logs", "ok", line)).collect();
        if dropped > 0 {
            entries.push(self.entry("logs", "ok", &format!("{dropped} more were not kept")));
        }
        self.kept(account, entries).await
    }

    /// Keeps entries and answers when they are durable.
    pub(super) async fn kept(&self, account: &Account, entries: Vec<Entry>) -> Answer {
        let device = account.device.id.clone();
        match self.store.append_trace(vec![Entries { device, entries }]).await {
            Ok(()) => Answer::Done,
            Err(error) => self.unkept(account, &error),
        }
    }

    /// A failure of the store never travels to a device as text.
    fn unkept(&self, account: &Account, error: &StoreError) -> Answer {
        tracing::warn!(%error, device = %account.device.id, "keeping what a device said");
        let detail = match matches!(error, StoreError::Limit(_)) {
            true => error.to_string(),
            false => "not kept; try again".to_owned(),
        };
        Answer::Refused { code: error.code(), detail: detail.into() }
    }

    fn entry(&self, what: &str, code: Code, text: &str) -> Entry {
        Entry::new(self.clock.now(), Hop::Up, what, code, text)
    }

    fn hop(&self, account: &Account, at: Timestamp, what: &str, code: Code, text: &str) {
        self.note(&account.device.id, Entry::new(at, Hop::Up, what, code, text));
    }
}

/// 0 (off) unless an operator set another level.
fn log_level(account: &Account) -> u8 {
    let set = setting(&account.device, "log_level").and_then(Value::as_u64);
    set.and_then(|level| u8::try_from(level).ok()).unwrap_or(0)
}

fn code_of(answer: &Answer) -> Code {
    match answer {
        Answer::Partly { code, .. } | Answer::Refused { code, .. } => code,
        Answer::Done
        | Answer::Shadow(_)
        | Answer::Time { .. }
        | Answer::LogLevel(_)
        | Answer::Config(_)
        | Answer::SubDevices(_)
        | Answer::Created(_)
        | Answer::Registered(_)
        | Answer::Described(_) => "ok",
    }
}

/// Returns the first reasons; empty when there is none.
fn reasons(rejected: &Rejected) -> String {
    let mut text = String::new();
    for (key, reason) in rejected.iter().take(REASONS_SHOWN) {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(key);
        text.push_str(": ");
        text.push_str(reason);
    }
    if rejected.len() > REASONS_SHOWN {
        text.push_str(&format!("; and {} more", rejected.len() - REASONS_SHOWN));
    }
    text
}

fn show_event(event: &Occurrence) -> String {
    let params = serde_json::to_string(&event.params).unwrap_or_else(|error| error.to_string());
    format!("{}/{} {:?} {params}", event.service, event.event, event.level)
}
