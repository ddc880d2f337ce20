//! `roadstead product`: products and their thing models.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{SecretArg, block_on, cell, fields, read_json};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::output::{Out, Table};

/// Products and their thing models.
#[derive(Subcommand, Debug)]
pub(crate) enum Product {
    /// Lists products.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one product with its thing model.
    Show {
        /// Product id.
        product: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Creates a product.
    Create {
        #[command(flatten)]
        product: NewProduct,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Changes a product.
    Update {
        /// Product id.
        product: String,
        /// New display name.
        #[arg(long)]
        name: Option<String>,
        /// New product secret, as the vendor shows it.
        #[arg(long)]
        secret: Option<SecretArg>,
        /// Whether unknown devices may register themselves.
        #[arg(long, value_enum)]
        dynamic_registration: Option<Registration>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Deletes a product that has no devices.
    Delete {
        /// Product id.
        product: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    Import(super::product_file::Import),
    Export(super::product_file::Export),
    Convert(super::product_file::Convert),
    /// Replaces the thing model by that of a file.
    ImportModel {
        /// Product id.
        product: String,
        /// Thing model: a vendor's own document, or what `export-model` wrote.
        file: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Prints the thing model as the API's own document, `service_capabilities`.
    ExportModel {
        /// Product id.
        product: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// A product to create.
#[derive(clap::Args, Debug)]
pub(crate) struct NewProduct {
    /// Product id, as the vendor's console shows it.
    product: String,
    /// Dialect its devices speak, such as `tencent`.
    #[arg(long)]
    dialect: String,
    /// Display name; the id when missing.
    #[arg(long)]
    name: Option<String>,
    /// Product secret, as the vendor shows it.
    #[arg(long)]
    secret: Option<SecretArg>,
    /// How devices prove who they are.
    #[arg(long, value_enum, default_value = "secret")]
    auth: Auth,
    /// Whether unknown devices may register themselves.
    #[arg(long, value_enum, default_value = "off")]
    dynamic_registration: Registration,
    /// Thing-model file of the vendor.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// How devices prove who they are.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Auth {
    /// A secret per device.
    Secret,
    /// A client certificate per device.
    Certificate,
}

/// Whether unknown devices may register themselves.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Registration {
    /// Nobody may.
    Off,
    /// Devices that exist and never connected may.
    Preregistered,
    /// Everybody may.
    Open,
}

impl Product {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::List { server } => block_on(list(out, server)),
            Self::Show { product, server } => block_on(show(out, server, product)),
            Self::Create { product, server } => block_on(create(out, server, product)),
            Self::Update { product, name, secret, dynamic_registration, server } => {
                let mut change = json!({});
                put(&mut change, "name", name);
                put(&mut change, "secret", secret.map(|secret| secret.text().to_owned()));
                put(&mut change, "dynamic_registration", dynamic_registration.map(name_of));
                block_on(update(out, server, product, change))
            }
            Self::Delete { product, server } => block_on(delete(out, server, product)),
            Self::Import(command) => command.run(out),
            Self::Export(command) => command.run(out),
            Self::Convert(command) => command.run(out),
            Self::ImportModel { product, file, server } => {
                print(out, &super::product_file::replace(&server, &product, &file)?)
            }
            Self::ExportModel { product, server } => block_on(export_model(out, server, product)),
        }
    }
}

async fn list(out: &Out, server: ServerArgs) -> Result<()> {
    let client = Client::connect(&server).await?;
    let products = client.list("/products", "products", &[]).await?;
    out.answer(&json!({ "products": products }), |out| {
        let mut table = Table::new(&["PRODUCT", "NAME", "DIALECT", "CREATED"]);
        for p in &products {
            table.row([
                cell(&p["product_id"]),
                cell(&p["name"]),
                cell(&p["dialect"]),
                out.clock().ago(&p["create_time"]),
            ]);
        }
        table.render(out.paint(), "There are no products. Import some with `roadstead import`.")
    })
}

async fn show(out: &Out, server: ServerArgs, product: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let product = client.get(&path(&product), &[]).await?;
    print(out, &product)
}

fn print(out: &Out, product: &Value) -> Result<()> {
    out.answer(product, |out| {
        let mut text = fields(
            out,
            product,
            &[
                ("product", "/product_id"),
                ("name", "/name"),
                ("dialect", "/dialect"),
                ("auth", "/auth"),
                ("registration", "/dynamic_registration"),
                ("protocol", "/protocol_type"),
                ("created", "/create_time"),
            ],
        );
        text.push_str(&model_table(out, &product["service_capabilities"]));
        text
    })
}

/// Lists every property, command and event of a model.
fn model_table(out: &Out, services: &Value) -> String {
    let mut table = Table::new(&["SERVICE", "KIND", "NAME", "TYPE", "ACCESS"]);
    for service in services.as_array().into_iter().flatten() {
        let kinds = [("property", "properties"), ("command", "commands"), ("event", "events")];
        for (kind, list) in kinds {
            for item in service[list].as_array().into_iter().flatten() {
                let name = [format!("{kind}_name"), format!("{kind}_type")]
                    .iter()
                    .find_map(|field| item.get(field).cloned())
                    .unwrap_or(Value::Null);
                let id = cell(&service["service_id"]);
                let (ty, access) = (cell(&item["data_type"]), cell(&item["method"]));
                table.row([id, kind.to_owned(), cell(&name), ty, access]);
            }
        }
    }
    format!("\n{}", table.render(out.paint(), "The product has no thing model."))
}

async fn create(out: &Out, server: ServerArgs, new: NewProduct) -> Result<()> {
    let model = new.model.as_deref().map(read_json).transpose()?;
    let client = Client::connect(&server).await?;
    let mut body = json!({
        "product_id": new.product,
        "dialect": new.dialect,
        "name": new.name.unwrap_or_else(|| new.product.clone()),
        "auth": name_of(new.auth),
        "dynamic_registration": name_of(new.dynamic_registration),
        "protocol_type": "MQTT",
        "data_format": "json",
        "device_type": new.dialect,
    });
    put(&mut body, "secret", new.secret.map(|secret| secret.text().to_owned()));
    if let Some(model) = model {
        body["model"] = model;
    }
    let product = client.post("/products", &[], &body).await?;
    print(out, &product)
}

async fn update(out: &Out, server: ServerArgs, product: String, change: Value) -> Result<()> {
    if change.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(Failure::Usage("nothing to change; name a field such as `--name`".to_owned()));
    }
    let client = Client::connect(&server).await?;
    let product = client.put(&path(&product), &change).await?;
    print(out, &product)
}

async fn delete(out: &Out, server: ServerArgs, product: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    client.delete(&path(&product)).await?;
    out.answer(&json!({ "deleted": product }), |_| format!("Deleted product `{product}`.\n"))
}

async fn export_model(out: &Out, server: ServerArgs, product: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let product = client.get(&path(&product), &[]).await?;
    let model = json!({ "service_capabilities": product["service_capabilities"] });
    out.answer(&model, |_| format!("{model:#}\n"))
}

fn path(product: &str) -> String {
    format!("/products/{product}")
}

fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn put(body: &mut Value, name: &str, value: Option<String>) {
    if let Some(value) = value {
        body[name] = value.into();
    }
}
