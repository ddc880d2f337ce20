//! One onboarding by the QR code of a device: sealed network and token in its own access point,
//! its progress and the reason when it fails, then the platform's word.
//!
//! The change of Wi-Fi networks is the phone's operating system's business.

use std::time::Duration;

use roadstead_core::Secret;
use roadstead_core::attempt::Stage;
use roadstead_wire::softap::{MESSAGE_MAX, Phone, Progress, Qr};
use tokio::time::{Instant, sleep};

use crate::api::{Client, TokenProgress};
use crate::journal::Journal;
use crate::provision::reason_code;
use crate::{AppError, Event, Provisioned, air};

/// Longest time for one message and its answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How often a message is sent whose answer does not come.
const TRIES_MAX: u32 = 3;

/// Settings of an onboarding.
#[derive(Clone)]
pub struct QrOptions {
    /// What the code says.
    pub qr: Qr,
    /// Home network.
    pub ssid: String,
    /// Its password; empty for an open one.
    pub password: Secret,
    /// Pause between two questions.
    pub poll_gap: Duration,
    /// How long the platform is asked.
    pub poll_life: Duration,
}

/// Takes a device into the user's possession.
///
/// # Errors
///
/// One reason with a stable code; the platform has been told it.
pub async fn provision_by_qr(
    client: &Client,
    options: &QrOptions,
    mut observer: impl FnMut(Event),
) -> Result<Provisioned, AppError> {
    let token = client.create_bind_token(true).await?;
    let attempt_id = token.attempt_id.clone();
    let mut journal = Journal::open(client, attempt_id.clone(), "softap_qr", &mut observer);
    journal.mark(Stage::TokenCreated, None);
    let result = travel(client, options, &token.token, &mut journal).await;
    journal.close(result.as_ref().err()).await;
    Ok(Provisioned { device_id: result?, attempt_id, binding_id: None })
}

async fn travel(
    client: &Client,
    options: &QrOptions,
    token: &str,
    journal: &mut Journal<'_>,
) -> Result<String, AppError> {
    let QrOptions { qr, ssid, password, poll_gap, poll_life } = options;
    let mut talk = Talk::open(qr).await?;
    let name = Some(qr.name.clone()).filter(|name| !name.is_empty());
    journal.mark(Stage::DeviceFound, name);
    let give = talk.phone.give(ssid.as_bytes(), password.expose(), token.as_bytes())?;
    journal.mark(Stage::CredentialsSent, None);
    let answer = talk.exchange(&give).await?.ok_or(AppError::Silent)?;
    talk.phone.state(&answer)?;
    journal.mark(Stage::DeviceReplied, None);
    let (end, mut seen) = (Instant::now() + *poll_life, Progress::Joining);
    let mut is_there = true;
    loop {
        if is_there {
            // The phone may have left the device's network: then the platform alone knows.
            is_there = talk.look(journal, &mut seen).await?;
        }
        if let Some(device) = ask(client, token, journal).await? {
            return Ok(device);
        }
        if Instant::now() >= end {
            return Err(AppError::NotReported);
        }
        sleep(*poll_gap).await;
    }
}

/// Asks the platform once. One out of reach is no end: the phone may be changing networks.
async fn ask(
    client: &Client,
    token: &str,
    journal: &mut Journal<'_>,
) -> Result<Option<String>, AppError> {
    journal.report().await;
    let state = match client.bind_token(token).await {
        Err(AppError::Transport(error)) => {
            tracing::debug!(%error, "the platform is out of reach");
            return Ok(None);
        }
        state => state?,
    };
    match state.state {
        TokenProgress::New | TokenProgress::Reported => Ok(None),
        TokenProgress::Bound => {
            journal.mark(Stage::Bound, None);
            Ok(Some(state.device_id.unwrap_or_default()))
        }
        TokenProgress::Expired => Err(AppError::Token { code: reason_code(state.reason.as_ref()) }),
    }
}

/// One session with a device.
struct Talk {
    phone: Phone,
    http: reqwest::Client,
    url: String,
}

impl Talk {
    /// Finds out whether it is the device of the code.
    async fn open(qr: &Qr) -> Result<Self, AppError> {
        let mut entropy = [0; 32];
        air::entropy(&mut entropy)?;
        let phone = Phone::new(*qr.secret, entropy);
        // The device's network leads nowhere else.
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_WAIT).build()?;
        let mut talk = Self { phone, http, url: format!("http://{}/provision", qr.at) };
        let hello = talk.phone.hello();
        let welcome = talk.exchange(&hello).await?.ok_or(AppError::Silent)?;
        talk.phone.welcome(&welcome)?;
        Ok(talk)
    }

    /// Sends a message until its answer comes; `None` when none does.
    async fn exchange(&self, message: &[u8]) -> Result<Option<Vec<u8>>, AppError> {
        for _ in 0..TRIES_MAX {
            let sent = self.http.post(&self.url).body(message.to_vec()).send().await;
            let answer = match sent {
                Ok(answer) => answer.bytes().await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(bytes) => return Ok(Some(bytes.get(..MESSAGE_MAX).unwrap_or(&bytes).to_vec())),
                Err(error) => tracing::debug!(%error, "the device does not answer"),
            }
        }
        Ok(None)
    }

    /// Asks how far the device is; false when it does not answer any more.
    async fn look(
        &mut self,
        journal: &mut Journal<'_>,
        seen: &mut Progress,
    ) -> Result<bool, AppError> {
        let ask = self.phone.ask()?;
        let Some(answer) = self.exchange(&ask).await? else { return Ok(false) };
        let (progress, reason) = self.phone.state(&answer)?;
        for (step, stage) in
            [(Progress::Joined, Stage::NetworkJoined), (Progress::Online, Stage::Connected)]
        {
            if *seen < step && progress >= step {
                journal.mark(stage, None);
            }
        }
        *seen = progress.max(*seen);
        match reason {
            Some(reason) => Err(AppError::Said {
                code: reason.code().to_owned(),
                words: progress.name().to_owned(),
            }),
            None => Ok(true),
        }
    }
}
