//! A space: one tenant.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{SpaceId, Timestamp};

/// One tenant; users, products and devices of two spaces never see each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// 32 hex digits; the `project_id` of the northbound API.
    pub id: SpaceId,
    /// Display name.
    pub name: Box<str>,
    /// True for the space that `up` creates on its first start.
    pub is_default: bool,
    /// When it was created.
    pub created_at: Timestamp,
}
