//! Devices of the home network, and binding one of them by the token it made.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use roadstead_core::Tick;
use roadstead_dialects::alibaba::app::{Finder, FinderOutput, FinderPolicy, Input};
use roadstead_dialects::alibaba::lan::{DeviceInfo, PORT};

use super::seed;
use super::socket::{Socket, Woken};
use crate::api::Client;
use crate::{AppError, Provisioned};

/// Where and how long devices are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lan {
    /// The address of the device, when it is known.
    pub device: Option<SocketAddr>,
    /// Where everybody is asked and heard; `None` does without.
    pub everybody: Option<SocketAddr>,
    /// The only device wanted: product and device.
    pub wanted: Option<(String, String)>,
    /// Pause between two questions.
    pub gap: Duration,
    /// How long.
    pub life: Duration,
}

impl Default for Lan {
    fn default() -> Self {
        let FinderPolicy { gap, life, .. } = FinderPolicy::default();
        let everybody = Some(SocketAddr::from((std::net::Ipv4Addr::BROADCAST, PORT)));
        Self { device: None, everybody, wanted: None, gap, life }
    }
}

/// A device of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its address.
    pub from: SocketAddr,
    /// Its description; with a token when it can be bound.
    pub info: DeviceInfo,
}

/// A search under way.
pub(super) struct Search {
    finder: Finder,
    socket: Socket,
    found: VecDeque<FinderOutput>,
    is_over: bool,
}

impl Search {
    pub(super) async fn open(lan: &Lan) -> Result<Self, AppError> {
        let policy = FinderPolicy { gap: lan.gap, life: lan.life, everybody: lan.everybody };
        let mut finder = Finder::new(policy, seed());
        if let Some((product, device)) = &lan.wanted {
            finder = finder.for_device(product, device);
        }
        if let Some(device) = lan.device {
            finder = finder.at(device);
        }
        let socket = Socket::open(lan.everybody).await?;
        let mut search = Self { finder, socket, found: VecDeque::new(), is_over: false };
        search.feed(Input::Start).await;
        Ok(search)
    }

    /// Returns the next thing to know; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<FinderOutput> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Some(found);
            }
            if self.is_over {
                return None;
            }
            let deadline: Option<Tick> = self.finder.deadline().map(|(at, _)| at);
            match self.socket.next(deadline).await {
                Woken::Datagram(from, bytes) => {
                    self.feed(Input::Datagram { from, bytes: &bytes }).await;
                }
                Woken::Timeout => self.feed(Input::Timeout).await,
            }
        }
    }

    async fn feed(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.finder.handle(input, self.socket.now(), &mut out);
        for output in out {
            match output {
                FinderOutput::Send { to, bytes } => self.socket.send(to, &bytes).await,
                FinderOutput::Ended => self.is_over = true,
                known @ (FinderOutput::Found { .. }
                | FinderOutput::Unconfirmed { .. }
                | FinderOutput::Joined { .. }) => self.found.push_back(known),
            }
        }
    }
}

/// Looks for devices until the time is over; `observer` gets each with each of its tokens.
///
/// # Errors
///
/// The phone's own socket fails.
pub async fn search(lan: &Lan, mut observer: impl FnMut(Found)) -> Result<(), AppError> {
    let mut search = Search::open(lan).await?;
    while let Some(found) = search.next().await {
        match found {
            FinderOutput::Found { from, info }
            | FinderOutput::Unconfirmed { from, info }
            | FinderOutput::Joined { from, info } => observer(Found { from, info }),
            FinderOutput::Send { .. } | FinderOutput::Ended => {}
        }
    }
    Ok(())
}

/// Takes the wanted device, or the first that answers, into the user's possession by the token it
/// made. A token that another phone has used already is passed over for the next one.
///
/// # Errors
///
/// `attempt.device_silent` when nobody answers, `attempt.never_connected` when the device answers
/// and has no confirmed token, or the platform's refusal.
pub async fn bind(
    client: &Client,
    lan: &Lan,
    observer: impl FnMut(&Found),
) -> Result<Provisioned, AppError> {
    complete(client, lan, None, observer).await
}

/// As [`bind`], and ends an attempt with it.
pub(super) async fn complete(
    client: &Client,
    lan: &Lan,
    attempt: Option<&str>,
    mut observer: impl FnMut(&Found),
) -> Result<Provisioned, AppError> {
    let mut search = Search::open(lan).await?;
    let mut error = AppError::Silent;
    while let Some(found) = search.next().await {
        let (from, info) = match found {
            FinderOutput::Found { from, info } => (from, info),
            FinderOutput::Unconfirmed { from, info } | FinderOutput::Joined { from, info } => {
                observer(&Found { from, info });
                if matches!(error, AppError::Silent) {
                    error = AppError::NotReported;
                }
                continue;
            }
            FinderOutput::Send { .. } | FinderOutput::Ended => continue,
        };
        let (product, device) = (info.product.clone(), info.device.clone());
        let token = info.token.as_ref().map(|token| token.token.clone());
        observer(&Found { from, info });
        let token = token.as_ref().and_then(|token| token.expose_text()).unwrap_or_default();
        let bound = match attempt {
            Some(attempt) => client.complete(attempt, (&product, &device), token).await,
            None => client.bind_device(&product, &device, token).await,
        };
        match bound {
            Ok(binding) => {
                return Ok(Provisioned {
                    device_id: binding.device_id,
                    attempt_id: attempt.unwrap_or_default().to_owned(),
                    binding_id: Some(binding.binding_id),
                });
            }
            // Another phone was faster, or the token is over: the device makes another.
            Err(refusal)
                if ["bind.already_used", "bind.expired", "bind.unknown_token"]
                    .contains(&refusal.code()) =>
            {
                error = refusal;
            }
            Err(refusal) => return Err(refusal),
        }
    }
    Err(error)
}
