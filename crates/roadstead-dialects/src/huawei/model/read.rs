//! From archive to product. Every refusal names file, line and rule.

use alloc::borrow::ToOwned as _;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::product::{Extra, Model, Service};
use roadstead_core::{Map, Value};

use super::file::File;
use super::locate::Step::{self, Index, Key};
use super::write::{Rendered, device_entry, render_service};
use super::{DEVICE_FILE, OFFLINE, SERVICE_FILE, camel, is_name_part, snake};
use crate::capability::{ServiceCapability, read_command, read_event, read_property, read_service};
use crate::{ArchiveFile, Packed, Problem};

type Object = Map<String, Value>;

/// Recognises and reads an archive.
///
/// # Errors
///
/// `import.*`, naming file, line and rule.
pub fn import(name: Option<&str>, files: &[ArchiveFile<'_>]) -> Option<Result<Packed, Problem>> {
    let is_ours = |file: &ArchiveFile<'_>| {
        [DEVICE_FILE, SERVICE_FILE].iter().any(|name| file.path.ends_with(name))
    };
    files.iter().any(is_ours).then(|| read(name, files))
}

fn read(name: Option<&str>, files: &[ArchiveFile<'_>]) -> Result<Packed, Problem> {
    let layout = Layout::of(files)?;
    let device = File::parse(layout.device.path, layout.device.bytes)?;
    let devices = device.objects(&device.root, &[], "devices")?;
    let [entry] = devices[..] else {
        return Err(device.bad(
            &[Key("devices")],
            &format!("`devices` has {} items; one product has one", devices.len()),
        ));
    };
    let at = [Key("devices"), Index(0)];
    for key in ["manufacturerId", "manufacturerName", "deviceType", "protocolType"] {
        device.text(entry, &at, key)?;
    }
    for key in ["manufacturerId", "deviceType", "model"] {
        let value = entry.get(key).and_then(Value::as_str).unwrap_or_default();
        if !is_name_part(value) {
            let text = format!("`{key}`: `{value}` cannot be part of a file name");
            return Err(device.bad(&[at[0], at[1], Key(key)], &text));
        }
    }
    check_name(name, &device, entry, &at)?;
    let services = read_services(&layout, &device, entry, &at)?;
    let mut packed =
        Packed { attributes: attributes(entry), model: Model { services, extra: Extra::new() } };
    super::check(&packed.model)?;
    let rendered = device_entry(&packed.attributes, &packed.model);
    let mut offline = differences(entry, &rendered);
    offline.extend(outside(&device.root, "devices"));
    put(&mut packed.model.extra, offline);
    Ok(packed)
}

/// Where the files of an archive lie.
struct Layout<'a> {
    device: ArchiveFile<'a>,
    /// By service type.
    services: BTreeMap<&'a str, ArchiveFile<'a>>,
}

impl<'a> Layout<'a> {
    fn of(files: &[ArchiveFile<'a>]) -> Result<Self, Problem> {
        let root = root_of(files);
        let (mut device, mut services) = (None, BTreeMap::new());
        for file in files {
            let inside = file.path.strip_prefix(root).unwrap_or(file.path);
            let parts: Vec<&str> = inside.split('/').collect();
            let twice = match parts[..] {
                ["profile", DEVICE_FILE] => device.replace(*file).is_some(),
                ["service", kind, "profile", SERVICE_FILE] if !kind.is_empty() => {
                    services.insert(kind, *file).is_some()
                }
                // Folders on the way.
                [""] | ["profile", ""] | ["service", ""] => false,
                ["service", kind, ""] | ["service", kind, "profile", ""]
                    if !kind.starts_with('.') =>
                {
                    false
                }
                _ => return Err(foreign(file.path, &parts)),
            };
            if twice {
                let text = format!("`{}` is in the archive twice", file.path);
                return Err(Problem::new("import.foreign_file", text));
            }
        }
        let device = device.ok_or_else(|| {
            Problem::new("import.bad_model", format!("`profile/{DEVICE_FILE}` is missing"))
        })?;
        Ok(Self { device, services })
    }
}

/// Returns the folder around everything, with its `/`; empty when there is none.
fn root_of<'a>(files: &[ArchiveFile<'a>]) -> &'a str {
    let marker = files.iter().find_map(|file| {
        let at = file.path.strip_suffix(DEVICE_FILE)?.strip_suffix("profile/")?;
        (at.matches('/').count() <= 1).then_some(at)
    });
    marker.unwrap_or_default()
}

fn foreign(path: &str, parts: &[&str]) -> Problem {
    let is_codec = |part: &&str| {
        let part = part.to_ascii_lowercase();
        ["jar", "zip", "class", "js", "so", "dll"]
            .iter()
            .any(|end| part.rsplit_once('.').is_some_and(|(_, e)| e == *end))
            || matches!(&*part, "codec" | "codecs" | "plugin" | "preload" | "package-info.json")
    };
    if parts.iter().any(is_codec) {
        let text = format!(
            "`{path}`: the archive contains a codec; import the model alone, then the codec"
        );
        return Problem::new("import.has_codec", text);
    }
    let is_hidden = parts.iter().any(|part| part.starts_with('.') || *part == "__MACOSX");
    let what = match is_hidden {
        true => "a hidden file that the packing program added",
        false => "a file that does not belong to a model",
    };
    Problem::new("import.foreign_file", format!("`{path}`: {what}; delete it and pack again"))
}

/// Checks the rule of the file name against the content.
fn check_name(
    name: Option<&str>,
    device: &File<'_>,
    entry: &Object,
    at: &[Step<'_>],
) -> Result<(), Problem> {
    let Some(name) = name else { return Ok(()) };
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let (kind, maker, model) = (text("deviceType"), text("manufacturerId"), text("model"));
    let short = format!("{kind}_{maker}");
    let long = format!("{short}_{model}");
    let stem = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let bad = |text: String| Err(Problem::new("import.bad_name", text));
    let Some(stem) = stem.strip_suffix(".zip") else {
        return bad(format!("the file is called `{name}`; its name must end with `.zip`"));
    };
    if stem == short || (stem == long && !model.is_empty()) {
        return Ok(());
    }
    // Say which part differs, where the parts can be told apart.
    let mut rule = format!(
        "the file is called `{stem}.zip`; its name must be deviceType_manufacturerId_model.zip, \
         here `{}.zip`",
        if model.is_empty() { &short } else { &long }
    );
    let parts: Vec<&str> = stem.split('_').collect();
    let fields = [("deviceType", kind), ("manufacturerId", maker), ("model", model)];
    let simple = fields.iter().all(|(_, value)| !value.contains('_'));
    if simple
        && (2..=3).contains(&parts.len())
        && let Some(((key, value), part)) =
            fields.iter().zip(&parts).find(|((_, value), part)| value != *part)
    {
        let mut path = at.to_vec();
        path.push(Key(key));
        let place = device.bad(&path, &format!("`{key}` is `{value}`")).message;
        rule = format!("{rule}: the name says `{part}`, {place}");
    }
    bad(rule)
}

fn read_services(
    layout: &Layout<'_>,
    device: &File<'_>,
    entry: &Object,
    at: &[Step<'_>],
) -> Result<Vec<Service>, Problem> {
    let listed = device.objects(entry, at, "serviceTypeCapabilities")?;
    let mut services = Vec::with_capacity(listed.len());
    let (mut ids, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for (n, item) in listed.into_iter().enumerate() {
        let mut here = at.to_vec();
        here.extend([Key("serviceTypeCapabilities"), Index(n)]);
        let id = device.text(item, &here, "serviceId")?;
        let kind = device.text(item, &here, "serviceType")?;
        kinds.insert(kind);
        if !ids.insert(id) {
            return Err(device.bad(&here, &format!("the serviceId `{id}` is there twice")));
        }
        let Some(found) = layout.services.get(kind) else {
            let text =
                format!("serviceType `{kind}` has no file `service/{kind}/profile/{SERVICE_FILE}`");
            return Err(device.bad(&here, &text));
        };
        let file = File::parse(found.path, found.bytes)?;
        let (mut service, offline) = read_kind(&file, id, kind, item)?;
        put(&mut service.extra, offline);
        services.push(service);
    }
    match layout.services.iter().find(|(kind, _)| !kinds.contains(*kind)) {
        None => Ok(services),
        Some((kind, file)) => Err(Problem::new(
            "import.foreign_file",
            format!("`{}`: `{}` lists no serviceType `{kind}`", file.path, layout.device.path),
        )),
    }
}

/// Reads the file of a service type for one service id; returns what only the archive says of it.
fn read_kind(
    file: &File<'_>,
    id: &str,
    kind: &str,
    listed: &Object,
) -> Result<(Service, Object), Problem> {
    let entries = file.objects(&file.root, &[], "services")?;
    let [entry] = entries[..] else {
        let text = format!("`services` has {} items; one service type has one", entries.len());
        return Err(file.bad(&[Key("services")], &text));
    };
    let at = [Key("services"), Index(0)];
    let named = file.text(entry, &at, "serviceType")?;
    if named != kind {
        let text = format!("serviceType is `{named}`, the folder is called `{kind}`");
        return Err(file.bad(&[at[0], at[1], Key("serviceType")], &text));
    }
    let mut capability = ServiceCapability {
        service_id: id.to_owned(),
        service_type: Some(kind.to_owned()),
        description: text_of(entry, "description"),
        option: text_of(listed, "option"),
        title: text_of(listed, "title"),
        ..ServiceCapability::default()
    };
    let lists = Lists { file, at: &at, entry };
    capability.properties = lists.read("properties", read_property)?;
    capability.commands = lists.read("commands", read_command)?;
    capability.events = lists.read("events", read_event)?;
    let mut service =
        read_service(&capability).map_err(|text| file.bad(&at, &format!("{id}: {text}")))?;
    let Rendered { listed: ours, service: whole } = render_service(&service);
    // Members keep their own differences; these are those of the service itself.
    keep_members(&mut service, entry, &whole);
    let mut offline = Object::new();
    let heads = |object: &Object| -> Object {
        let is_head = |key: &str| !["properties", "commands", "events"].contains(&key);
        object.iter().filter(|(key, _)| is_head(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    offline.insert("listed".into(), Value::Object(differences(listed, &ours)));
    let mut differ = differences(&heads(entry), &heads(&whole));
    for key in ["properties", "commands", "events"] {
        // `null` in place of an empty list, or an absent key.
        let (theirs, ours) = (entry.get(key), whole.get(key));
        let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        if theirs != ours && ours.is_none_or(is_empty) {
            differ.insert(key.into(), pair(theirs, ours));
        }
    }
    offline.insert("service".into(), Value::Object(differ));
    offline.insert("file".into(), Value::Object(outside(&file.root, "services")));
    offline.retain(|_, value| value.as_object().is_some_and(|object| !object.is_empty()));
    Ok((service, offline))
}

struct Lists<'a, 'f> {
    file: &'a File<'f>,
    at: &'a [Step<'a>],
    entry: &'a Object,
}

impl Lists<'_, '_> {
    /// Reads the members of one kind, each checked alone so that the line of an error is known.
    fn read<T, U>(
        &self,
        key: &'static str,
        check: impl Fn(&T) -> Result<U, String>,
    ) -> Result<Vec<T>, Problem>
    where
        T: serde::de::DeserializeOwned,
    {
        let items = self.file.objects(self.entry, self.at, key)?;
        let mut members = Vec::with_capacity(items.len());
        for (n, item) in items.into_iter().enumerate() {
            let mut at = self.at.to_vec();
            at.extend([Key(key), Index(n)]);
            for list in ["paras", "responses"] {
                let inner = self.file.objects(item, &at, list)?;
                for (n, response) in inner.into_iter().enumerate() {
                    let mut at = at.clone();
                    at.extend([Key(list), Index(n)]);
                    self.file.objects(response, &at, "paras")?;
                }
            }
            let member: T = serde_json::from_value(Value::Object(renamed(item)))
                .map_err(|error| self.file.bad(&at, &error.to_string()))?;
            if let Err(text) = check(&member) {
                // The text begins with the field or with the parameter that has it.
                let field = text.split(':').next().unwrap_or_default();
                let mut place = at.clone();
                let field = match field.rsplit_once('.') {
                    None => field,
                    Some((parameter, field)) => {
                        place.extend(parameter_steps(item, parameter));
                        field
                    }
                };
                place.push(Key(camel(field)));
                return Err(self.file.bad(&place, &text));
            }
            members.push(member);
        }
        Ok(members)
    }
}

/// Returns the way to the parameter called `id` of a command or event.
fn parameter_steps(item: &Object, id: &str) -> Vec<Step<'static>> {
    let find = |list: &Value| {
        let is_it = |para: &Value| para.get("paraName").and_then(Value::as_str) == Some(id);
        list.as_array()?.iter().position(is_it)
    };
    if let Some(n) = item.get("paras").and_then(find) {
        return Vec::from([Key("paras"), Index(n)]);
    }
    let responses = item.get("responses").and_then(Value::as_array);
    for (m, response) in responses.into_iter().flatten().enumerate() {
        if let Some(n) = response.get("paras").and_then(find) {
            return Vec::from([Key("responses"), Index(m), Key("paras"), Index(n)]);
        }
    }
    Vec::new()
}

/// Writes an element of the archive with the API's names. Zero steps and lengths, empty lists and
/// `null` mean that there is none.
fn renamed(object: &Object) -> Object {
    let mut new = Object::new();
    for (key, value) in object {
        let field = snake(key);
        let value = match value {
            Value::Array(items) => items.iter().map(renamed_value).collect(),
            Value::String(text) if field == "data_type" => data_type(text).into(),
            Value::String(text) if matches!(field, "max_length" | "step") => {
                serde_json::from_str(text).unwrap_or_else(|_| value.clone())
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => value.clone(),
        };
        let is_none = match field {
            "max_length" | "step" => value.as_f64() == Some(0.0),
            "enum_list" => value.as_array().is_some_and(Vec::is_empty),
            "unit" | "description" | "title" => value.as_str() == Some(""),
            _ => false,
        };
        if !is_none && !value.is_null() {
            new.insert(field.to_owned(), value);
        }
    }
    new
}

fn renamed_value(value: &Value) -> Value {
    value.as_object().map_or_else(|| value.clone(), |object| Value::Object(renamed(object)))
}

/// Returns the API's writing of a type name; case differs in the wild.
fn data_type(text: &str) -> &str {
    const NAMES: [&str; 9] = [
        "int",
        "long",
        "decimal",
        "string",
        "DateTime",
        "jsonObject",
        "enum",
        "boolean",
        "string list",
    ];
    // `dateTime` is one of the API's own writings.
    let known = NAMES.iter().find(|name| name.eq_ignore_ascii_case(text) && text != "dateTime");
    known.copied().unwrap_or(text)
}

fn text_of(object: &Object, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(Into::into)
}

/// Descriptive fields of the product.
fn attributes(entry: &Object) -> Object {
    let mut attributes = Object::new();
    for (key, field) in super::write::ATTRIBUTES {
        if let Some(text) = text_of(entry, key) {
            attributes.insert(field.into(), text.into());
        }
    }
    attributes
}

/// Lets each member keep what only the archive says of it.
fn keep_members(service: &mut Service, theirs: &Object, ours: &Object) {
    let lists = |object: &Object, key: &str| -> Vec<Object> {
        let items = object.get(key).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(|item| item.as_object().cloned()).collect()
    };
    let differ = |key: &str| {
        let pairs = lists(theirs, key).into_iter().zip(lists(ours, key));
        pairs.map(|(theirs, ours)| differences(&theirs, &ours)).collect::<Vec<_>>()
    };
    for (property, offline) in service.properties.iter_mut().zip(differ("properties")) {
        put(&mut property.extra, offline);
    }
    for (command, offline) in service.commands.iter_mut().zip(differ("commands")) {
        put(&mut command.extra, offline);
    }
    for (event, offline) in service.events.iter_mut().zip(differ("events")) {
        put(&mut event.extra, offline);
    }
}

fn put(extra: &mut Extra, offline: Object) {
    if !offline.is_empty() {
        extra.insert(OFFLINE.into(), Value::Object(offline));
    }
}

/// Returns what two writings of one element differ in: `{key: [theirs, ours]}`, an absent value
/// being an empty list of one.
fn differences(theirs: &Object, ours: &Object) -> Object {
    let keys = theirs.keys().chain(ours.keys().filter(|key| !theirs.contains_key(*key)));
    let differ = keys.filter(|key| theirs.get(*key) != ours.get(*key));
    differ.map(|key| (super::marked(key), pair(theirs.get(key), ours.get(key)))).collect()
}

fn pair(theirs: Option<&Value>, ours: Option<&Value>) -> Value {
    let side = |value: Option<&Value>| Value::Array(value.into_iter().cloned().collect());
    Value::Array(Vec::from([side(theirs), side(ours)]))
}

/// What a file says beside its one list.
fn outside(root: &Object, list: &str) -> Object {
    let others = root.iter().filter(|(key, _)| key.as_str() != list);
    others.map(|(key, value)| (format!("/{key}"), pair(Some(value), None))).collect()
}
