//! Typed identifiers: mixing two does not compile.

use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a text; the shape is checked where it enters the system.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// Returns the identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// A tenant; 32 hex digits, shown as `project_id` by the northbound API.
    SpaceId
}
text_id! {
    /// A product: the vendor's own id (ProductId, product_id, ProductKey, product_key).
    ProductId
}
text_id! {
    /// A device, unique in the instance. Vendor-assigned where the vendor assigns one, otherwise
    /// `{product}_{node}`.
    DeviceId
}
text_id! {
    /// A person who owns devices or operates the platform.
    UserId
}
text_id! {
    /// One user's tie to one device.
    BindingId
}
text_id! {
    /// One onboarding attempt.
    AttemptId
}

text_id! {
    /// A group of devices.
    GroupId
}
text_id! {
    /// One asynchronous command of one device.
    CommandId
}
text_id! {
    /// One message of one device.
    MessageId
}

/// A request of the platform that a device will answer; unique for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl DeviceId {
    /// Returns the id of a device whose vendor assigns none: `{product}_{node}`.
    pub fn of_node(product: &ProductId, node: &str) -> Self {
        Self(alloc::format!("{product}_{node}").into())
    }
}
