//! A search over devices: a condition, an order, a part of the result.
//!
//! [`parse`](parse()) reads the text, [`Condition::holds`] decides one device. An engine may
//! translate a condition into its own language; it must find the devices for which `holds` is
//! true. What a device lacks compares as false, whatever the operator.
//!
//! Source: Huawei §9.3 (`query-devices`); field names are those of model `SearchDevice`.

mod parse;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use parse::{SearchError, condition, parse};

use crate::device::{Device, Status};
use crate::session::Presence;
use crate::{GroupId, Timestamp, Value};

/// A search as read from its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What must hold; `None` is everything.
    pub condition: Option<Condition>,
    /// In which order; newest first when empty.
    pub order: Vec<Order>,
    /// How many to skip.
    pub offset: u32,
    /// How many to return at the most; `None` when the text does not say.
    pub limit: Option<u32>,
}

/// What must hold for a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Every one of these.
    All(Vec<Condition>),
    /// At least one of these.
    Any(Vec<Condition>),
    /// One comparison.
    Test(Test),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Of what.
    pub field: Field,
    /// How.
    pub op: Op,
    /// With what: one operand, or the list of `in`.
    pub operands: Vec<Operand>,
}

/// A field to order by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which.
    pub field: Field,
    /// The largest first.
    pub descending: bool,
}

/// What a comparison looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Space.
    Space,
    /// When it was created.
    CreatedAt,
    /// Its id.
    Device,
    /// Firmware version that it told.
    Firmware,
    /// Its gateway; itself when it connects directly.
    Gateway,
    /// A static group that it belongs to.
    Group,
    /// Display name.
    Name,
    /// The vendor's name inside the product.
    Node,
    /// `GATEWAY` when it connects directly, `ENDPOINT` otherwise.
    NodeType,
    /// Its product.
    Product,
    /// Software version that it told.
    Software,
    /// State as the APIs show it.
    Status,
    /// The value of this tag.
    Tag(Box<str>),
    /// The key of any tag.
    TagKey,
    /// The value of any tag.
    TagValue,
}

/// How a comparison compares. Texts compare byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Greater.
    Gt,
    /// Less.
    Lt,
    /// Greater or equal.
    Ge,
    /// Less or equal.
    Le,
    /// Matches a pattern: `%` is any text, `_` one character.
    Like,
    /// Equal to one of several.
    In,
    /// Equal to none of several.
    NotIn,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A text.
    Text(Box<str>),
    /// A date; of [`Field::CreatedAt`] alone.
    Date(Timestamp),
}

/// What a condition is decided about.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The device.
    pub device: &'a Device,
    /// Its connection.
    pub presence: &'a Presence,
    /// Its static groups.
    pub groups: &'a [GroupId],
}

impl Condition {
    /// Returns true when the condition holds.
    pub fn holds(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(subject)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(subject)),
            Self::Test(test) => test.holds(subject),
        }
    }
}

impl Test {
    fn holds(&self, subject: Subject<'_>) -> bool {
        if self.field == Field::CreatedAt {
            let at = subject.device.created_at;
            return compare(self.op, &self.operands, |operand| match operand {
                Operand::Date(date) => Some(at.cmp(date)),
                Operand::Text(_) => None,
            });
        }
        values(&self.field, subject).iter().any(|value| self.matches(value))
    }

    fn matches(&self, value: &str) -> bool {
        if let (Op::Like, Some(Operand::Text(pattern))) = (self.op, self.operands.first()) {
            return like(pattern, value);
        }
        compare(self.op, &self.operands, |operand| match operand {
            Operand::Text(text) => Some(value.cmp(text)),
            Operand::Date(_) => None,
        })
    }
}

fn compare(
    op: Op,
    operands: &[Operand],
    order: impl Fn(&Operand) -> Option<core::cmp::Ordering>,
) -> bool {
    let first = || operands.first().and_then(&order);
    let equal = |operand: &Operand| order(operand).is_some_and(|order| order.is_eq());
    match op {
        Op::Eq => first().is_some_and(|order| order.is_eq()),
        Op::Ne => first().is_some_and(|order| order.is_ne()),
        Op::Gt => first().is_some_and(|order| order.is_gt()),
        Op::Lt => first().is_some_and(|order| order.is_lt()),
        Op::Ge => first().is_some_and(|order| order.is_ge()),
        Op::Le => first().is_some_and(|order| order.is_le()),
        Op::Like => false,
        Op::In => operands.iter().any(equal),
        Op::NotIn => !operands.iter().any(equal),
    }
}

impl Field {
    /// Returns the text of a field that a device has at most once, to order by it.
    pub fn text(&self, subject: Subject<'_>) -> Option<String> {
        values(self, subject).into_iter().next().map(Cow::into_owned)
    }
}

/// Returns what a field holds; nothing when the device lacks it.
fn values<'a>(field: &Field, subject: Subject<'a>) -> Vec<Cow<'a, str>> {
    let Subject { device, presence, groups } = subject;
    let told = |key: &str| device.info.get(key).and_then(Value::as_str).map(Cow::Borrowed);
    let one = |value: &'a str| alloc::vec![Cow::Borrowed(value)];
    match field {
        Field::CreatedAt => alloc::vec![Cow::Owned(device.created_at.to_string())],
        Field::Space => one(device.space.as_str()),
        Field::Device => one(device.id.as_str()),
        Field::Firmware => told("fw_version").into_iter().collect(),
        Field::Gateway => one(device.gateway.as_ref().unwrap_or(&device.id).as_str()),
        Field::Group => groups.iter().map(|group| Cow::Borrowed(group.as_str())).collect(),
        Field::Name => one(&device.name),
        Field::Node => one(&device.node),
        Field::NodeType => one(node_type(device)),
        Field::Product => one(device.product.as_str()),
        Field::Software => told("sw_version").into_iter().collect(),
        Field::Status => one(status_word(device.status(presence))),
        Field::Tag(key) => {
            device.tags.get(key).map(|value| (&**value).into()).into_iter().collect()
        }
        Field::TagKey => device.tags.keys().map(|key| Cow::Borrowed(&**key)).collect(),
        Field::TagValue => device.tags.values().map(|value| Cow::Borrowed(&**value)).collect(),
    }
}

/// Returns `GATEWAY` for a device that connects directly, `ENDPOINT` for a sub-device.
pub fn node_type(device: &Device) -> &'static str {
    if device.gateway.is_some() { "ENDPOINT" } else { "GATEWAY" }
}

/// Returns the word of a state.
pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Inactive => "INACTIVE",
        Status::Online => "ONLINE",
        Status::Offline => "OFFLINE",
        Status::Abnormal => "ABNORMAL",
        Status::Frozen => "FROZEN",
    }
}

/// Matches a pattern: `%` is any text, `_` one character, everything else itself.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `%` stands and how much of the text it covers; the rest is tried from there.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '_' || c == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => match star {
                Some((at, covered)) => {
                    star = Some((at, covered + 1));
                    p = at + 1;
                    t = covered + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '%')
}
