//! Topic aliases of MQTT 5, both directions; they live as long as the connection.
//!
//! Source: MQTT 5.0 section 3.3.2.3.4.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU16;

use crate::mqtt::packet::{Publish, Reason};

/// Aliases that the peer has set.
#[derive(Debug, Default)]
pub(super) struct Inbound(Vec<Option<Arc<str>>>);

impl Inbound {
    /// Puts the topic back and takes the alias away.
    pub(super) fn resolve(&mut self, publish: &mut Publish, max: u16) -> Result<(), Reason> {
        let Some(alias) = publish.properties.as_mut().and_then(|p| p.topic_alias.take()) else {
            return Ok(());
        };
        if alias.get() > max {
            return Err(Reason::TopicAliasInvalid);
        }
        let at = usize::from(alias.get()) - 1;
        if publish.topic.is_empty() {
            match self.0.get(at) {
                Some(Some(topic)) => publish.topic = Arc::clone(topic),
                // MQTT-3.3.2-12: an alias that was never set.
                Some(None) | None => return Err(Reason::ProtocolError),
            }
        } else {
            if self.0.len() <= at {
                self.0.resize(at + 1, None);
            }
            self.0[at] = Some(Arc::clone(&publish.topic));
        }
        publish.properties = publish.properties.take().filter(|p| !p.is_empty());
        Ok(())
    }
}

/// Aliases that we set: the first topics get one and keep it.
#[derive(Debug)]
pub(super) struct Outbound {
    max: u16,
    topics: BTreeMap<Arc<str>, NonZeroU16>,
}

impl Outbound {
    /// `None` when no alias may be used.
    pub(super) fn new(max: u16) -> Option<Box<Self>> {
        (max > 0).then(|| Box::new(Self { max, topics: BTreeMap::new() }))
    }

    /// Replaces a known topic by its alias, or sets an alias beside the topic.
    pub(super) fn apply(&mut self, publish: &mut Publish) {
        let alias = match self.topics.get(&publish.topic) {
            Some(&alias) => {
                publish.topic = Arc::from("");
                alias
            }
            None => {
                let next = u16::try_from(self.topics.len() + 1).ok().filter(|n| *n <= self.max);
                let Some(alias) = next.and_then(NonZeroU16::new) else { return };
                self.topics.insert(Arc::clone(&publish.topic), alias);
                alias
            }
        };
        publish.properties.get_or_insert_default().topic_alias = Some(alias);
    }
}
