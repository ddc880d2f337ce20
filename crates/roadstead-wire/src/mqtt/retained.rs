//! Retained messages: at most one per topic, found by filter.
//!
//! A trie of topic levels, as [`trie`](super::trie), but walked by a filter. Bounded in messages
//! and bytes; a message that does not fit is refused and changes nothing. Expiry is the caller's
//! `now` against the expiry given with the message.
//!
//! Source: MQTT 5.0 sections 3.3.1.3 (RETAIN) and 3.3.2.3.3 (message expiry).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::packet::{PublishProperties, QoS};
use super::topic::{Filter, check_name};
use super::trie::{Level, split};

/// What one message costs beside topic and payload, in bytes; an estimate for the bound.
const ENTRY_BYTES: usize = 160;

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages.
    pub messages_max: usize,
    /// Topics, payloads and bookkeeping, in bytes.
    pub size_bytes_max: usize,
}

/// Why a message is not retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetainError {
    /// The topic is not a valid topic name.
    #[error("topic name is not valid")]
    Topic,
    /// [`Limits::messages_max`] is reached.
    #[error("too many retained messages")]
    Messages,
    /// [`Limits::size_bytes_max`] would be exceeded.
    #[error("retained messages take too much room")]
    Size,
}

impl RetainError {
    /// Returns the name, for traces; the platform maps it to a failure code.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Topic => "retain.topic",
            Self::Messages => "retain.messages",
            Self::Size => "retain.size",
        }
    }
}

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its payload, which does not share the read buffer.
    pub payload: Bytes,
    /// The QoS that it was published with.
    pub qos: QoS,
    /// Properties that are forwarded.
    pub properties: Option<Box<PublishProperties>>,
    /// When it is no longer sent, in milliseconds of the caller's clock.
    pub expires_ms: Option<u64>,
}

impl Retained {
    fn cost(&self) -> usize {
        ENTRY_BYTES + self.topic.len() + self.payload.len()
    }

    fn is_alive(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|expires| now_ms < expires)
    }
}

/// All retained messages.
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    root: Node,
    len: usize,
    size_bytes: usize,
}

#[derive(Debug, Default)]
struct Node {
    children: Level<Self>,
    message: Option<Box<Retained>>,
}

impl Store {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        Self { limits, root: Node::default(), len: 0, size_bytes: 0 }
    }

    /// Returns the number of messages, expired ones included until [`sweep`](Self::sweep).
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true without a message.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the accounted size in bytes.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Keeps `message` as the one of its topic; an empty payload clears the topic. Returns true
    /// when an older message was replaced or cleared.
    ///
    /// # Errors
    ///
    /// A limit is reached; nothing has changed then.
    pub fn set(&mut self, mut message: Retained) -> Result<bool, RetainError> {
        if message.payload.is_empty() {
            return Ok(self.clear(&message.topic));
        }
        check_name(&message.topic).map_err(|_| RetainError::Topic)?;
        let old = self.root.find(&message.topic).map(Retained::cost);
        if old.is_none() && self.len >= self.limits.messages_max {
            return Err(RetainError::Messages);
        }
        let size_bytes = self.size_bytes - old.unwrap_or(0) + message.cost();
        if size_bytes > self.limits.size_bytes_max {
            return Err(RetainError::Size);
        }
        message.payload = Bytes::copy_from_slice(&message.payload);
        let mut node = &mut self.root;
        let topic = Arc::clone(&message.topic);
        for level in topic.split('/') {
            node = node.children.child(level);
        }
        node.message = Some(Box::new(message));
        self.size_bytes = size_bytes;
        self.len += usize::from(old.is_none());
        Ok(old.is_some())
    }

    /// Forgets the message of `topic`; returns true when there was one.
    pub fn clear(&mut self, topic: &str) -> bool {
        match self.root.take(topic) {
            Some(old) => {
                self.len -= 1;
                self.size_bytes -= old.cost();
                true
            }
            None => false,
        }
    }

    /// Calls `visit` for every living message that `filter` matches. The caller asks for no
    /// shared subscription: those get no retained messages.
    pub fn matches<'a>(
        &'a self,
        filter: Filter<'_>,
        now_ms: u64,
        mut visit: impl FnMut(&'a Retained),
    ) {
        let mut alive = |message: &'a Retained| {
            if message.is_alive(now_ms) {
                visit(message);
            }
        };
        self.root.matches(Some(filter.as_str()), true, &mut alive);
    }

    /// Frees expired messages and returns how many; walks everything, so call it rarely.
    pub fn sweep(&mut self, now_ms: u64) -> usize {
        let mut expired = Vec::new();
        self.root.matches_below(true, true, &mut |message| {
            if !message.is_alive(now_ms) {
                expired.push(Arc::clone(&message.topic));
            }
        });
        expired.iter().filter(|topic| self.clear(topic)).count()
    }
}

impl Node {
    fn find(&self, topic: &str) -> Option<&Retained> {
        let mut node = self;
        for level in topic.split('/') {
            node = node.children.find(level)?;
        }
        node.message.as_deref()
    }

    /// Takes the message out and frees nodes that became useless.
    fn take(&mut self, topic: &str) -> Option<Box<Retained>> {
        let (level, tail) = split(topic);
        let child = self.children.find_mut(level)?;
        let message = match tail {
            Some(tail) => child.take(tail)?,
            None => child.message.take()?,
        };
        if child.message.is_none() && child.children.is_empty() {
            self.children.remove(level);
        }
        Some(message)
    }

    /// `rest` is what of the filter is below this node; `root` guards `$` topics.
    fn matches<'a>(&'a self, rest: Option<&str>, root: bool, visit: &mut impl FnMut(&'a Retained)) {
        let Some(rest) = rest else {
            return self.message.iter().for_each(|message| visit(message));
        };
        let (level, tail) = split(rest);
        match level {
            "#" => self.matches_below(root, false, visit),
            "+" => self.children.for_each(|name, child| {
                if !(root && name.starts_with('$')) {
                    child.matches(tail, false, visit);
                }
            }),
            _ => {
                if let Some(child) = self.children.find(level) {
                    child.matches(tail, false, visit);
                }
            }
        }
    }

    /// Everything from here on; `$` topics of the root only with `system`.
    fn matches_below<'a>(&'a self, root: bool, system: bool, visit: &mut impl FnMut(&'a Retained)) {
        self.message.iter().for_each(|message| visit(message));
        self.children.for_each(|name, child| {
            if !root || system || !name.starts_with('$') {
                child.matches_below(false, system, visit);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { messages_max: 3, size_bytes_max: 3 * ENTRY_BYTES + 20 };

    fn message(topic: &str, payload: &'static str) -> Retained {
        Retained {
            topic: topic.into(),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            properties: None,
            expires_ms: None,
        }
    }

    fn found(store: &Store, filter: &str, now_ms: u64) -> Vec<String> {
        let mut found = Vec::new();
        store.matches(Filter::parse(filter).unwrap(), now_ms, |m| found.push(m.topic.to_string()));
        found.sort();
        found
    }

    #[test]
    fn bounds_hold_and_clearing_frees() {
        let mut store = Store::new(LIMITS);
        assert_eq!(store.set(message("a", "1")), Ok(false));
        assert_eq!(store.set(message("a", "12")), Ok(true));
        assert_eq!(store.set(message("a/b", "1")), Ok(false));
        assert_eq!(store.set(message("a/c", "12345678901234567890")), Err(RetainError::Size));
        assert_eq!(store.set(message("a/c", "1")), Ok(false));
        assert_eq!(store.set(message("d", "1")), Err(RetainError::Messages));
        assert_eq!(store.set(message("a/+", "1")), Err(RetainError::Topic));
        assert_eq!(found(&store, "a/#", 0), ["a", "a/b", "a/c"]);
        assert_eq!(store.set(message("a/b", "")), Ok(true));
        assert_eq!(store.set(message("a/b", "")), Ok(false));
        assert!(store.clear("a") && store.clear("a/c") && store.is_empty());
        assert_eq!(store.size_bytes(), 0);
        assert!(store.root.children.is_empty(), "nodes are freed");
    }

    #[test]
    fn expired_messages_are_not_seen_and_swept() {
        let mut store = Store::new(LIMITS);
        store.set(Retained { expires_ms: Some(10), ..message("$SYS/a", "1") }).unwrap();
        store.set(message("b", "1")).unwrap();
        assert_eq!(found(&store, "$SYS/a", 9), ["$SYS/a"]);
        assert!(found(&store, "$SYS/a", 10).is_empty());
        assert_eq!((store.sweep(9), store.sweep(10), store.len()), (0, 1, 1));
    }

    proptest! {
        #[test]
        fn finds_what_the_filter_matches(
            topics in prop::collection::btree_set("[$ab]?[ab](/[ab]?){0,3}", 0..20),
            filter in "([$ab+]|[ab])(/[ab+]?){0,3}(/#)?",
        ) {
            prop_assume!(Filter::parse(&filter).is_ok());
            let limits = Limits { messages_max: 100, size_bytes_max: 1 << 20 };
            let mut store = Store::new(limits);
            for topic in &topics {
                store.set(message(topic, "x")).unwrap();
            }
            let parsed = Filter::parse(&filter).unwrap();
            let expected: Vec<_> =
                topics.iter().filter(|topic| parsed.matches(topic)).cloned().collect();
            prop_assert_eq!(found(&store, &filter, 0), expected);
        }
    }
}
