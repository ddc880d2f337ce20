//! Reads settings from file, environment and command line.

use std::path::Path;

use super::Config;

/// The commented default settings.
pub const TEMPLATE: &str = include_str!("template.toml");

/// Prefix of environment overrides: `ROADSTEAD__LISTEN__MQTT=…` sets `listen.mqtt`.
const ENVIRONMENT_PREFIX: &str = "ROADSTEAD__";

/// Settings that have no default and so no line in the template.
const OPTIONAL: [(&str, &str); 2] = [("tls", "certificate"), ("tls", "key")];

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("`{path}` is not TOML: {message}")]
    Syntax {
        /// Which file.
        path: String,
        /// Where and what.
        message: String,
    },
    /// An override is not `section.key=value`.
    #[error("`{0}` is not of the form `section.key=value`")]
    Override(String),
    /// A key is unknown or has a wrong value.
    #[error("{0}")]
    Value(String),
}

/// Loads settings: defaults, then `file`, then the environment, then `overrides`.
///
/// # Errors
///
/// [`ConfigError`] naming the file, the key and the rule.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    overrides: &[String],
) -> Result<Config, ConfigError> {
    let mut table = match file {
        None => toml::Table::new(),
        Some(path) => {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: shown.clone(), source })?;
            text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
                path: shown,
                message: error.to_string(),
            })?
        }
    };
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) {
            set(&mut table, &key.to_ascii_lowercase().replace("__", "."), &value)?;
        }
    }
    for text in overrides {
        let Some((key, value)) = text.split_once('=') else {
            return Err(ConfigError::Override(text.clone()));
        };
        set(&mut table, key.trim(), value.trim())?;
    }
    check_names(&table)?;
    Config::try_from_table(table)
}

impl Config {
    fn try_from_table(table: toml::Table) -> Result<Self, ConfigError> {
        table.try_into().map_err(|error: toml::de::Error| {
            ConfigError::Value(error.to_string().trim().to_owned())
        })
    }
}

/// Sets a dotted key. The value is TOML if it parses as such, otherwise text.
fn set(table: &mut toml::Table, key: &str, value: &str) -> Result<(), ConfigError> {
    let parsed = format!("v = {value}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("v"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut parts: Vec<&str> = key.split('.').collect();
    let Some(last) = parts.pop().filter(|last| !last.is_empty()) else {
        return Err(ConfigError::Override(format!("{key}={value}")));
    };
    let mut at = table;
    for part in parts {
        let inner = at.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let Some(inner) = inner.as_table_mut() else {
            return Err(ConfigError::Value(format!("`{part}` in `{key}` is not a section")));
        };
        at = inner;
    }
    at.insert(last.to_owned(), parsed);
    Ok(())
}

/// Refuses unknown sections and keys with a hint at the nearest known name.
fn check_names(table: &toml::Table) -> Result<(), ConfigError> {
    let known: toml::Table = TEMPLATE.parse().map_err(|error: toml::de::Error| {
        ConfigError::Value(format!("the built-in template is broken: {error}"))
    })?;
    for (key, value) in table {
        let Some(section) = known.get(key) else {
            return Err(unknown(key, known.keys()));
        };
        let (Some(given), Some(section)) = (value.as_table(), section.as_table()) else {
            continue;
        };
        if key == "dialect" {
            continue; // each dialect checks its own section
        }
        for inner in given.keys() {
            let optional = OPTIONAL.contains(&(key.as_str(), inner.as_str()));
            if !optional && !section.contains_key(inner) {
                let names: Vec<String> = section.keys().map(|k| format!("{key}.{k}")).collect();
                return Err(unknown(&format!("{key}.{inner}"), names.iter()));
            }
        }
    }
    Ok(())
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> ConfigError {
    let nearest = known.min_by_key(|candidate| distance(name, candidate));
    let hint = nearest.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
    ConfigError::Value(format!("unknown setting `{name}`{hint}"))
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(overrides: &[&str]) -> Result<Config, String> {
        let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
        load(None, std::iter::empty(), &overrides).map_err(|e| e.to_string())
    }

    #[test]
    fn the_template_is_the_default() {
        let parsed: Config = toml::from_str(TEMPLATE).expect("template");
        assert_eq!(parsed, Config { dialect: parsed.dialect.clone(), ..Config::default() });
        let shown = toml::Table::try_from(Config::default()).expect("default as TOML");
        let template: toml::Table = TEMPLATE.parse().expect("template");
        for (key, value) in &shown {
            let section = template.get(key).unwrap_or_else(|| panic!("`{key}` is missing"));
            for inner in value.as_table().into_iter().flat_map(toml::Table::keys) {
                let optional = OPTIONAL.contains(&(key.as_str(), inner.as_str()));
                assert!(optional || section.get(inner).is_some(), "`{key}.{inner}` is missing");
            }
        }
    }

    #[test]
    fn later_sources_win() {
        let environment = [
            ("ROADSTEAD__LISTEN__MQTT".to_owned(), "127.0.0.1:1".to_owned()),
            ("ROADSTEAD__STORE__TRACE_DAYS".to_owned(), "3".to_owned()),
            ("ROADSTEAD_ADMIN_PASSWORD".to_owned(), "x".to_owned()),
        ];
        let overrides = ["listen.mqtt=127.0.0.1:2".to_owned()];
        let config = load(None, environment.into_iter(), &overrides).expect("valid");
        assert_eq!(config.listen.mqtt.0, "127.0.0.1:2".parse().ok());
        assert_eq!(config.store.trace_days, 3);
    }

    #[test]
    fn mistakes_are_explained() {
        for (given, expected) in [
            ("listen.mqt=127.0.0.1:1", "unknown setting `listen.mqt`; did you mean `listen.mqtt`?"),
            ("lisen.mqtt=x", "unknown setting `lisen`; did you mean `listen`?"),
            ("nonsense", "`nonsense` is not of the form `section.key=value`"),
        ] {
            assert_eq!(with(&[given]).expect_err(given), expected);
        }
        let wrong = with(&["listen.mqtt=nowhere"]).expect_err("address");
        assert!(wrong.contains("`nowhere` is not an address"), "{wrong}");
        let wrong = with(&["mqtt.first_packet=10"]).expect_err("duration");
        assert!(wrong.contains("first_packet"), "{wrong}");
        assert_eq!(
            with(&["listen.mqtts="]).expect("off").listen.mqtts,
            crate::config::Address(None)
        );
    }
}
