//! `roadstead config`: the commented default settings, and a check of a settings file.

use std::path::PathBuf;

use clap::Subcommand;
use roadstead_server::config::{self, TEMPLATE};
use serde_json::json;

use crate::failure::{Failure, Result, chain};
use crate::output::Out;

/// Prints and checks settings.
#[derive(Subcommand, Debug)]
pub(crate) enum Config {
    /// Prints the commented default settings.
    Template,
    /// Checks a settings file and says what is wrong with it.
    Check {
        /// Settings file, TOML.
        file: PathBuf,
        /// Overrides a setting for this check.
        #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
        overrides: Vec<String>,
    },
}

impl Config {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::Template => {
                let template = template();
                out.answer(&json!({ "template": template }), |_| template.clone())
            }
            Self::Check { file, overrides } => check(out, &file, &overrides),
        }
    }
}

/// Returns the server's template followed by the settings of every dialect.
fn template() -> String {
    let mut text = TEMPLATE.trim_end().to_owned();
    text.push('\n');
    for dialect in roadstead_dialects::ALL {
        let settings = dialect.settings_template().trim();
        text.push_str(&format!("\n# {}.\n[dialect.{}]\n", dialect.title(), dialect.id()));
        if !settings.is_empty() {
            text.push_str(&format!("{settings}\n"));
        }
    }
    text
}

fn check(out: &Out, file: &std::path::Path, overrides: &[String]) -> Result<()> {
    let loaded = config::load(Some(file), std::env::vars(), overrides).map_err(config_failure)?;
    for (name, settings) in &loaded.dialect {
        let known = roadstead_dialects::find(name);
        let dialect = known.ok_or_else(|| unknown_dialect(name))?;
        let settings = serde_json::to_value(settings)
            .map_err(|error| Failure::new("config.invalid", format!("{error}.")))?;
        dialect.cloud(&settings).map_err(|problem| {
            let message = format!("Section `dialect.{name}`: {}.", problem.message);
            Failure::new("config.invalid", message)
        })?;
    }
    out.answer(&json!({ "ok": true }), |_| format!("`{}` is valid.\n", file.display()))
}

fn unknown_dialect(name: &str) -> Failure {
    let known: Vec<&str> = roadstead_dialects::ALL.iter().map(|dialect| dialect.id()).collect();
    let message = format!("There is no dialect `{name}`; known are: {}.", known.join(", "));
    Failure::new("config.invalid", message)
}

/// Turns the loader's error, with its cause, into a failure.
pub(super) fn config_failure(error: config::ConfigError) -> Failure {
    let text = chain(&error);
    let text = text.trim().trim_end_matches('.');
    let end = if text.ends_with('?') { "" } else { "." };
    Failure::new("config.invalid", format!("The settings cannot be used: {text}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_toml_with_every_dialect() {
        let table: toml::Table = template().parse().expect("TOML");
        let dialects = table["dialect"].as_table().expect("section");
        for dialect in roadstead_dialects::ALL {
            let settings = serde_json::to_value(&dialects[dialect.id()]).expect("settings");
            assert!(dialect.cloud(&settings).is_ok(), "{}", dialect.id());
        }
    }
}
