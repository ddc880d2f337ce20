//! `roadstead app`: the phone's part, on the app library. The session token is kept in a file of
//! the data folder that only its owner may read.

mod lan;
mod local_key;
mod module;
mod provision;
mod session;

use clap::Subcommand;
use roadstead_app::{AppError, api};
use serde_json::{Value, json};

use super::user::read_password;
use super::{Pair, SecretArg, attempt, block_on, cell, device, object};
use crate::client::ServerArgs;
use crate::failure::{Failure, Result, chain};
use crate::output::{Out, Table, Tone};

use provision::Provision;
pub(super) use provision::progress_address;

/// Plays the phone: sign in, provision, bind, control.
#[derive(Subcommand, Debug)]
pub(crate) enum App {
    /// Makes an account and signs in.
    SignUp(SignIn),
    /// Signs in.
    SignIn(SignIn),
    /// Forgets the session.
    SignOut {
        #[command(flatten)]
        server: ServerArgs,
    },
    Provision(Provision),
    #[command(subcommand)]
    Module(module::Module),
    Discover(lan::Discover),
    Local(lan::Local),
    /// Makes a bind token.
    Token {
        /// Let the device's report alone complete the binding.
        #[arg(long)]
        auto_bind: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Binds a device with a token that it reported or made itself.
    Bind {
        /// The bind token.
        #[arg(long)]
        token: SecretArg,
        /// Product id, for a token that the device made itself.
        #[arg(long, requires = "device")]
        product: Option<String>,
        /// DeviceName, node id or MAC, for a token that the device made itself.
        #[arg(long, requires = "product")]
        device: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Gives a device up.
    Unbind {
        /// Device id or binding id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lists own bindings.
    Bindings {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lists own devices with their state.
    Devices {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Sets properties of a device and waits for its answer.
    Control {
        /// Device id.
        device: String,
        /// Properties to set.
        #[arg(value_name = "NAME=VALUE", required = true)]
        properties: Vec<Pair>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Runs a command on a device and waits for its answer.
    Command {
        /// Device id.
        device: String,
        /// Command of the thing model.
        command: String,
        /// One parameter; may be repeated.
        #[arg(long = "param", value_name = "NAME=VALUE")]
        parameters: Vec<Pair>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows an onboarding attempt with every stage.
    Attempt {
        /// Attempt id.
        attempt: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Who signs in. The password comes from ROADSTEAD_PASSWORD or the first line of stdin.
#[derive(clap::Args, Debug)]
pub(crate) struct SignIn {
    /// Sign-in name.
    #[arg(long)]
    username: String,
    /// Password; better given in ROADSTEAD_PASSWORD or on stdin, where others cannot see it.
    #[arg(long)]
    password: Option<SecretArg>,
    #[command(flatten)]
    server: ServerArgs,
}

impl App {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::SignUp(sign_in) => sign_in.run(out, true),
            Self::SignIn(sign_in) => sign_in.run(out, false),
            Self::SignOut { server } => {
                session::forget(&server)?;
                out.answer(&json!({ "signed_in": false }), |_| "Signed out.\n".to_owned())
            }
            Self::Module(command) => command.run(out),
            Self::Provision(provision) => provision.run(out),
            Self::Discover(discover) => discover.run(out),
            Self::Local(local) => local.run(out),
            Self::Token { auto_bind, server } => {
                with(&server, |phone| async move { token(out, phone, auto_bind).await })
            }
            Self::Bind { token, product, device, server } => with(&server, |phone| async move {
                bind(out, phone, &token, product.as_deref().zip(device.as_deref())).await
            }),
            Self::Unbind { device, server } => {
                with(&server, |phone| async move { unbind(out, phone, &device).await })
            }
            Self::Bindings { server } => {
                with(&server, |phone| async move { bindings(out, phone).await })
            }
            Self::Devices { server } => {
                with(&server, |phone| async move { devices(out, phone).await })
            }
            Self::Control { device, properties, server } => {
                let wish = object(&properties, None)?;
                with(&server, |phone| async move {
                    let answer = phone.set_properties(&device, &wish).await;
                    answered(out, &answer.map_err(|error| failed(&error))?)
                })
            }
            Self::Command { device, command, parameters, server } => {
                let parameters = object(&parameters, None)?;
                with(&server, |phone| async move {
                    let answer = phone.command(&device, &command, &parameters).await;
                    answered(out, &answer.map_err(|error| failed(&error))?)
                })
            }
            Self::Attempt { attempt: id, server } => with(&server, |phone| async move {
                let answer = phone.attempt(&id).await.map_err(|error| failed(&error))?;
                out.answer(&answer, |out| attempt::detail(out, &answer))
            }),
        }
    }
}

impl SignIn {
    fn run(self, out: &Out, is_new: bool) -> Result<()> {
        let password = match self.password {
            Some(password) => password,
            None => read_password()?,
        };
        let base = self.server.base()?;
        let phone = block_on(async {
            let mut phone = api::Client::new(&base).map_err(|error| failed(&error))?;
            let signed = match is_new {
                true => phone.create_user(&self.username, password.text()).await,
                false => phone.sign_in(&self.username, password.text()).await,
            };
            signed.map_err(|error| failed(&error))?;
            Ok(phone)
        })?;
        session::keep(&self.server, &self.username, phone.token().unwrap_or_default())?;
        out.answer(&json!({ "username": self.username, "signed_in": true }), |_| {
            format!("Signed in as `{}`.\n", self.username)
        })
    }
}

/// Runs `work` as the signed-in phone.
fn with<F: Future<Output = Result<()>>>(
    server: &ServerArgs,
    work: impl FnOnce(api::Client) -> F,
) -> Result<()> {
    let phone = session::open(server)?;
    block_on(work(phone))
}

/// Turns a failure of the app library into ours.
pub(super) fn failed(error: &AppError) -> Failure {
    let message = if let AppError::Api { message, .. } = error { message } else { &chain(error) };
    let message = crate::client::sentence(message);
    match error.code() {
        "api.unauthenticated" => Failure::new("client.signed_out", message),
        code => Failure::new(code, message),
    }
}

async fn token(out: &Out, phone: api::Client, auto_bind: bool) -> Result<()> {
    let made = phone.create_bind_token(auto_bind).await.map_err(|error| failed(&error))?;
    let document = json!({
        "token": made.token, "expires_at": made.expires_at, "attempt_id": made.attempt_id,
    });
    out.answer(&document, |_| format!("{}\n", made.token))
}

async fn bind(
    out: &Out,
    phone: api::Client,
    token: &SecretArg,
    device: Option<(&str, &str)>,
) -> Result<()> {
    let binding = match device {
        None => phone.bind(token.text()).await,
        Some((product, device)) => phone.bind_device(product, device, token.text()).await,
    };
    let binding = binding.map_err(|error| failed(&error))?;
    let document = json!({ "binding_id": binding.binding_id, "device_id": binding.device_id });
    out.answer(&document, |_| format!("Device `{}` is yours.\n", binding.device_id))
}

async fn unbind(out: &Out, phone: api::Client, device: &str) -> Result<()> {
    let bindings = phone.bindings().await.map_err(|error| failed(&error))?;
    let found = bindings.iter().find(|b| b.device_id == device || b.binding_id == device);
    let Some(binding) = found else {
        let message = format!("`{device}` is not bound to you.");
        return Err(Failure::new("bind.not_bound", message));
    };
    phone.unbind(&binding.binding_id).await.map_err(|error| failed(&error))?;
    let document = json!({ "deleted": binding.binding_id, "device_id": binding.device_id });
    out.answer(&document, |_| format!("Gave up device `{}`.\n", binding.device_id))
}

async fn bindings(out: &Out, phone: api::Client) -> Result<()> {
    let bindings = phone.bindings().await.map_err(|error| failed(&error))?;
    let rows: Vec<Value> = bindings
        .iter()
        .map(|b| json!({"binding_id": b.binding_id, "device_id": b.device_id, "role": b.role}))
        .collect();
    out.answer(&json!({ "bindings": rows }), |out| {
        let mut table = Table::new(&["BINDING", "DEVICE", "ROLE"]);
        for row in &rows {
            table.row([cell(&row["binding_id"]), cell(&row["device_id"]), cell(&row["role"])]);
        }
        table.render(out.paint(), "You have no devices. Get one with `roadstead app provision`.")
    })
}

async fn devices(out: &Out, phone: api::Client) -> Result<()> {
    let devices = phone.devices().await.map_err(|error| failed(&error))?;
    out.answer(&json!({ "devices": devices }), |out| {
        let mut table = Table::new(&["DEVICE", "NAME", "ROLE", "STATUS", "STATE"]);
        for d in &devices {
            table.row([
                cell(&d["device_id"]),
                cell(&d["name"]),
                cell(&d["role"]),
                device::status(out, &d["status"]),
                state(&d["shadow"]),
            ]);
        }
        table.render(out.paint(), "You have no devices. Get one with `roadstead app provision`.")
    })
}

/// Returns reported values as `name=value`.
fn state(shadow: &Value) -> String {
    let services = shadow.as_array().into_iter().flatten();
    let values =
        services.flat_map(|s| s["reported"]["properties"].as_object().into_iter().flatten());
    let texts: Vec<String> =
        values.map(|(name, value)| format!("{name}={}", cell(value))).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(" ") }
}

fn answered(out: &Out, answer: &Value) -> Result<()> {
    out.answer(answer, |out| {
        let code = answer["code"].as_i64().unwrap_or(0);
        let head = out.paint().tone(Tone::Good, "Answered.");
        let output = &answer["output"];
        let empty = output.as_object().is_none_or(serde_json::Map::is_empty);
        let output = if empty { String::new() } else { format!("{output:#}\n") };
        format!("{head} Result code {code}.\n{output}")
    })
}
