//! One onboarding: token, the dialogue in the device's network, polling, binding.
//!
//! Firmware that knows no phone's token says so by its answer: then the phone looks for the token
//! that the device made, in the home network.

use std::net::SocketAddr;
use std::time::Duration;

use roadstead_core::Secret;
use roadstead_core::attempt::Stage;
use roadstead_dialects::alibaba::app::{Input, Provisioner, ProvisionerOutput, Secrets};
use roadstead_dialects::alibaba::lan::{DeviceInfo, Maker};
use roadstead_dialects::alibaba::softap::{Failure, Network, Region, Switch};
use tokio::time::Instant;

use super::find::{Lan, complete};
use super::seed;
use super::socket::{Socket, Woken};
use crate::air::Air;
use crate::api::{Client, TokenProgress};
use crate::journal::Journal;
use crate::provision::reason_code;
use crate::{AppError, Event, Provisioned};

/// Settings of an onboarding.
#[derive(Clone)]
pub struct Options {
    /// The device's socket in its own network.
    pub device: SocketAddr,
    /// Home network.
    pub ssid: String,
    /// Its password; empty for an open one.
    pub password: Secret,
    /// The product's secret, when the app has it: long passwords and old firmware need it.
    pub product_secret: Option<Secret>,
    /// Another platform for the device: `host:port`.
    pub region: Option<String>,
    /// Where the device is looked for at home, when it makes its own tokens.
    pub lan: Lan,
    /// Pause between two questions about the token.
    pub poll_gap: Duration,
    /// How long the platform is asked.
    pub poll_life: Duration,
}

impl Options {
    /// Returns settings for a device at this address.
    pub fn new(device: SocketAddr, ssid: &str, password: Secret) -> Self {
        let lan = Lan { everybody: Some(super::everybody(device)), ..Lan::default() };
        Self {
            device,
            ssid: ssid.into(),
            password,
            product_secret: None,
            region: None,
            lan,
            poll_gap: Duration::from_secs(2),
            poll_life: Duration::from_secs(200),
        }
    }
}

/// Takes a device into the user's possession.
///
/// # Errors
///
/// One reason with a stable code; the platform has been told it.
pub async fn provision(
    client: &Client,
    options: &Options,
    mut observer: impl FnMut(Event),
) -> Result<Provisioned, AppError> {
    let token = client.create_bind_token(false).await?;
    let attempt = token.attempt_id.clone();
    let mut journal = Journal::open(client, attempt.clone(), "softap", &mut observer);
    journal.mark(Stage::TokenCreated, None);
    let result = travel(client, options, (&token.token, &attempt), &mut journal).await;
    journal.close(result.as_ref().err()).await;
    result.map(|provisioned| Provisioned { attempt_id: attempt, ..provisioned })
}

async fn travel(
    client: &Client,
    options: &Options,
    (token, attempt): (&str, &str),
    journal: &mut Journal<'_>,
) -> Result<Provisioned, AppError> {
    let info = hand_over(options, token, journal).await?;
    let own_token = info.as_ref().is_some_and(|info| {
        info.token.as_ref().and_then(|token| token.maker) != Some(Maker::Phone)
    });
    if !own_token {
        return follow(client, options, token, info.is_some(), journal).await;
    }
    let names = info.map(|info| (info.product.to_string(), info.device.to_string()));
    let mut lan = options.lan.clone();
    lan.wanted = names;
    let bound = complete(client, &lan, Some(attempt), |_| {}).await?;
    journal.mark(Stage::Bound, None);
    Ok(bound)
}

/// Takes a device into the user's possession that hears its network through the air. It makes its
/// token itself; nothing but that token, found in the home network, says that it has heard.
///
/// # Errors
///
/// One reason with a stable code; the platform has been told it.
pub async fn provision_over_air(
    client: &Client,
    air: &Air,
    options: &Options,
    mut observer: impl FnMut(Event),
) -> Result<Provisioned, AppError> {
    let attempt = client.create_bind_token(false).await?.attempt_id;
    let method = air.bearer.name();
    let mut journal = Journal::open(client, attempt.clone(), method, &mut observer);
    journal.mark(Stage::CredentialsSent, Some(method.into()));
    let result = async {
        let mut named = None;
        let search = complete(client, &options.lan, Some(&attempt), |found| {
            named.get_or_insert_with(|| (found.info.clone(), found.from));
        });
        let sending = async {
            let ip = options.device.ip();
            match air.send(&options.ssid, &options.password, "", ip).await {
                // What matters is whether the device comes.
                Ok(_) => std::future::pending().await,
                Err(error) => error,
            }
        };
        let bound = tokio::select! {
            bound = search => bound,
            error = sending => Err(error),
        };
        if let Some((info, from)) = named {
            let names = format!("{}/{} at {from}", info.product, info.device);
            journal.is_about(info.product.to_string(), info.device.to_string());
            journal.mark(Stage::DeviceFound, Some(names));
        }
        bound
    };
    let result = result.await;
    if result.is_ok() {
        journal.mark(Stage::Bound, None);
    }
    journal.close(result.as_ref().err()).await;
    result
}

/// Gives the device network and token; `None` when it did not answer.
async fn hand_over(
    options: &Options,
    token: &str,
    journal: &mut Journal<'_>,
) -> Result<Option<DeviceInfo>, AppError> {
    let ssid = options.ssid.clone().into_bytes();
    let network = Network { ssid, password: options.password.clone(), bssid: None };
    let region = options.region.clone().map(Region::Endpoint);
    let switch = Switch { network, token: Some(token.into()), region };
    let mut random = [0; 16];
    random[..8].copy_from_slice(&seed().to_be_bytes());
    random[8..].copy_from_slice(&seed().to_be_bytes());
    let secrets = Secrets { product: options.product_secret.clone(), random };
    let mut machine = Provisioner::new(options.device, switch, &secrets, seed())?;
    let socket = Socket::open(None).await?;
    journal.mark(Stage::CredentialsSent, None);
    match run(&mut machine, &socket).await {
        ProvisionerOutput::Accepted(info) => {
            let names = format!("{}/{}", info.product, info.device);
            journal.is_about(info.product.to_string(), info.device.to_string());
            journal.mark(Stage::DeviceReplied, Some(names));
            Ok(Some(info))
        }
        ProvisionerOutput::Failed(error) => Err(error.into()),
        ProvisionerOutput::Silent
        | ProvisionerOutput::Send { .. }
        | ProvisionerOutput::Cause(_) => {
            journal.tell(Event::Silent);
            Ok(None)
        }
    }
}

/// Runs a dialogue to its end.
async fn run(machine: &mut Provisioner, socket: &Socket) -> ProvisionerOutput {
    let mut out = Vec::new();
    machine.handle(Input::Start, socket.now(), &mut out);
    loop {
        for output in out.drain(..) {
            match output {
                ProvisionerOutput::Send { to, bytes } => socket.send(to, &bytes).await,
                end @ (ProvisionerOutput::Accepted(_)
                | ProvisionerOutput::Cause(_)
                | ProvisionerOutput::Silent
                | ProvisionerOutput::Failed(_)) => return end,
            }
        }
        match socket.next(machine.deadline().map(|(at, _)| at)).await {
            Woken::Datagram(from, bytes) => {
                let input = Input::Datagram { from, bytes: &bytes };
                machine.handle(input, socket.now(), &mut out);
            }
            Woken::Timeout => machine.handle(Input::Timeout, socket.now(), &mut out),
        }
    }
}

/// Asks the platform about the token until the device has reported it, and binds.
async fn follow(
    client: &Client,
    options: &Options,
    token: &str,
    is_found: bool,
    journal: &mut Journal<'_>,
) -> Result<Provisioned, AppError> {
    let end = Instant::now() + options.poll_life;
    loop {
        journal.report().await;
        match client.bind_token(token).await {
            Ok(state) => match state.state {
                TokenProgress::New => {}
                TokenProgress::Reported => {
                    journal.mark(Stage::TokenReported, None);
                    let binding = client.bind(token).await?;
                    journal.mark(Stage::Bound, None);
                    let binding_id = Some(binding.binding_id);
                    let (device_id, attempt_id) = (binding.device_id, String::new());
                    return Ok(Provisioned { device_id, attempt_id, binding_id });
                }
                TokenProgress::Bound => {
                    journal.mark(Stage::Bound, None);
                    let device_id = state.device_id.unwrap_or_default();
                    return Ok(Provisioned {
                        device_id,
                        attempt_id: String::new(),
                        binding_id: None,
                    });
                }
                TokenProgress::Expired => {
                    return Err(AppError::Token { code: reason_code(state.reason.as_ref()) });
                }
            },
            // A platform out of reach is no end: the phone may be changing networks.
            Err(AppError::Transport(error)) => {
                tracing::debug!(%error, "the platform is out of reach");
            }
            Err(error) => return Err(error),
        }
        if Instant::now() >= end {
            return Err(gave_up(options, is_found).await);
        }
        tokio::time::sleep(options.poll_gap).await;
    }
}

/// Finds the reason: the device's network is back, and the device says why.
async fn gave_up(options: &Options, is_found: bool) -> AppError {
    let usual = if is_found { AppError::NotReported } else { AppError::Silent };
    let Ok(socket) = Socket::open(None).await else { return usual };
    let mut machine = Provisioner::cause(options.device, seed());
    let wait = Duration::from_secs(3);
    match tokio::time::timeout(wait, run(&mut machine, &socket)).await {
        Ok(ProvisionerOutput::Cause(report)) if report.number != 0 => {
            let code = Failure::from_number(report.number)
                .map_or("attempt.device_error", Failure::code)
                .to_string();
            AppError::Said { code, words: report.words }
        }
        Ok(_) | Err(_) => usual,
    }
}
