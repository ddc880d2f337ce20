//! What a device may publish and subscribe. A denial wins over a permission; a device with at
//! least one policy may do only what one of them allows; a device without any may do what its
//! dialect allows.
//!
//! Resources are `topic:NAME`. In a name, `${devices.deviceId}` stands for the device's id, `*`
//! for any characters and `?` for one (UNVERIFIED: the vendor's document names the characters,
//! not their meaning). `+` and `#` are themselves, so a filter is matched as it is written.
//!
//! Source: Huawei §9.2; comments of the SDK model `Statement`.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{SpaceId, Timestamp};

/// Most statements of a policy.
const STATEMENTS_MAX: usize = 10;
/// Most resources of a statement (SDK model `Statement`).
const RESOURCES_MAX: usize = 10;
/// Longest resource, bytes.
const RESOURCE_BYTES_MAX: usize = 256;
/// The variable that stands for the device's id.
const DEVICE_VARIABLE: &str = "${devices.deviceId}";
/// Characters a resource may have beside letters and digits.
const RESOURCE_PUNCTUATION: &str = "/{}$=+#?*:._-";

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Stable id.
    pub id: Box<str>,
    /// Tenant.
    pub space: SpaceId,
    /// Unique in its space.
    pub name: Box<str>,
    /// What it says.
    pub statements: Vec<Statement>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Whether it allows or denies.
    pub effect: Effect,
    /// What.
    pub actions: Vec<Action>,
    /// On which topics.
    pub resources: Vec<Box<str>>,
}

/// Whether a rule allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Effect {
    /// Allows.
    Allow,
    /// Denies.
    Deny,
}

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Publishes to a topic.
    #[serde(rename = "iotda:devices:publish")]
    Publish,
    /// Subscribes to a filter.
    #[serde(rename = "iotda:devices:subscribe")]
    Subscribe,
}

/// What a policy may be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// One device.
    Device,
    /// All devices of a product.
    Product,
    /// All devices of a space.
    App,
}

/// Something that a policy is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// Its id.
    pub id: Box<str>,
}

/// What the policies of a device say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One allows it and none denies it, or there is none.
    Allowed,
    /// One denies it.
    Denied,
    /// None allows it.
    NotAllowed,
}

/// A rule of policies that is broken; the text names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

impl Policy {
    /// Checks what the API limits.
    ///
    /// # Errors
    ///
    /// Which field breaks which rule.
    pub fn check(&self) -> Result<(), PolicyError> {
        let bad = |text: String| Err(PolicyError(text));
        let is_name = |c: char| c.is_alphanumeric() || "_?'#().,&%@!-".contains(c);
        if !(1..=64).contains(&self.name.chars().count()) || !self.name.chars().all(is_name) {
            return bad("policy_name: 1 to 64 letters, digits and _?'#().,&%@!-".into());
        }
        if !(1..=STATEMENTS_MAX).contains(&self.statements.len()) {
            return bad(format!("statement: 1 to {STATEMENTS_MAX}"));
        }
        for statement in &self.statements {
            if statement.actions.is_empty() {
                return bad("actions: at least one".into());
            }
            if !(1..=RESOURCES_MAX).contains(&statement.resources.len()) {
                return bad(format!("resources: 1 to {RESOURCES_MAX}"));
            }
            for resource in &statement.resources {
                let fits = |c: char| c.is_ascii_alphanumeric() || RESOURCE_PUNCTUATION.contains(c);
                let topic = resource.strip_prefix("topic:").unwrap_or_default();
                if topic.is_empty() || resource.len() > RESOURCE_BYTES_MAX {
                    return bad(format!(
                        "resources: `{resource}` is not `topic:NAME` of at most \
                         {RESOURCE_BYTES_MAX} bytes"
                    ));
                }
                if !resource.chars().all(fits) {
                    return bad(format!(
                        "resources: `{resource}` has characters other than letters, digits and \
                         {RESOURCE_PUNCTUATION}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Decides about an action with all policies of a device.
    pub fn decide<'a>(
        policies: impl Iterator<Item = &'a Self>,
        device: &str,
        action: Action,
        topic: &str,
    ) -> Verdict {
        let mut verdict = Verdict::Allowed;
        let mut is_allowed = false;
        for policy in policies {
            verdict = Verdict::NotAllowed;
            for statement in policy.statements.iter().filter(|s| s.actions.contains(&action)) {
                let mut names = statement
                    .resources
                    .iter()
                    .map(|resource| resource.strip_prefix("topic:").unwrap_or(resource));
                match (statement.effect, names.any(|name| matches(name, device, topic))) {
                    (Effect::Deny, true) => return Verdict::Denied,
                    (Effect::Allow, true) => is_allowed = true,
                    (Effect::Deny | Effect::Allow, false) => {}
                }
            }
        }
        if is_allowed { Verdict::Allowed } else { verdict }
    }
}

/// Matches a topic against a pattern, in time linear in the product of both lengths and without
/// recursion.
fn matches(pattern: &str, device: &str, topic: &str) -> bool {
    let pattern = pattern.replace(DEVICE_VARIABLE, device);
    let (pattern, topic) = (pattern.as_bytes(), topic.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and how much of the topic it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < topic.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == topic[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn policy(statements: &[(Effect, &[Action], &str)]) -> Policy {
        Policy {
            id: "p".into(),
            space: "s".into(),
            name: "p".into(),
            statements: statements
                .iter()
                .map(|(effect, actions, resource)| Statement {
                    effect: *effect,
                    actions: actions.to_vec(),
                    resources: vec![(*resource).into()],
                })
                .collect(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    #[test]
    fn denial_wins_and_silence_denies() {
        use Action::{Publish, Subscribe};
        let own = policy(&[
            (Effect::Allow, &[Publish, Subscribe], "topic:/v1/${devices.deviceId}/*"),
            (Effect::Deny, &[Publish], "topic:/v1/*/secret"),
        ]);
        let other = policy(&[(Effect::Allow, &[Publish], "topic:/v1/lamp/secret")]);
        let (none, both) = (&[][..], [own, other]);
        let (own, other) = (&both[..1], &both[1..]);
        for (policies, action, topic, expected) in [
            (none, Publish, "/any", Verdict::Allowed),
            (own, Publish, "/v1/lamp/up", Verdict::Allowed),
            (own, Publish, "/v1/fan/up", Verdict::NotAllowed),
            (own, Subscribe, "/v1/lamp/#", Verdict::Allowed),
            (own, Subscribe, "/v1/#", Verdict::NotAllowed),
            (&both, Publish, "/v1/lamp/secret", Verdict::Denied),
            (other, Publish, "/v1/lamp/secret", Verdict::Allowed),
            (other, Subscribe, "/v1/lamp/secret", Verdict::NotAllowed),
        ] {
            assert_eq!(Policy::decide(policies.iter(), "lamp", action, topic), expected, "{topic}");
        }
    }

    #[test]
    fn patterns_match_as_written() {
        for (pattern, topic, expected) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("*", "", true),
            ("/a/*", "/a/b/c", true),
            ("/*/c", "/a/b/c", true),
            ("/*/c", "/a/b/d", false),
            ("/?", "/a", true),
            ("/?", "/", false),
            ("/a/#", "/a/b", false),
            ("/a/+", "/a/+", true),
            ("${devices.deviceId}/*x*", "lamp/axb", true),
        ] {
            assert_eq!(matches(pattern, "lamp", topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        let good = policy(&[(Effect::Allow, &[Action::Publish], "topic:/a")]);
        assert_eq!(good.check(), Ok(()));
        for (resource, expected) in [
            ("/a", "is not `topic:NAME`"),
            ("topic:", "is not `topic:NAME`"),
            ("topic:/a b", "characters other than"),
        ] {
            let mut bad = good.clone();
            bad.statements[0].resources = vec![resource.into()];
            assert!(bad.check().expect_err("bad").0.contains(expected));
        }
        for change in [
            (|p: &mut Policy| p.statements.clear()) as fn(&mut Policy),
            |p| p.statements[0].actions.clear(),
            |p| p.statements[0].resources.clear(),
            |p| p.name = "".into(),
            |p| p.name = "a b".into(),
        ] {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_star_takes_anything(head in "[a-c/]{0,5}", middle in "[a-c/]{0,9}", tail in "[a-c/]{0,5}") {
            let pattern = format!("{head}*{tail}");
            let topic = format!("{head}{middle}{tail}");
            prop_assert!(matches(&pattern, "d", &topic));
        }

        #[test]
        fn nothing_panics(pattern in "[a*?]{0,12}", topic in "[ab]{0,12}") {
            // The same answer as trying every way to stretch the stars.
            fn slow(p: &[u8], t: &[u8]) -> bool {
                match (p.first(), t.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => slow(&p[1..], t) || (!t.is_empty() && slow(p, &t[1..])),
                    (Some(&c), Some(&d)) if c == b'?' || c == d => slow(&p[1..], &t[1..]),
                    _ => false,
                }
            }
            let expected = slow(pattern.as_bytes(), topic.as_bytes());
            prop_assert_eq!(matches(&pattern, "d", &topic), expected);
        }
    }
}
