//! `roadstead user`: accounts of operators and phone users.

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::output::{Out, Table};

/// Accounts of operators and phone users.
#[derive(Subcommand, Debug)]
pub(crate) enum User {
    /// Lists accounts.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Creates an account; the password is read from ROADSTEAD_PASSWORD or the first line of stdin.
    Create {
        /// Sign-in name.
        name: String,
        /// What the user may do.
        #[arg(long, value_enum, default_value = "member")]
        role: Role,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Changes what a user may do.
    SetRole {
        /// Sign-in name.
        name: String,
        /// What the user may do.
        #[arg(value_enum)]
        role: Role,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Deletes an account.
    Delete {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What a user may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Phone app only: own devices.
    Member,
    /// Reads everything.
    Viewer,
    /// Manages products and devices.
    Operator,
    /// Everything, users included.
    Admin,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl User {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::List { server } => block_on(list(out, server)),
            Self::Create { name, role, server } => {
                let password = read_password()?;
                block_on(create(out, server, name, role, password))
            }
            Self::SetRole { name, role, server } => block_on(set_role(out, server, name, role)),
            Self::Delete { name, server } => block_on(delete(out, server, name)),
        }
    }
}

/// Returns the password of ROADSTEAD_PASSWORD or of the first line of stdin.
pub(super) fn read_password() -> Result<super::SecretArg> {
    if let Ok(password) = std::env::var("ROADSTEAD_PASSWORD") {
        return Ok(super::SecretArg(password.into()));
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::Usage(
            "there is no password; set ROADSTEAD_PASSWORD or write it to stdin".to_owned(),
        ));
    }
    Ok(super::SecretArg(password.into()))
}

async fn list(out: &Out, server: ServerArgs) -> Result<()> {
    let client = Client::connect(&server).await?;
    let users = client.list("/users", "users", &[]).await?;
    out.answer(&json!({ "users": users }), |out| {
        let mut table = Table::new(&["USER", "ROLE", "ID", "CREATED"]);
        for u in &users {
            let created = out.clock().ago(&u["create_time"]);
            table.row([cell(&u["username"]), cell(&u["role"]), cell(&u["user_id"]), created]);
        }
        table.render(out.paint(), "There are no users.")
    })
}

async fn create(
    out: &Out,
    server: ServerArgs,
    name: String,
    role: Role,
    password: super::SecretArg,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let body = json!({ "username": name, "password": password.text(), "role": role.name() });
    let user = client.post("/users", &[], &body).await?;
    out.answer(&user, |_| format!("Created user `{name}` as {}.\n", role.name()))
}

async fn set_role(out: &Out, server: ServerArgs, name: String, role: Role) -> Result<()> {
    let client = Client::connect(&server).await?;
    let id = find(&client, &name).await?;
    let user = client.put(&format!("/users/{id}"), &json!({ "role": role.name() })).await?;
    out.answer(&user, |_| format!("User `{name}` is {} now.\n", role.name()))
}

async fn delete(out: &Out, server: ServerArgs, name: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let id = find(&client, &name).await?;
    client.delete(&format!("/users/{id}")).await?;
    out.answer(&json!({ "deleted": name }), |_| format!("Deleted user `{name}`.\n"))
}

/// Returns the id of the user with that sign-in name.
async fn find(client: &Client, name: &str) -> Result<String> {
    let users = client.list("/users", "users", &[]).await?;
    let user = users.iter().find(|user| user["username"] == name || user["user_id"] == name);
    user.and_then(|user| user["user_id"].as_str()).map(str::to_owned).ok_or_else(|| {
        Failure::with_remedy(
            "api.not_found",
            format!("There is no user `{name}`."),
            "List them with `roadstead user list`.",
        )
    })
}
