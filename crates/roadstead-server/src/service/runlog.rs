//! The run log, the message trace of one device, and why devices went off line.
//!
//! All three read the trace. The message trace is a switch with an end: while it is on, hops of
//! the device carry an excerpt of what was said and an id. Off-line analysis pairs each end of a
//! session with its beginning and its reason. Source: Huawei §14; names are our own.

use std::time::Duration;

use roadstead_core::exchange::Uplink;
use roadstead_core::limit::PAGE_ITEMS_MAX;
use roadstead_core::port::{Found, TraceFilter};
use roadstead_core::session::{Ending, Presence};
use roadstead_core::trace::Entry;
use roadstead_core::{DeviceId, SpaceId, Timestamp, Value};
use roadstead_dialects::cloud::Account;

use super::command::cut;
use super::device::setting;
use super::{Error, Platform};

/// Setting that holds the end of the message trace, milliseconds since 1970.
const TRACE_UNTIL: &str = "trace_until";
/// Longest time that a message trace runs; then it is switched on anew.
const TRACE_LIFE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Hops of log-in and log-out that an analysis reads.
const SESSIONS_READ: u32 = 1000;

/// One end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When it began, if the trace still knows.
    pub online_at: Option<Timestamp>,
    /// Remote address and transport of the session, if the trace still knows.
    pub peer: Option<Box<str>>,
    /// When it ended.
    pub offline_at: Timestamp,
    /// Why: a `session.*` code.
    pub code: Box<str>,
    /// When the device was back, if it is.
    pub back_at: Option<Timestamp>,
}

impl Platform {
    /// Searches the hops of a space, newest first; everything that happened before the call is
    /// among what is searched.
    ///
    /// # Errors
    ///
    /// `device.unknown` when the filter names a device of another space.
    pub async fn run_log(&self, filter: &TraceFilter, limit: u32) -> Result<Found, Error> {
        if let Some(device) = &filter.device {
            self.device_in(&filter.space, device).await?;
        }
        self.flush_notes().await;
        let limit = limit.min(u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX));
        Ok(self.store.search_trace(filter, limit).await?)
    }

    /// Switches the message trace of a device on for a time; returns its end.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.bad_request` for no time or more than a day.
    pub async fn start_trace(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        life: Duration,
    ) -> Result<Timestamp, Error> {
        if life.is_zero() || life > TRACE_LIFE_MAX {
            let most = TRACE_LIFE_MAX.as_secs() / 60;
            return Err(Error::Invalid(format!("a message trace runs 1 to {most} minutes")));
        }
        let until = self.clock.now() + life;
        self.set_setting(space, device, TRACE_UNTIL, until.as_millis().into()).await?;
        Ok(until)
    }

    /// Switches the message trace of a device off.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn stop_trace(&self, space: &SpaceId, device: &DeviceId) -> Result<(), Error> {
        self.set_setting(space, device, TRACE_UNTIL, Value::Null).await
    }

    /// Returns the end of a running message trace.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn traced_until(
        &self,
        space: &SpaceId,
        device: &DeviceId,
    ) -> Result<Option<Timestamp>, Error> {
        let device = self.device_in(space, device).await?;
        let until = setting(&device, TRACE_UNTIL).and_then(Value::as_i64).map(Timestamp);
        Ok(until.filter(|until| *until > self.clock.now()))
    }

    /// Returns what the source of an uplink is to say beside its topic; empty unless the message
    /// trace of its device is on.
    pub(super) fn excerpt(&self, account: &Account, uplink: &Uplink) -> String {
        let until = setting(&account.device, TRACE_UNTIL).and_then(Value::as_i64);
        match until.is_some_and(|until| self.clock.now() < Timestamp(until)) {
            false => String::new(),
            true => format!(" {}{}", cut(&show(uplink)), self.trace_mark()),
        }
    }

    /// Returns the end of a text that ties the hops of one message together.
    pub(super) fn trace_mark(&self) -> String {
        format!(" #{}", hex::encode(self.random.bytes::<4>()))
    }

    /// Returns how the last sessions of a device ended, the latest first.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn outages(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        since: Option<Timestamp>,
    ) -> Result<Vec<Outage>, Error> {
        let filter = TraceFilter {
            device: Some(device.clone()),
            whats: &["login", "logout"],
            ..TraceFilter::new(space.clone())
        };
        let mut hops: Vec<Entry> = self
            .run_log(&filter, SESSIONS_READ)
            .await?
            .hops
            .into_iter()
            .map(|(_, entry)| entry)
            .collect();
        hops.reverse();
        let presence = self.store.presence(device).await?;
        let mut outages = pair(&hops, &presence);
        outages.retain(|outage| since.is_none_or(|since| outage.offline_at > since));
        outages.reverse();
        Ok(outages)
    }
}

/// Pairs beginnings and ends of sessions, oldest first. A refused log-in is neither.
fn pair(hops: &[Entry], presence: &Presence) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    let mut login: Option<&Entry> = None;
    for hop in hops {
        match &*hop.what {
            "login" if !hop.is_failure() => {
                // A session that ended without a word: the server was lost, or this one took over
                // and the end of the older one is still to come.
                if let Some(last) = outages.last_mut() {
                    last.back_at.get_or_insert(hop.at);
                }
                login = Some(hop);
            }
            "logout" => {
                let began = login.take();
                let code = match &*hop.code {
                    "ok" => Ending::Disconnected.code(),
                    code => code,
                };
                let is_taken_over = code == Ending::TakenOver.code();
                outages.push(Outage {
                    online_at: began.filter(|_| !is_taken_over).map(|login| login.at),
                    peer: began.filter(|_| !is_taken_over).map(|login| login.text.clone()),
                    offline_at: hop.at,
                    code: code.into(),
                    // Whoever took over was there before.
                    back_at: began.filter(|_| is_taken_over).map(|_| hop.at),
                });
            }
            _ => {}
        }
    }
    // The end of the last run of the server leaves no hop.
    let lost = presence.ending == Some(Ending::ServerLost) && !presence.online;
    if let Some(at) = presence.offline_at.filter(|_| lost)
        && outages.last().is_none_or(|last| last.offline_at < at)
    {
        outages.push(Outage {
            online_at: presence.online_at,
            peer: presence.peer.clone(),
            offline_at: at,
            code: Ending::ServerLost.code().into(),
            back_at: None,
        });
    }
    outages
}

/// Returns what a device said, for people; never a secret.
fn show(uplink: &Uplink) -> String {
    let json = |values: &roadstead_core::Map<String, Value>| {
        serde_json::to_string(values).unwrap_or_else(|error| error.to_string())
    };
    match uplink {
        Uplink::Report { services, rejected } => {
            let mut text = String::new();
            for (service, values) in services {
                text.push_str(&format!("{service} {} ", json(&values.properties)));
            }
            for (key, why) in rejected {
                text.push_str(&format!("{key}: {why} "));
            }
            text.trim_end().to_owned()
        }
        Uplink::Info(info) => json(info),
        Uplink::Response { response, .. } => {
            format!("code {} {} {}", response.code, response.status, json(&response.output))
        }
        Uplink::Message { channel, payload } => match std::str::from_utf8(payload) {
            Ok(text) => format!("{channel} {text}"),
            Err(_) => format!("{channel} hex {}", hex::encode(&payload[..payload.len().min(128)])),
        },
        Uplink::Events(events) => {
            let one = |event: &roadstead_core::exchange::Occurrence| {
                format!("{}/{} {}", event.service, event.event, json(&event.params))
            };
            events.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        Uplink::ReadShadow
        | Uplink::ClearDesired
        | Uplink::ForgetDesired(_)
        | Uplink::Reset(_)
        | Uplink::Asked { .. }
        | Uplink::BindToken { .. }
        | Uplink::Unbind
        | Uplink::Time
        | Uplink::LogLevel
        | Uplink::Config
        | Uplink::Logs(_)
        | Uplink::SubDevices(_)
        | Uplink::Ignored { .. }
        | Uplink::Malformed { .. } => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use roadstead_core::trace::Hop;

    use super::*;

    fn hop(at: i64, what: &str, code: &str) -> Entry {
        Entry::new(Timestamp(at), Hop::Up, what, code, "192.0.2.7:1 tcp")
    }

    #[test]
    fn every_end_has_a_reason_and_a_beginning() {
        let hops = [
            hop(10, "login", "ok"),
            hop(20, "logout", "session.keep_alive"),
            hop(25, "login", "auth.bad_password"),
            hop(30, "login", "ok"),
            hop(40, "logout", "ok"),
        ];
        let outages = pair(&hops, &Presence::default());
        let shown: Vec<_> = outages
            .iter()
            .map(|o| {
                (o.online_at.map(|at| at.0), o.offline_at.0, &*o.code, o.back_at.map(|at| at.0))
            })
            .collect();
        assert_eq!(
            shown,
            [
                (Some(10), 20, "session.keep_alive", Some(30)),
                (Some(30), 40, "session.disconnected", None),
            ]
        );
        assert_eq!(outages[0].peer.as_deref(), Some("192.0.2.7:1 tcp"));
    }

    #[test]
    fn a_taken_over_session_and_a_lost_server_are_told_apart() {
        let hops = [
            hop(10, "login", "ok"),
            hop(20, "login", "ok"),
            hop(21, "logout", "session.taken_over"),
        ];
        let presence = Presence {
            online_at: Some(Timestamp(20)),
            offline_at: Some(Timestamp(90)),
            ending: Some(Ending::ServerLost),
            ..Presence::default()
        };
        let outages = pair(&hops, &presence);
        let shown: Vec<_> = outages.iter().map(|o| (&*o.code, o.offline_at.0, o.back_at)).collect();
        assert_eq!(
            shown,
            [("session.taken_over", 21, Some(Timestamp(21))), ("session.server_lost", 90, None),]
        );
    }
}
