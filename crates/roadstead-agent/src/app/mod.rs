//! What a device does: the seam, and a virtual lamp that obeys any thing model.

mod lamp;

use roadstead_core::{Map, Value};
use roadstead_dialects::device::{Event, Request};

pub use lamp::Lamp;

/// The application of a device. It is called from the device's loop and must not block.
pub trait Application: Send {
    /// Takes an event; what it wants is appended to `out` and performed at once.
    fn handle(&mut self, event: &Event, out: &mut Vec<Request>);

    /// The user at the device set these properties.
    fn change(&mut self, properties: Map<String, Value>, out: &mut Vec<Request>);
}
