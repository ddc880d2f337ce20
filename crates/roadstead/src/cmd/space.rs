//! `roadstead space`: tenants. Administrators of the default space make and delete others.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{block_on, cell, fields};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Spaces: tenants that never see each other.
#[derive(Subcommand, Debug)]
pub(crate) enum Space {
    /// Lists spaces.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one space.
    Show {
        /// Space id.
        space: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Creates a space.
    Create {
        /// Name, unique in the instance.
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Renames a space.
    Rename {
        /// Space id.
        space: String,
        /// New name.
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Deletes a space that is empty.
    Delete {
        /// Space id.
        space: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Space {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::List { server } => block_on(list(out, server)),
            Self::Show { space, server } => block_on(show(out, server, space)),
            Self::Create { name, server } => block_on(create(out, server, name)),
            Self::Rename { space, name, server } => block_on(rename(out, server, space, name)),
            Self::Delete { space, server } => block_on(delete(out, server, space)),
        }
    }
}

async fn list(out: &Out, server: ServerArgs) -> Result<()> {
    let client = Client::connect(&server).await?;
    let answer = client.get("/apps", &[]).await?;
    out.answer(&answer, |out| {
        let mut table = Table::new(&["SPACE", "NAME", "DEFAULT", "CREATED"]);
        for s in answer["applications"].as_array().into_iter().flatten() {
            let default = if s["default_app"] == true { "yes" } else { "-" };
            let created = out.clock().ago(&s["create_time"]);
            table.row([cell(&s["app_id"]), cell(&s["app_name"]), default.to_owned(), created]);
        }
        table.render(out.paint(), "There are no spaces.")
    })
}

fn print(out: &Out, space: &Value) -> Result<()> {
    let shown = [("space", "/app_id"), ("name", "/app_name"), ("created", "/create_time")];
    out.answer(space, |out| fields(out, space, &shown))
}

async fn show(out: &Out, server: ServerArgs, space: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    print(out, &client.get(&format!("/apps/{space}"), &[]).await?)
}

async fn create(out: &Out, server: ServerArgs, name: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    print(out, &client.post("/apps", &[], &json!({ "app_name": name })).await?)
}

async fn rename(out: &Out, server: ServerArgs, space: String, name: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    print(out, &client.put(&format!("/apps/{space}"), &json!({ "app_name": name })).await?)
}

async fn delete(out: &Out, server: ServerArgs, space: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    client.delete(&format!("/apps/{space}")).await?;
    out.answer(&json!({ "deleted": space }), |_| format!("Deleted space `{space}`.\n"))
}
