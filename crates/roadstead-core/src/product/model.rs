//! The thing model: services of properties, commands and events.
//!
//! Every element keeps what the canonical form does not interpret in `extra`, so that a vendor's
//! document survives import and export without loss.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::DataType;

/// Id of the one service of a model whose vendor knows no services.
pub const DEFAULT_SERVICE: &str = "default";

/// Vendor fields that the canonical form does not interpret.
pub type Extra = Map<String, Value>;

/// The thing model of a product.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The services; at most one is called [`DEFAULT_SERVICE`].
    pub services: Vec<Service>,
    /// What only the vendor's document says.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// A group of properties, commands and events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Unique in the model.
    pub id: Box<str>,
    /// Display name.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub name: Box<str>,
    /// Description.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub description: Box<str>,
    /// State.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
    /// What it can be told to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<Command>,
    /// What it tells on its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// What only the vendor's document says.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// A named value of the device's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// Unique in its service.
    pub id: Box<str>,
    /// Display name.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub name: Box<str>,
    /// Description.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub description: Box<str>,
    /// Who may do what with it.
    pub access: Access,
    /// True when a report without it is incomplete; informative.
    #[serde(default)]
    pub required: bool,
    /// Type and limits.
    pub ty: DataType,
    /// Canonical initial value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Value>,
    /// What only the vendor's document says.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// Who may do what with a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The platform may ask the device for it.
    pub read: bool,
    /// The platform may set it.
    pub write: bool,
    /// The device reports it on its own.
    pub report: bool,
}

impl Access {
    /// Read, reported, not writable.
    pub const READ: Self = Self { read: true, write: false, report: true };
    /// Read, reported and writable.
    pub const READ_WRITE: Self = Self { read: true, write: true, report: true };
}

/// Something the device can be told to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Unique in its service.
    pub id: Box<str>,
    /// Display name.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub name: Box<str>,
    /// Description.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub description: Box<str>,
    /// What it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<Parameter>,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<Parameter>,
    /// What only the vendor's document says.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// Something the device tells on its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique in its service.
    pub id: Box<str>,
    /// Display name.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub name: Box<str>,
    /// Description.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub description: Box<str>,
    /// How bad it is.
    pub level: Level,
    /// What it carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<Parameter>,
    /// What only the vendor's document says.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// How bad an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Information.
    Info,
    /// Something wants attention.
    Alert,
    /// Something does not work.
    Fault,
}

/// A named, typed field of a command, an event or a struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Unique among its siblings.
    pub id: Box<str>,
    /// Display name.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub name: Box<str>,
    /// True when it must be given.
    #[serde(default)]
    pub required: bool,
    /// Type and limits.
    pub ty: DataType,
    /// What only the vendor's document says.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

impl Parameter {
    /// Returns a required parameter without a display name.
    pub fn new(id: &str, ty: DataType) -> Self {
        Self { id: id.into(), name: "".into(), required: true, ty, extra: Extra::new() }
    }
}

impl Model {
    /// Returns the service called `id`.
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.services.iter().find(|service| &*service.id == id)
    }

    /// Returns the service that has command `id`, and the command; the first one wins.
    pub fn command(&self, id: &str) -> Option<(&Service, &Command)> {
        self.services.iter().find_map(|service| Some((service, service.command(id)?)))
    }

    /// Returns the service that has property `id`, and the property; the first one wins.
    pub fn property(&self, id: &str) -> Option<(&Service, &Property)> {
        self.services.iter().find_map(|service| Some((service, service.property(id)?)))
    }

    /// True when the model says nothing: every report is then accepted as it is.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }
}

impl Service {
    /// Returns a service without members.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            name: "".into(),
            description: "".into(),
            properties: Vec::new(),
            commands: Vec::new(),
            events: Vec::new(),
            extra: Extra::new(),
        }
    }

    /// Returns the property called `id`.
    pub fn property(&self, id: &str) -> Option<&Property> {
        self.properties.iter().find(|property| &*property.id == id)
    }

    /// Returns the command called `id`.
    pub fn command(&self, id: &str) -> Option<&Command> {
        self.commands.iter().find(|command| &*command.id == id)
    }

    /// Returns the event called `id`.
    pub fn event(&self, id: &str) -> Option<&Event> {
        self.events.iter().find(|event| &*event.id == id)
    }

    /// Checks canonical values that somebody wants to *set*.
    ///
    /// # Errors
    ///
    /// The first key that is unknown, not writable, or has a wrong value.
    pub fn check_set(&self, values: &Map<String, Value>) -> Result<(), Violation> {
        for (key, value) in values {
            let Some(property) = self.property(key) else {
                return Err(Violation::new("not in the model").inside(key));
            };
            if !property.access.write {
                return Err(Violation::new("not writable").inside(key));
            }
            property.ty.check(value).map_err(|violation| violation.inside(key))?;
        }
        Ok(())
    }
}

impl Command {
    /// Checks canonical parameters: all required ones present, none unknown, all well typed.
    ///
    /// # Errors
    ///
    /// The first [`Violation`].
    pub fn check_input(&self, values: &Map<String, Value>) -> Result<(), Violation> {
        if let Some(missing) =
            self.input.iter().find(|p| p.required && !values.contains_key(&*p.id))
        {
            return Err(Violation::new("missing").inside(&missing.id));
        }
        for (key, value) in values {
            let Some(parameter) = self.input.iter().find(|p| &*p.id == key.as_str()) else {
                return Err(Violation::new("not in the model").inside(key));
            };
            parameter.ty.check(value).map_err(|violation| violation.inside(key))?;
        }
        Ok(())
    }
}

/// A value that does not fit the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    path: String,
    message: String,
}

impl Violation {
    /// Returns a violation at the value itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// Returns a violation that names what stood there, cut to a readable length.
    pub fn expected(what: &str, got: &Value) -> Self {
        let mut shown = format!("{got}");
        if let Some((at, _)) = shown.char_indices().nth(40) {
            shown.truncate(at);
            shown.push('…');
        }
        Self::new(format!("expected {what}, got {shown}"))
    }

    /// Moves the violation one level out.
    #[must_use]
    pub fn inside(mut self, key: &str) -> Self {
        self.path = if self.path.is_empty() { key.into() } else { format!("{key}.{}", self.path) };
        self
    }

    /// Returns where it is, dotted; empty at the top.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns what is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl core::fmt::Display for Violation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.message),
            false => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

impl core::error::Error for Violation {}

#[expect(clippy::borrowed_box, reason = "the signature serde asks for")]
fn str_is_empty(text: &Box<str>) -> bool {
    text.is_empty()
}
