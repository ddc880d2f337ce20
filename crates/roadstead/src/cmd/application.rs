//! `roadstead application`: programs that a vendor's cloud let in by id and secret.

use clap::Subcommand;
use serde_json::json;

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Programs that a vendor's cloud let in by id and secret.
#[derive(Subcommand, Debug)]
pub(crate) enum Application {
    /// Lists applications, without their secrets.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Registers a phone application, or an enterprise that receives the events of a product. The
    /// secret is read from ROADSTEAD_APPLICATION_SECRET; a fresh one is shown without it.
    Create {
        /// The id that the application is built with; a fresh one without it.
        id: Option<String>,
        /// Display name.
        #[arg(long, default_value = "")]
        name: String,
        /// The product whose events it receives.
        #[arg(long)]
        product: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Forgets an application.
    Delete {
        /// Its id.
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Application {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::List { server } => block_on(list(out, server)),
            Self::Create { id, name, product, server } => {
                block_on(create(out, server, id, name, product))
            }
            Self::Delete { id, server } => block_on(delete(out, server, id)),
        }
    }
}

async fn list(out: &Out, server: ServerArgs) -> Result<()> {
    let client = Client::connect(&server).await?;
    let found = client.list("/applications", "applications", &[]).await?;
    out.answer(&json!({ "applications": found }), |out| {
        let mut table = Table::new(&["APPLICATION", "NAME", "EVENTS OF", "CREATED"]);
        for one in &found {
            let created = out.clock().ago(&one["create_time"]);
            let (id, product) = (cell(&one["application_id"]), cell(&one["product_id"]));
            table.row([id, cell(&one["name"]), product, created]);
        }
        table.render(out.paint(), "There are no applications.")
    })
}

async fn create(
    out: &Out,
    server: ServerArgs,
    id: Option<String>,
    name: String,
    product: Option<String>,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let secret = std::env::var("ROADSTEAD_APPLICATION_SECRET").ok();
    let body = json!({
        "application_id": id, "secret": secret, "name": name, "product_id": product,
    });
    let made = client.post("/applications", &[], &body).await?;
    out.answer(&made, |_| {
        let id = made["application_id"].as_str().unwrap_or_default();
        match (&secret, made["secret"].as_str()) {
            (None, Some(fresh)) => format!(
                "Registered application `{id}` with the secret `{fresh}`; it is not shown again.\n"
            ),
            (_, _) => format!("Registered application `{id}`.\n"),
        }
    })
}

async fn delete(out: &Out, server: ServerArgs, id: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    client.delete(&format!("/applications/{id}")).await?;
    out.answer(&json!({ "deleted": id }), |_| format!("Deleted application `{id}`.\n"))
}
