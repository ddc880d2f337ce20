//! `/app/v1`: what a phone needs. Sign in, make bind tokens, bind, control, share.
//!
//! Nothing here manages a space; everything a caller sees is its own or shared with it. Errors are
//! `{code, message, remedy}`.

mod account;
mod attempt;
mod binding;
mod device;
mod enrollee;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use crate::service::Platform;

/// Returns the operations of the phone API.
pub(crate) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .merge(account::routes())
        .merge(binding::routes())
        .merge(device::routes())
        .merge(attempt::routes())
        .merge(enrollee::routes())
}
