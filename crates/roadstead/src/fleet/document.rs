//! Fleet files with products and devices: YAML (with the line of each row from the parser) and
//! JSON (with the line of each row from its place in the text).

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_saphyr::Spanned;

use super::{Device, Devices, Fleet, Product, Row, RowError, VERSION};

/// YAML nodes of one file; about 15 per device row.
const YAML_NODES_MAX: usize = 5_000_000;
/// Deepest nesting of a fleet file.
const YAML_DEPTH_MAX: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Yaml {
    version: Spanned<u32>,
    #[serde(default)]
    products: Vec<Spanned<Product>>,
    #[serde(default)]
    devices: Vec<Spanned<Device>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json<'a> {
    #[serde(borrow)]
    version: &'a RawValue,
    #[serde(borrow, default)]
    products: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    devices: Vec<&'a RawValue>,
}

pub(super) fn yaml(text: &str) -> Result<Fleet, RowError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: YAML_NODES_MAX,
            max_events: 2 * YAML_NODES_MAX,
            max_depth: YAML_DEPTH_MAX,
            max_documents: 1,
        },
        with_snippet: false,
    };
    let yaml: Yaml = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        RowError::unreadable(line, yaml_message(&error))
    })?;
    check_version(yaml.version.referenced.line(), yaml.version.value)?;
    Ok(fleet(rows(yaml.products), rows(yaml.devices)))
}

/// Returns the first line of the parser's text without the place that `RowError::line` gives.
fn yaml_message(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let place = first.rfind(" at line ").or_else(|| first.rfind(" (line "));
    place.map_or(first, |at| &first[..at]).trim_end_matches([':', ',']).to_owned()
}

fn rows<T>(rows: Vec<Spanned<T>>) -> Vec<Row<T>> {
    rows.into_iter().map(|row| Row { line: row.referenced.line(), value: row.value }).collect()
}

pub(super) fn json(text: &str) -> Result<Fleet, RowError> {
    let json: Json<'_> = serde_json::from_str(text).map_err(|error| json_error(0, &error))?;
    let lines = Lines::new(text);
    check_version(lines.of(json.version) + 1, parse(&lines, json.version)?)?;
    let products =
        json.products.into_iter().map(|raw| row(&lines, raw)).collect::<Result<_, _>>()?;
    let devices = json.devices.into_iter().map(|raw| row(&lines, raw)).collect::<Result<_, _>>()?;
    Ok(fleet(products, devices))
}

fn row<T: DeserializeOwned>(lines: &Lines, raw: &RawValue) -> Result<Row<T>, RowError> {
    Ok(Row { line: lines.of(raw) + 1, value: parse(lines, raw)? })
}

fn parse<T: DeserializeOwned>(lines: &Lines, raw: &RawValue) -> Result<T, RowError> {
    serde_json::from_str(raw.get()).map_err(|error| json_error(lines.of(raw), &error))
}

/// Turns a parser's error into ours; `before` lines stand before the parsed text.
pub(super) fn json_error(before: u64, error: &serde_json::Error) -> RowError {
    let text = error.to_string();
    let message = text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]);
    RowError::unreadable(before + error.line().max(1) as u64, message)
}

fn check_version(line: u64, version: u32) -> Result<(), RowError> {
    if version == VERSION {
        return Ok(());
    }
    let message = format!("version {version} is not known; this build reads version {VERSION}");
    Err(RowError::unreadable(line, message))
}

fn fleet(products: Vec<Row<Product>>, devices: Vec<Row<Device>>) -> Fleet {
    let folder = std::path::PathBuf::new();
    Fleet { folder, products, devices: Devices::memory(devices) }
}

/// Finds the line of a slice of a text.
struct Lines {
    start: usize,
    ends: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(n, _)| n).collect();
        Self { start: text.as_ptr() as usize, ends }
    }

    /// Returns how many lines end before `raw`, a slice of the text.
    fn of(&self, raw: &RawValue) -> u64 {
        let offset = (raw.get().as_ptr() as usize).saturating_sub(self.start);
        self.ends.partition_point(|end| *end < offset) as u64
    }
}
