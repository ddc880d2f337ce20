//! The two IAM calls that applications make before anything else: password → token, and region
//! name → project id. Source: Huawei §10.1 and the recorded project look-up of the Python SDK.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderName, HeaderValue, StatusCode};
use roadstead_core::space::Space;
use roadstead_core::user::Role;
use roadstead_core::{Secret, SpaceId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::north::extract::{Body, Params};
use crate::north::failure::{Failure, NorthError};
use crate::service::{Caller, Platform};

/// Returns the IAM calls.
pub(in crate::north) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(create_token)).routes(routes!(list_projects))
}

/// A sign-in by password.
#[derive(Deserialize, ToSchema)]
struct TokenRequest {
    auth: AuthRequest,
}

#[derive(Deserialize, ToSchema)]
struct AuthRequest {
    identity: IdentityRequest,
    /// What the token is for. Any domain and project name is taken.
    #[schema(value_type = Option<Object>)]
    #[expect(dead_code, reason = "accepted for compatibility; a user has one project")]
    scope: Option<serde_json::Value>,
}

#[derive(Deserialize, ToSchema)]
struct IdentityRequest {
    /// Must contain `password`.
    methods: Vec<String>,
    password: Option<PasswordRequest>,
}

#[derive(Deserialize, ToSchema)]
struct PasswordRequest {
    user: UserRequest,
}

#[derive(Deserialize, ToSchema)]
struct UserRequest {
    /// Sign-in name.
    name: String,
    /// Password.
    password: String,
}

/// A token as IAM describes it; the token itself is in the header `X-Subject-Token`.
#[derive(Serialize, ToSchema)]
struct TokenResponse {
    token: TokenBody,
}

#[derive(Serialize, ToSchema)]
struct TokenBody {
    /// End of its life, RFC 3339.
    expires_at: String,
    /// Start of its life, RFC 3339.
    issued_at: String,
    /// Always `password`.
    methods: [&'static str; 1],
    /// The project whose id stands in every path of the API.
    project: ProjectRef,
    /// Who signed in.
    user: UserRef,
    /// What the user may do.
    roles: [RoleRef; 1],
    /// Empty: endpoints are those of this server.
    #[schema(value_type = Vec<Object>)]
    catalog: [(); 0],
}

#[derive(Serialize, ToSchema)]
struct ProjectRef {
    id: Box<str>,
    name: Box<str>,
    domain: DomainRef,
}

#[derive(Serialize, ToSchema)]
struct UserRef {
    id: Box<str>,
    name: Box<str>,
    domain: DomainRef,
}

#[derive(Serialize, ToSchema)]
struct DomainRef {
    id: Box<str>,
    name: Box<str>,
}

#[derive(Serialize, ToSchema)]
struct RoleRef {
    #[schema(value_type = String)]
    id: Role,
    #[schema(value_type = String)]
    name: Role,
}

/// Signs in with user name and password.
#[utoipa::path(
    post,
    path = "/v3/auth/tokens",
    tag = "iam",
    operation_id = "create_token",
    request_body = TokenRequest,
    security(()),
    responses(
        (status = 201, body = TokenResponse, headers(("X-Subject-Token" = String))),
        (status = 401, body = NorthError),
    ),
)]
async fn create_token(
    State(platform): State<Arc<Platform>>,
    Body(request): Body<TokenRequest>,
) -> Result<Response, Failure> {
    let identity = request.auth.identity;
    let user = match identity.password {
        Some(password) if identity.methods.iter().any(|m| m == "password") => password.user,
        Some(_) | None => return Err(Failure::bad("auth.identity.methods: only `password`")),
    };
    let password = Secret::from(user.password);
    let life = platform.config().north.token_life;
    let issued_at = platform.clock().now();
    let signed_in = platform
        .sign_in(&user.name, &password, life)
        .await
        .map_err(|error| Failure::from(error).at_sign_in())?;
    let caller = &signed_in.caller;
    if caller.role < Role::Viewer {
        // Phone users have their own API; a token of this one would open nothing.
        platform.sign_out(signed_in.token.expose_text().unwrap_or_default()).await?;
        return Err(Failure::forbidden("phone users sign in at /app/v1/sessions"));
    }
    let space = platform.store().space(&caller.space).await?;
    let space = space.ok_or_else(|| Failure::not_found("project", caller.space.as_str()))?;
    let body = TokenResponse { token: describe(caller, &space, issued_at, signed_in.expires_at) };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    let token = HeaderValue::from_bytes(signed_in.token.expose())
        .map_err(|_| Failure::new("internal.store", "the token is no header value"))?;
    response.headers_mut().insert(HeaderName::from_static("x-subject-token"), token);
    Ok(response)
}

fn describe(caller: &Caller, space: &Space, from: Timestamp, until: Timestamp) -> TokenBody {
    let domain = || DomainRef { id: space.id.as_str().into(), name: space.name.clone() };
    TokenBody {
        expires_at: until.to_string(),
        issued_at: from.to_string(),
        methods: ["password"],
        project: ProjectRef {
            id: space.id.as_str().into(),
            name: space.name.clone(),
            domain: domain(),
        },
        user: UserRef {
            id: caller.user.as_str().into(),
            name: caller.name.clone(),
            domain: domain(),
        },
        roles: [RoleRef { id: caller.role, name: caller.role }],
        catalog: [],
    }
}

/// Which projects a look-up asks for.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ProjectQuery {
    /// Region name; answered as the name of the project.
    name: Option<String>,
}

/// The projects of the caller.
#[derive(Serialize, ToSchema)]
struct ProjectList {
    projects: Vec<ProjectItem>,
    links: Links,
}

#[derive(Serialize, ToSchema)]
struct ProjectItem {
    /// The id that stands in every path of the API.
    id: Box<str>,
    /// The name that was asked for: SDKs name projects after regions.
    name: Box<str>,
    domain_id: Box<str>,
    enabled: bool,
}

#[derive(Serialize, ToSchema)]
struct Links {}

/// Looks up the project that a region name stands for.
#[utoipa::path(
    get,
    path = "/v3/projects",
    tag = "iam",
    operation_id = "list_projects",
    params(ProjectQuery),
    security(("token" = ["viewer"])),
    responses((status = 200, body = ProjectList), (status = 401, body = NorthError)),
)]
async fn list_projects(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ProjectQuery>,
) -> Result<Json<ProjectList>, Failure> {
    let settings = &platform.config().north;
    let asked = query.name.filter(|name| !settings.region_pinned || *name == settings.region);
    let name = asked.unwrap_or_else(|| settings.region.clone());
    let id: SpaceId = caller.space;
    let project = ProjectItem {
        id: id.as_str().into(),
        name: name.into(),
        domain_id: id.as_str().into(),
        enabled: true,
    };
    Ok(Json(ProjectList { projects: vec![project], links: Links {} }))
}
