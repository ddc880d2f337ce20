//! Product models of this vendor: its rules, its offline archive, and what a foreign model loses
//! in it. The JSON form is [`crate::capability`], the platform's own.
//!
//! The archive `{deviceType}_{manufacturerId}_{model}.zip` holds
//!
//! ```text
//! profile/devicetype-capability.json                       the product and its service ids
//! service/{ServiceType}/profile/servicetype-capability.json one per service type
//! ```
//!
//! with or without one folder around them, and nothing else: no hidden file, no codec. What the
//! canonical model does not say is kept, so an imported archive is exported equal, file by file.
//! What the archive form does not say (initial values, names for people, …) is written in
//! additional keys; whether the vendor's own import minds them is UNVERIFIED.
//!
//! Not here: compressed bytes, limits of unpacking ([`crate::ArchiveFile`] is unpacked).
//!
//! Source: Huawei §7.1, §7.2; seed huawei-iotda-faq chapter 9.

mod adapt;
mod check;
mod file;
mod locate;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use adapt::adapt;
pub use check::check;
pub use read::import;
pub use write::export;

/// Name of the file that describes the product.
const DEVICE_FILE: &str = "devicetype-capability.json";
/// Name of the file that describes a service type.
const SERVICE_FILE: &str = "servicetype-capability.json";
/// Key of `extra` for what only the archive says: `{key: [original, what we would write]}`.
const OFFLINE: &str = "offline";

/// Goes before a key of an element that would look like one of the file around it.
const MARK: char = '\\';

/// Returns the key of a difference: a leading `/` is for keys of the file around the element.
fn marked(key: &str) -> alloc::string::String {
    match key.starts_with(['/', MARK]) {
        true => alloc::format!("{MARK}{key}"),
        false => key.into(),
    }
}

/// Names of the fields in the archive and in [`crate::capability`].
const FIELDS: [(&str, &str); 12] = [
    ("propertyName", "property_name"),
    ("paraName", "para_name"),
    ("dataType", "data_type"),
    ("enumList", "enum_list"),
    ("maxLength", "max_length"),
    ("defaultValue", "default_value"),
    ("typeDetail", "type_detail"),
    ("commandName", "command_name"),
    ("responseName", "response_name"),
    ("eventType", "event_type"),
    ("serviceId", "service_id"),
    ("serviceType", "service_type"),
];

/// Returns whether a text can stand in the name of an archive and of its folder.
fn is_name_part(text: &str) -> bool {
    !text.contains(['/', '\\', '\0']) && !text.starts_with('.')
}

/// Returns the archive's name of a field.
fn camel(field: &str) -> &str {
    FIELDS.iter().find(|(_, snake)| *snake == field).map_or(field, |(camel, _)| camel)
}

/// Returns the API's name of a field.
fn snake(field: &str) -> &str {
    FIELDS.iter().find(|(camel, _)| *camel == field).map_or(field, |(_, snake)| snake)
}
