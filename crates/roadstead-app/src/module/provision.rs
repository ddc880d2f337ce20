//! One onboarding of a module: network, arrival, passcode, binding.
//!
//! A module knows no bind token. While it is bindable it tells its passcode to phones in its network,
//! and who knows the passcode may bind it: that is the vendor's proof of possession (GizWits §1.6,
//! §6.2). The platform learns of the module when the module registers itself.

use std::net::SocketAddr;
use std::time::Duration;

use roadstead_core::Secret;
use roadstead_core::attempt::Stage;
use roadstead_dialects::gizwits::app::{
    Found, OnboardInput, OnboardPolicy, OnboardTask, TalkError, TalkEvent,
};
use tokio::time::{Instant, sleep};

use super::{Air as Lan, ModuleError, ModuleTalk, arrive};
use crate::api::{Binding, Client};
use crate::journal::Journal;
use crate::{Air, AppError, Event, Provisioned};

/// How a module gets its network.
#[derive(Clone)]
pub enum Way {
    /// In its own network, at this address.
    SoftAp(SocketAddr),
    /// Through the simulated air.
    Air(Air),
    /// It is in the network already.
    Present,
}

/// Settings of an onboarding.
#[derive(Clone)]
pub struct Options {
    /// How.
    pub way: Way,
    /// Where modules are looked for.
    pub lan: Lan,
    /// Port of its phones.
    pub tcp_port: u16,
    /// Home network.
    pub ssid: String,
    /// Its password; empty for an open one.
    pub password: Secret,
    /// MAC address of the module that is meant; the first that is configured when missing.
    pub mac: Option<String>,
    /// Pause between two tries.
    pub gap: Duration,
    /// How long it may take, from the network to the binding.
    pub life: Duration,
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::SoftAp(_) => "softap",
            Self::Air(air) => air.bearer.name(),
            Self::Present => "token_only",
        }
    }
}

/// Takes a module into the user's possession.
///
/// # Errors
///
/// One reason with a stable code; the platform has been told it.
pub async fn provision(
    client: &Client,
    options: &Options,
    mut observer: impl FnMut(Event),
) -> Result<Provisioned, AppError> {
    let attempt = client.create_bind_token(false).await?.attempt_id;
    let mut journal = Journal::open(client, attempt.clone(), options.way.name(), &mut observer);
    let result = travel(client, options, &attempt, &mut journal).await;
    journal.close(result.as_ref().err()).await;
    let binding = result?;
    let (device_id, binding_id) = (binding.device_id, Some(binding.binding_id));
    Ok(Provisioned { device_id, attempt_id: attempt, binding_id })
}

async fn travel(
    client: &Client,
    options: &Options,
    attempt: &str,
    journal: &mut Journal<'_>,
) -> Result<Binding, AppError> {
    let end = Instant::now() + options.life;
    if !matches!(options.way, Way::Present) {
        journal.mark(Stage::CredentialsSent, Some(options.way.name().into()));
    }
    let (found, from) = find(options).await?;
    journal.is_about(found.product_key.clone(), found.mac.clone());
    if !matches!(options.way, Way::Present) {
        journal.mark(Stage::CredentialsReceived, None);
        journal.mark(Stage::NetworkJoined, None);
    }
    let names = format!("{}/{} at {}", found.product_key, found.mac, from.ip());
    journal.mark(Stage::DeviceReplied, Some(names));
    let module = SocketAddr::new(from.ip(), options.tcp_port);
    let passcode = passcode(module, options.gap, end).await?;
    loop {
        journal.report().await;
        let named = (&*found.product_key, &*found.mac);
        let refusal = match client.complete(attempt, named, &passcode).await {
            Ok(binding) => {
                journal.mark(Stage::Bound, None);
                return Ok(binding);
            }
            Err(refusal) => refusal,
        };
        // It has not registered itself yet, or not with its new passcode; or the phone is still
        // changing networks.
        let waits = ["device.unknown", "bind.unknown_token", "client.unreachable"];
        if !waits.contains(&refusal.code()) {
            return Err(refusal);
        }
        if Instant::now() >= end {
            return Err(AppError::NotReported);
        }
        sleep(options.gap).await;
    }
}

/// Brings the module into the network, and finds it there.
async fn find(options: &Options) -> Result<(Found, SocketAddr), AppError> {
    let Options { lan, ssid, password, mac, life, .. } = options;
    let policy = OnboardPolicy { wait_for: *life, ..OnboardPolicy::default() };
    let task = |ssid: &str| OnboardTask {
        ssid: ssid.as_bytes().into(),
        password: password.clone(),
        mac: mac.clone(),
    };
    match &options.way {
        Way::SoftAp(module) => {
            let first = OnboardInput::InModuleNetwork;
            Ok(arrive(lan, Some(*module), task(ssid), policy, first).await?)
        }
        Way::Air(air) => {
            let arrival = arrive(lan, None, task(ssid), policy, OnboardInput::Home);
            let sending = async {
                match air.send(ssid, password, "", lan.ask.ip()).await {
                    // What matters is whether the module comes.
                    Ok(_) => std::future::pending().await,
                    Err(error) => error,
                }
            };
            tokio::select! {
                found = arrival => Ok(found?),
                error = sending => Err(error),
            }
        }
        Way::Present => {
            let end = Instant::now() + *life;
            loop {
                let found = super::search(lan, options.gap.max(Duration::from_secs(1))).await?;
                let is_meant = |(found, _): &(Found, SocketAddr)| {
                    mac.as_ref().is_none_or(|mac| mac.eq_ignore_ascii_case(&found.mac))
                };
                if let Some(found) = found.into_iter().find(is_meant) {
                    return Ok(found);
                }
                if Instant::now() >= end {
                    let why = "no module answered".to_owned();
                    return Err(ModuleError::Onboard("attempt.device_silent", why).into());
                }
            }
        }
    }
}

/// Asks the module for its passcode; it may be restarting.
async fn passcode(module: SocketAddr, gap: Duration, end: Instant) -> Result<String, ModuleError> {
    loop {
        let error = match ask(module).await {
            Ok(passcode) => return Ok(passcode),
            Err(error) => error,
        };
        let is_final = matches!(error, ModuleError::Talk(TalkError::NotBindable));
        if is_final || Instant::now() >= end {
            return Err(error);
        }
        sleep(gap).await;
    }
}

async fn ask(module: SocketAddr) -> Result<String, ModuleError> {
    let mut talk = ModuleTalk::connect(module, None).await?;
    loop {
        for event in talk.next().await? {
            if let TalkEvent::Passcode(passcode) = event {
                return Ok(passcode);
            }
        }
    }
}
