//! `roadstead product import|export|convert`: products as files. Import and export ask a server;
//! convert is done here.

use std::path::{Path, PathBuf};

use roadstead_core::Timestamp;
use roadstead_core::product::{Auth, Product, Rebind, Registration};
use roadstead_server::service::model_file::{self, ModelFile, Written};
use serde_json::{Value, json};

use super::block_on;
use crate::client::{Client, ServerArgs, write_public};
use crate::failure::{Failure, Result};
use crate::output::Out;

/// Makes a product of a file: the vendor's archive, its template, or the API's own document.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// Product file; its format is recognised by content.
    file: PathBuf,
    /// Product id; that of the file, else a made one.
    #[arg(long)]
    product: Option<String>,
    /// Display name; that of the file, else its kind of device.
    #[arg(long)]
    name: Option<String>,
    /// Dialect the devices speak; the one whose form the file has, when missing.
    #[arg(long)]
    dialect: Option<String>,
    /// Replace the thing model of `--product` instead.
    #[arg(long, requires = "product", conflicts_with_all = ["name", "dialect", "check"])]
    replace: bool,
    /// Change nothing; say what the file is and what would be lost.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Writes a product as a file.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    /// Product id.
    product: String,
    /// `v5`, `zip`, or the dialect whose template to write.
    #[arg(long, default_value = model_file::DOCUMENT)]
    format: String,
    /// File to write; an archive has its own name, a document goes to the terminal.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Converts a product file into another vendor's form, without a server.
#[derive(clap::Args, Debug)]
pub(crate) struct Convert {
    /// Product file; its format is recognised by content.
    file: PathBuf,
    /// `v5`, `zip`, or the dialect whose template to write.
    #[arg(long, value_name = "FORMAT")]
    to: String,
    /// File to write; an archive has its own name, a document goes to the terminal.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Import {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let bytes = read(&self.file)?;
        block_on(async {
            let client = Client::connect(&self.server).await?;
            let name = file_name(&self.file);
            if let (true, Some(product)) = (self.replace, &self.product) {
                let path = format!("/products/{product}/model");
                let query = [("file_name", name.as_str())];
                let answer = client.upload(reqwest::Method::PUT, &path, &query, bytes).await?;
                return print(out, &answer);
            }
            let mut query = vec![("file_name", name.as_str())];
            let options =
                [("product_id", &self.product), ("name", &self.name), ("dialect", &self.dialect)];
            query.extend(options.iter().filter_map(|(key, v)| Some((*key, v.as_deref()?))));
            if self.check {
                query.push(("check", "true"));
            }
            let path = "/products/import";
            let answer = client.upload(reqwest::Method::POST, path, &query, bytes).await?;
            print(out, &answer)
        })
    }
}

fn print(out: &Out, answer: &Value) -> Result<()> {
    out.answer(answer, |_| {
        let word = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        let form = format!("a `{}` file for the dialect `{}`", word("format"), word("dialect"));
        let head = match answer["product"]["product_id"].as_str() {
            Some(id) => format!("Product `{id}` has the model of {form}.\n"),
            None => format!("This is {form}; it can be imported.\n"),
        };
        format!("{head}{}", notes(&answer["notes"]))
    })
}

impl Export {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let path = format!("/products/{}/model", self.product);
        block_on(async {
            let client = Client::connect(&self.server).await?;
            let format = ("format", self.format.as_str());
            let report = client.get(&path, &[format, ("report", "true")]).await?;
            let bytes = client.download(&path, &[format]).await?;
            let name = report["file_name"].as_str().unwrap_or("product").to_owned();
            finish(out, &self.format, self.out, &name, &bytes, &report["notes"])
        })
    }
}

impl Convert {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let bytes = read(&self.file)?;
        let problem = |problem: roadstead_dialects::Problem| {
            Failure::new(problem.code, crate::client::sentence(&problem.message))
        };
        let file = model_file::read(Some(&file_name(&self.file)), &bytes).map_err(problem)?;
        let product = product(file, &self.file);
        let Written { name, bytes, notes, .. } =
            model_file::write(&product, &self.to).map_err(|error| match error.code {
                "api.bad_request" => Failure::Usage(error.message),
                _ => problem(error),
            })?;
        let notes = serde_json::to_value(notes).unwrap_or_default();
        finish(out, &self.to, self.out, &name, &bytes, &notes)
    }
}

/// Returns a product as far as its file tells of it.
fn product(file: ModelFile, path: &Path) -> Product {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let id = file.product.unwrap_or_else(|| stem.clone());
    Product {
        id: id.as_str().into(),
        space: "".into(),
        dialect: file.native.unwrap_or_default().into(),
        name: file.name.unwrap_or(stem).into(),
        secret: None,
        auth: Auth::default(),
        registration: Registration::default(),
        rebind: Rebind::default(),
        model: file.packed.model,
        attributes: file.packed.attributes,
        created_at: Timestamp::default(),
    }
}

/// Writes the file and says what it lost.
fn finish(
    out: &Out,
    format: &str,
    file: Option<PathBuf>,
    name: &str,
    bytes: &[u8],
    lost: &Value,
) -> Result<()> {
    // An archive is nothing for a terminal.
    let is_archive = format == model_file::ARCHIVE;
    let file = file.or_else(|| is_archive.then(|| PathBuf::from(name)));
    let Some(file) = file else {
        let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let answer = json!({ "format": format, "document": document, "notes": lost });
        return out.answer(&answer, |_| {
            for note in lost.as_array().into_iter().flatten() {
                tracing::warn!("{}", line(note));
            }
            String::from_utf8_lossy(bytes).into_owned()
        });
    };
    write_public(&file, bytes)?;
    let shown = file.display().to_string();
    let answer = json!({ "format": format, "file": shown, "notes": lost });
    out.answer(&answer, |_| format!("Wrote `{shown}`.\n{}", notes(lost)))
}

fn notes(list: &Value) -> String {
    let list: Vec<_> = list.as_array().into_iter().flatten().map(line).collect();
    match list.is_empty() {
        true => String::new(),
        false => format!("No counterpart:\n  {}\n", list.join("\n  ")),
    }
}

fn line(note: &Value) -> String {
    let word = |key: &str| note[key].as_str().unwrap_or_default();
    format!("{}: {}", word("path"), word("text"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::file("Reading", path, &error))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Replaces the thing model of a product by that of a file; answers the product.
pub(crate) fn replace(server: &ServerArgs, product: &str, file: &Path) -> Result<Value> {
    let bytes = read(file)?;
    block_on(async {
        let client = Client::connect(server).await?;
        let path = format!("/products/{product}/model");
        let name = file_name(file);
        let query = [("file_name", name.as_str())];
        let mut answer = client.upload(reqwest::Method::PUT, &path, &query, bytes).await?;
        Ok(answer["product"].take())
    })
}
