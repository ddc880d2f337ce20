//! One onboarding from the phone's side: token, dialogue, polling, binding.
//!
//! The platform's view of the token is the only truth: a device may say nothing and still come,
//! or say success without being bound (Tencent §5.3, §6.3). The device's words make it faster and
//! give the reason when it fails.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use roadstead_core::attempt::Stage;
use roadstead_core::{Secret, Value};
use roadstead_dialects::tencent::app::{Output, Policy, Task};
use roadstead_dialects::tencent::comm::Progress;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use crate::AppError;
use crate::air::Air;
use crate::api::{BindToken, Client, TokenProgress};
use crate::dialogue::Talk;
use crate::journal::Journal;

/// How the device gets network and token.
#[derive(Clone)]
pub enum Method {
    /// The phone is in the device's own network and tells it the home network.
    SoftAp {
        /// Home network.
        ssid: String,
        /// Its password; empty for an open one.
        password: Secret,
    },
    /// The device hears the home network through the simulated air, and where the bearer carries
    /// one the token; otherwise the token follows in the home network.
    Air {
        /// What is sent, and where the device's radio is.
        air: Air,
        /// Home network.
        ssid: String,
        /// Its password; empty for an open one.
        password: Secret,
    },
    /// Both are in the home network; the device needs the token alone.
    TokenOnly,
}

/// Settings of an onboarding.
#[derive(Clone)]
pub struct Options {
    /// How.
    pub method: Method,
    /// The device's command socket; 192.168.4.1:8266 in its own network.
    pub device: SocketAddr,
    /// Where progress broadcasts of 3.0 devices are heard; `None` does without.
    pub progress: Option<SocketAddr>,
    /// Retransmission.
    pub policy: Policy,
    /// Pause between two questions about the token.
    pub poll_gap: Duration,
    /// How long the platform is asked.
    pub poll_life: Duration,
    /// Let the device's report alone complete the binding.
    pub auto_bind: bool,
}

impl Options {
    /// Returns the vendor's timings: 5 sends 2 s apart, questions every 2 s for 200 s.
    pub fn new(method: Method, device: SocketAddr) -> Self {
        Self {
            method,
            device,
            progress: None,
            policy: Policy::default(),
            poll_gap: Duration::from_secs(2),
            poll_life: Duration::from_secs(200),
            auto_bind: false,
        }
    }
}

/// What happens on the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The phone saw a stage.
    Stage {
        /// Name of the stage.
        stage: Stage,
        /// When, Unix milliseconds.
        time_ms: i64,
        /// Evidence.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The device told an error of an earlier attempt; this one goes on.
    PreviousError {
        /// The device's words.
        text: String,
    },
    /// No answer came; the platform is asked nevertheless.
    Silent,
}

/// A bound device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provisioned {
    /// The device.
    pub device_id: String,
    /// The attempt; its stages are at the platform.
    pub attempt_id: String,
    /// The binding, when this phone completed it itself.
    pub binding_id: Option<String>,
}

/// Takes a device into the user's possession.
///
/// # Errors
///
/// One reason with a stable code; the platform has been told it.
pub async fn provision(
    client: &Client,
    options: Options,
    mut observer: impl FnMut(Event),
) -> Result<Provisioned, AppError> {
    let token = client.create_bind_token(options.auto_bind).await?;
    let attempt_id = token.attempt_id.clone();
    let journal = Journal::open(client, attempt_id, options.method.name(), &mut observer);
    let auto_bind = options.auto_bind;
    let mut journey = Journey { client, token, journal, is_found: false, auto_bind };
    journey.mark(Stage::TokenCreated, None);
    let result = journey.travel(options).await;
    journey.journal.close(result.as_ref().err()).await;
    result
}

impl Method {
    fn name(&self) -> &'static str {
        match self {
            Self::SoftAp { .. } => "softap",
            Self::Air { air, .. } => air.bearer.name(),
            Self::TokenOnly => "token_only",
        }
    }

    fn task(self, token: &str) -> Task {
        let token = Secret::from(token);
        match self {
            Self::SoftAp { ssid, password } => Task::SoftAp { ssid, password, token },
            Self::Air { .. } | Self::TokenOnly => Task::TokenOnly { token },
        }
    }
}

struct Journey<'a> {
    client: &'a Client,
    token: BindToken,
    journal: Journal<'a>,
    is_found: bool,
    auto_bind: bool,
}

impl Journey<'_> {
    fn mark(&mut self, stage: Stage, detail: Option<String>) {
        self.journal.mark(stage, detail);
    }

    async fn travel(&mut self, options: Options) -> Result<Provisioned, AppError> {
        let task = options.method.clone().task(&self.token.token);
        let has_token = match &options.method {
            Method::Air { air, ssid, password } => {
                self.through_the_air(air, ssid, password, options.device.ip()).await?
            }
            Method::SoftAp { .. } | Method::TokenOnly => false,
        };
        let mut talk = Talk::open(task, options.policy, options.device, options.progress).await?;
        // A device that has its token wants no dialogue; its progress may still be heard.
        if !has_token {
            let mut known = talk.begin().await;
            if !matches!(options.method, Method::Air { .. }) {
                self.mark(Stage::CredentialsSent, None);
            }
            while !self.take(known)? {
                known = talk.next().await;
            }
        }
        self.follow(&mut talk, options.poll_gap, options.poll_life).await
    }

    /// Sends network and token through the air; true when the device has both.
    async fn through_the_air(
        &mut self,
        air: &Air,
        ssid: &str,
        password: &Secret,
        device: IpAddr,
    ) -> Result<bool, AppError> {
        self.mark(Stage::CredentialsSent, Some(air.bearer.name().into()));
        let sent = air.send(ssid, password, &self.token.token, device).await?;
        if sent.is_acknowledged {
            self.mark(Stage::CredentialsReceived, None);
            self.mark(Stage::NetworkJoined, None);
            self.is_found = true;
        }
        Ok(sent.has_token)
    }

    /// Takes what the dialogue knows; true when the platform must be asked from now on.
    fn take(&mut self, known: Vec<Output>) -> Result<bool, AppError> {
        let mut is_sent = false;
        for output in known {
            match output {
                Output::Found { product, device, .. } => {
                    let detail = format!("{product}/{device}");
                    self.journal.is_about(product, device);
                    self.mark(Stage::DeviceReplied, Some(detail));
                    self.is_found = true;
                    is_sent = true;
                }
                Output::PreviousError(text) => {
                    self.journal.tell(Event::PreviousError { text: text.to_string() });
                }
                Output::Progress(progress) => {
                    self.is_found = true;
                    is_sent = true;
                    self.progress(progress);
                }
                Output::Silent => {
                    self.journal.tell(Event::Silent);
                    is_sent = true;
                }
                Output::Failed(error) => return Err(error.into()),
                Output::Send(_) | Output::Log(_) => {}
            }
        }
        Ok(is_sent)
    }

    fn progress(&mut self, progress: Progress) {
        match progress {
            Progress::Joining => self.mark(Stage::CredentialsReceived, None),
            Progress::Connecting => {
                self.mark(Stage::NetworkJoined, None);
                self.mark(Stage::Connecting, None);
            }
            Progress::Reporting => self.mark(Stage::Connected, None),
            // 5 means "answered", not "bound" (Tencent §5.6).
            Progress::Reported => self.mark(Stage::TokenSent, None),
            Progress::ConnectFailed | Progress::ReportFailed => {}
        }
    }

    /// Asks the platform about the token while the device may still say something.
    async fn follow(
        &mut self,
        talk: &mut Talk,
        gap: Duration,
        life: Duration,
    ) -> Result<Provisioned, AppError> {
        let end = Instant::now() + life;
        let mut ticks = tokio::time::interval(gap);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let said = tokio::select! {
                _ = ticks.tick() => None,
                known = talk.next() => Some(known),
            };
            match said {
                Some(known) => {
                    self.take(known)?;
                }
                None => {
                    if let Some(done) = self.ask().await? {
                        return Ok(done);
                    }
                }
            }
            if Instant::now() >= end {
                return Err(if self.is_found { AppError::NotReported } else { AppError::Silent });
            }
        }
    }

    /// Asks once. A platform out of reach is no end: the phone may be changing networks.
    async fn ask(&mut self) -> Result<Option<Provisioned>, AppError> {
        self.journal.report().await;
        let state = match self.client.bind_token(&self.token.token).await {
            Ok(state) => state,
            Err(AppError::Transport(error)) => {
                tracing::debug!(%error, "the platform is out of reach");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let device_id = state.device_id.unwrap_or_default();
        let attempt_id = self.token.attempt_id.clone();
        match state.state {
            TokenProgress::New => Ok(None),
            // The platform completes it by itself; the next answer says so.
            TokenProgress::Reported if self.auto_bind => Ok(None),
            TokenProgress::Reported => {
                self.mark(Stage::TokenReported, None);
                let binding = self.client.bind(&self.token.token).await?;
                self.mark(Stage::Bound, None);
                let binding_id = Some(binding.binding_id);
                Ok(Some(Provisioned { device_id: binding.device_id, attempt_id, binding_id }))
            }
            TokenProgress::Bound => {
                self.mark(Stage::Bound, None);
                Ok(Some(Provisioned { device_id, attempt_id, binding_id: None }))
            }
            TokenProgress::Expired => {
                Err(AppError::Token { code: reason_code(state.reason.as_ref()) })
            }
        }
    }
}

/// Returns the code of a reason, which is a text or an object with `code`.
pub(crate) fn reason_code(reason: Option<&Value>) -> String {
    let code = reason.and_then(|reason| reason.as_str().or_else(|| reason.get("code")?.as_str()));
    code.unwrap_or("bind.expired").to_string()
}
