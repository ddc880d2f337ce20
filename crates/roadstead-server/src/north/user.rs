//! `/users` and `/access-keys`: people of a space and the keys they sign with. An addition to v5.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::Secret;
use roadstead_core::user::{AccessKey, Role, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id};
use super::failure::{Failure, NorthError};
use super::view::compact;
use crate::service::{Caller, NewUser, Platform};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_users, create_user))
        .routes(routes!(show_user, update_user, delete_user))
        .routes(routes!(list_access_keys, create_access_key))
        .routes(routes!(delete_access_key))
}

/// A user.
#[derive(Serialize, ToSchema)]
struct UserView {
    /// Stable id.
    user_id: String,
    /// Sign-in name.
    username: String,
    /// `member`, `viewer`, `operator` or `admin`.
    #[schema(value_type = String)]
    role: Role,
    /// When it was created.
    create_time: String,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            user_id: user.id.to_string(),
            username: (*user.name).into(),
            role: user.role,
            create_time: compact(user.created_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct UserList {
    users: Vec<UserView>,
}

/// Lists the users of the space.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/users",
    tag = "users",
    params(("project_id" = String, Path)),
    security(("token" = ["admin"])),
    responses((status = 200, body = UserList), (status = "4XX", body = NorthError)),
)]
async fn list_users(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<UserList>, Failure> {
    let users = platform.users(&caller.space).await?;
    Ok(Json(UserList { users: users.iter().map(UserView::from).collect() }))
}

/// A user to create.
#[derive(Deserialize, ToSchema)]
struct UserToCreate {
    /// Sign-in name, unique in the instance.
    username: String,
    /// Password, at least 8 bytes.
    password: String,
    /// `member` unless told otherwise.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
}

/// Creates a user.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/users",
    tag = "users",
    params(("project_id" = String, Path)),
    request_body = UserToCreate,
    security(("token" = ["admin"])),
    responses((status = 201, body = UserView), (status = "4XX", body = NorthError)),
)]
async fn create_user(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<UserToCreate>,
) -> Result<(StatusCode, Json<UserView>), Failure> {
    let password = Secret::from(new.password);
    let role = new.role.unwrap_or(Role::Member);
    let asked = NewUser { name: &new.username, password: &password, role };
    let created = platform.create_user(&caller.space, asked).await?;
    let user = platform.user(&caller.space, created.user.as_str()).await?;
    Ok((StatusCode::CREATED, Json(UserView::from(&user))))
}

/// Shows a user, by id or sign-in name.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/users/{user_id}",
    tag = "users",
    params(("project_id" = String, Path), ("user_id" = String, Path)),
    security(("token" = ["admin"])),
    responses((status = 200, body = UserView), (status = "4XX", body = NorthError)),
)]
async fn show_user(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<UserView>, Failure> {
    let user = platform.user(&caller.space, &id).await?;
    Ok(Json(UserView::from(&user)))
}

/// What to change; absent fields stay.
#[derive(Deserialize, ToSchema)]
struct UserPatch {
    /// New password.
    password: Option<String>,
    /// New role.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
}

/// Changes role or password of a user. The last administrator keeps its role.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/users/{user_id}",
    tag = "users",
    params(("project_id" = String, Path), ("user_id" = String, Path)),
    request_body = UserPatch,
    security(("token" = ["admin"])),
    responses((status = 200, body = UserView), (status = "4XX", body = NorthError)),
)]
async fn update_user(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(patch): Body<UserPatch>,
) -> Result<Json<UserView>, Failure> {
    let password = patch.password.map(Secret::from);
    let user = platform.update_user(&caller.space, &id, patch.role, password.as_ref()).await?;
    Ok(Json(UserView::from(&user)))
}

/// Deletes a user that owns no devices.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/users/{user_id}",
    tag = "users",
    params(("project_id" = String, Path), ("user_id" = String, Path)),
    security(("token" = ["admin"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_user(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.delete_user(&caller.space, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An access key.
#[derive(Serialize, ToSchema)]
struct AccessKeyView {
    /// Public part (AK).
    access_key: String,
    /// Secret part (SK); shown once, when the key is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key: Option<String>,
    /// Region for derived signatures.
    region: String,
    /// When it was created.
    create_time: String,
}

impl AccessKeyView {
    fn new(platform: &Platform, key: &AccessKey, with_secret: bool) -> Self {
        let secret = key.secret.expose_text().filter(|_| with_secret);
        Self {
            access_key: (*key.id).into(),
            secret_key: secret.map(Into::into),
            region: platform.config().north.region.clone(),
            create_time: compact(key.created_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct AccessKeyList {
    access_keys: Vec<AccessKeyView>,
}

/// Lists the caller's access keys without their secrets.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/access-keys",
    tag = "users",
    params(("project_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = AccessKeyList), (status = "4XX", body = NorthError)),
)]
async fn list_access_keys(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<AccessKeyList>, Failure> {
    let keys = platform.access_keys(&caller).await?;
    let access_keys = keys.iter().map(|key| AccessKeyView::new(&platform, key, false)).collect();
    Ok(Json(AccessKeyList { access_keys }))
}

/// Makes an access key of the caller; the answer is the only one that shows its secret.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/access-keys",
    tag = "users",
    params(("project_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 201, body = AccessKeyView), (status = "4XX", body = NorthError)),
)]
async fn create_access_key(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<AccessKeyView>), Failure> {
    let key = platform.create_access_key(&caller).await?;
    Ok((StatusCode::CREATED, Json(AccessKeyView::new(&platform, &key, true))))
}

/// Deletes an access key: one's own, or of anybody in the space for administrators.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/access-keys/{access_key}",
    tag = "users",
    params(("project_id" = String, Path), ("access_key" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_access_key(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.delete_access_key(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
