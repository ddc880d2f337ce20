//! `roadstead binding`: ties between users and devices, seen by the operator.

use clap::Subcommand;
use serde_json::json;

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Ties between users and devices.
#[derive(Subcommand, Debug)]
pub(crate) enum Binding {
    /// Lists bindings.
    List {
        /// Only those of this device.
        #[arg(long)]
        device: Option<String>,
        /// Only those of this user.
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Gives a device to a user; a bound one is handed over.
    Create {
        /// Device id.
        #[arg(long)]
        device: String,
        /// Name of its owner to be.
        #[arg(long)]
        user: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Ends a binding; the device is told to forget its user.
    Delete {
        /// Binding id.
        binding: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Binding {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::List { device, user, server } => block_on(list(out, server, device, user)),
            Self::Create { device, user, server } => block_on(create(out, server, device, user)),
            Self::Delete { binding, server } => block_on(delete(out, server, binding)),
        }
    }
}

async fn list(
    out: &Out,
    server: ServerArgs,
    device: Option<String>,
    user: Option<String>,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let filters = [("device_id", device.as_deref()), ("user_id", user.as_deref())];
    let query: Vec<(&str, &str)> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let bindings = client.list("/bindings", "bindings", &query).await?;
    out.answer(&json!({ "bindings": bindings }), |out| {
        let mut table = Table::new(&["BINDING", "USER", "DEVICE", "ROLE", "SINCE"]);
        for b in &bindings {
            let since = out.clock().ago(&b["created_at"]);
            let (id, device) = (cell(&b["binding_id"]), cell(&b["device_id"]));
            table.row([id, cell(&b["user_id"]), device, cell(&b["role"]), since]);
        }
        table.render(out.paint(), "There are no bindings.")
    })
}

async fn create(out: &Out, server: ServerArgs, device: String, user: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let body = json!({"device_id": device, "username": user});
    let binding = client.post("/bindings", &[], &body).await?;
    out.answer(&binding, |_| format!("`{user}` owns device `{device}` now.\n"))
}

async fn delete(out: &Out, server: ServerArgs, binding: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    client.delete(&format!("/bindings/{binding}")).await?;
    out.answer(&json!({ "deleted": binding }), |_| format!("Ended binding `{binding}`.\n"))
}
