//! Requests of the platform that wait for the device's answer.
//!
//! Firmware reads the id of a request as a number of 31 bits and prints it back, so the ids are
//! small numbers; they begin at a random one, so that an answer to an earlier connection is not
//! taken for one of this.
//!
//! Source: Alibaba §8; C SDKs (`atoi` of the id).

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::command::CommandError;
use roadstead_core::{Map, RequestId, Value};

/// Most requests open at once on one connection.
const OPEN_MAX: usize = 256;
/// Numbers begin below this.
const FIRST_MASK: u64 = 0x3fff_ffff;
/// Largest number used.
const NUMBER_MAX: u32 = 0x7fff_fffe;

/// What is expected back.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// These properties are taken, as on the wire.
    Set(Map<String, Value>),
    /// Values of properties.
    Get,
    /// Output of a command: service and command.
    Command(Box<str>, Box<str>),
    /// Opaque bytes.
    Call,
}

struct Open {
    number: u32,
    id: RequestId,
    /// ProductKey and DeviceName it was sent to.
    node: (Box<str>, Box<str>),
    wanted: Wanted,
}

/// The table. Empty in an idle connection.
pub(super) struct Pending {
    next: u32,
    open: Vec<Open>,
}

impl Pending {
    /// Returns an empty table.
    pub(super) fn new(random: u64) -> Self {
        // Fits: the mask has 30 bits.
        Self { next: (random & FIRST_MASK) as u32 + 1, open: Vec::new() }
    }

    /// Returns the number of a request that nobody waits for.
    pub(super) fn number(&mut self) -> String {
        let number = self.next;
        self.next = if self.next >= NUMBER_MAX { 1 } else { self.next + 1 };
        number.to_string()
    }

    /// Notes a request and returns its number.
    ///
    /// # Errors
    ///
    /// `Busy` when too many are open.
    pub(super) fn open(
        &mut self,
        id: Option<RequestId>,
        (product, node): (&str, &str),
        wanted: Wanted,
    ) -> Result<String, CommandError> {
        if let Some(id) = id {
            if self.open.len() >= OPEN_MAX {
                return Err(CommandError::Busy);
            }
            let node = (product.into(), node.into());
            self.open.push(Open { number: self.next, id, node, wanted });
        }
        Ok(self.number())
    }

    /// Takes out the request that a device answers.
    pub(super) fn take(
        &mut self,
        number: &str,
        (product, node): (&str, &str),
    ) -> Option<(RequestId, Wanted)> {
        let number: u32 = number.parse().ok()?;
        let is_it = |open: &Open| {
            open.number == number && *open.node.0 == *product && *open.node.1 == *node
        };
        let at = self.open.iter().position(is_it)?;
        let Open { id, wanted, .. } = self.open.swap_remove(at);
        Some((id, wanted))
    }

    /// Takes out a synchronous request by its number alone: the topic of its answer, chosen by
    /// us, proves nothing more.
    pub(super) fn take_call(&mut self, number: &str) -> Option<(RequestId, Wanted)> {
        let number: u32 = number.parse().ok()?;
        let is_it = |open: &Open| {
            open.number == number && matches!(open.wanted, Wanted::Call | Wanted::Command(..))
        };
        let at = self.open.iter().position(is_it)?;
        let Open { id, wanted, .. } = self.open.swap_remove(at);
        Some((id, wanted))
    }

    /// Takes out the oldest request whose properties a report carries with those very values:
    /// clients that only report have obeyed by that.
    pub(super) fn take_fulfilled(
        &mut self,
        (product, node): (&str, &str),
        reported: &Map<String, Value>,
    ) -> Option<RequestId> {
        let at = self.open.iter().position(|open| {
            let Wanted::Set(wanted) = &open.wanted else { return false };
            let is_there = |(key, value): (&String, &Value)| reported.get(key) == Some(value);
            *open.node.0 == *product && *open.node.1 == *node && wanted.iter().all(is_there)
        })?;
        Some(self.open.remove(at).id)
    }

    /// Forgets a request.
    pub(super) fn forget(&mut self, id: RequestId) {
        self.open.retain(|open| open.id != id);
        if self.open.is_empty() {
            self.open = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LAMP: (&str, &str) = ("a1", "lamp");

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    #[test]
    fn answers_find_their_requests() {
        let mut pending = Pending::new(u64::MAX);
        let first = pending.open(Some(RequestId(7)), LAMP, Wanted::Get).expect("room");
        let second = pending.open(Some(RequestId(8)), LAMP, Wanted::Call).expect("room");
        assert!(first.parse::<i32>().is_ok(), "firmware reads a signed number of 32 bits");
        assert_eq!(pending.take(&first, ("a1", "fan")), None, "another device's answer");
        assert_eq!(pending.take(&first, LAMP), Some((RequestId(7), Wanted::Get)));
        assert_eq!(pending.take(&first, LAMP), None, "once");
        assert_eq!(pending.take_call(&second), Some((RequestId(8), Wanted::Call)));
        assert_eq!(pending.take("no number", LAMP), None);
        let nobody = pending.open(None, LAMP, Wanted::Get).expect("room");
        assert_eq!(pending.take(&nobody, LAMP), None);
    }

    #[test]
    fn a_report_of_the_wanted_values_is_an_answer() {
        let mut pending = Pending::new(1);
        let wanted = Wanted::Set(map(json!({"on": 1})));
        pending.open(Some(RequestId(1)), LAMP, wanted).expect("room");
        assert_eq!(pending.take_fulfilled(LAMP, &map(json!({"on": 0}))), None);
        assert_eq!(pending.take_fulfilled(("a1", "fan"), &map(json!({"on": 1}))), None);
        let reported = map(json!({"on": 1, "more": 2}));
        assert_eq!(pending.take_fulfilled(LAMP, &reported), Some(RequestId(1)));
        assert_eq!(pending.take_fulfilled(LAMP, &reported), None);
    }

    #[test]
    fn numbers_wrap_and_the_table_is_bounded() {
        let mut pending = Pending { next: NUMBER_MAX, open: Vec::new() };
        assert_eq!(pending.number(), NUMBER_MAX.to_string());
        assert_eq!(pending.number(), "1");
        for n in 0..OPEN_MAX as u64 {
            pending.open(Some(RequestId(n)), LAMP, Wanted::Get).expect("room");
        }
        assert!(pending.open(Some(RequestId(999)), LAMP, Wanted::Get).is_err());
        pending.forget(RequestId(3));
        assert!(pending.open(Some(RequestId(999)), LAMP, Wanted::Get).is_ok());
    }
}
