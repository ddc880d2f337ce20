//! `/provisioning-templates`: how devices with certificates of a registered authority register
//! themselves.
//!
//! Source: Huawei §9.2; models `CreateProvisioningTemplate`, `UpdateProvisioningTemplate`,
//! `ShowProvisioningTemplateResponse` of the northbound SDK.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::port::TrustFilter;
use roadstead_core::trust::{Template, TemplateBody};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::PageView;
use super::extract::{Body, Id, Paging, Params};
use super::failure::{Failure, NorthError};
use super::view::compact;
use crate::service::{Caller, Platform};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(list_templates, create_template)).routes(routes!(
        show_template,
        update_template,
        delete_template
    ))
}

/// A template to create.
#[derive(Deserialize, ToSchema)]
struct NewTemplate {
    /// Unique in the space.
    template_name: String,
    description: Option<String>,
    /// `{"parameters": {...}, "resources": {"device": {...}, "policy": {...}}}`.
    #[schema(value_type = Object)]
    template_body: TemplateBody,
}

/// What changes of a template; absent fields stay.
#[derive(Deserialize, ToSchema)]
struct TemplateChange {
    description: Option<String>,
    #[schema(value_type = Option<Object>)]
    template_body: Option<TemplateBody>,
}

/// A template.
#[derive(Serialize, ToSchema)]
struct TemplateView {
    template_id: String,
    template_name: String,
    description: String,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    template_body: Option<TemplateBody>,
    create_time: String,
    update_time: String,
}

impl TemplateView {
    fn new(template: &Template) -> Self {
        Self {
            template_id: (*template.id).into(),
            template_name: (*template.name).into(),
            description: (*template.description).into(),
            template_body: None,
            create_time: compact(template.created_at),
            update_time: compact(template.updated_at),
        }
    }

    fn whole(template: Template) -> Json<Self> {
        let view = Self::new(&template);
        Json(Self { template_body: Some(template.body), ..view })
    }
}

/// A page of templates.
#[derive(Serialize, ToSchema)]
struct TemplatePage {
    templates: Vec<TemplateView>,
    page: PageView,
}

/// Which templates.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct TemplateQuery {
    /// With exactly this name.
    template_name: Option<String>,
}

/// Lists templates, newest first.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/provisioning-templates",
    tag = "provisioning-templates",
    params(("project_id" = String, Path), TemplateQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = TemplatePage), (status = "4XX", body = NorthError)),
)]
async fn list_templates(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<TemplateQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<TemplatePage>, Failure> {
    let name = query.template_name.map(Into::into);
    let filter = TrustFilter { space: Some(caller.space), name, ..TrustFilter::default() };
    let listing = platform.trusted_list::<Template>(&filter, &paging.page()?).await?;
    let page = PageView::new(listing.total, listing.items.last().map(|item| &*item.id));
    let templates = listing.items.iter().map(TemplateView::new).collect();
    Ok(Json(TemplatePage { templates, page }))
}

/// Creates a template.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/provisioning-templates",
    tag = "provisioning-templates",
    params(("project_id" = String, Path)),
    request_body = NewTemplate,
    security(("token" = ["operator"])),
    responses((status = 201, body = TemplateView), (status = "4XX", body = NorthError)),
)]
async fn create_template(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<NewTemplate>,
) -> Result<(StatusCode, Json<TemplateView>), Failure> {
    let NewTemplate { template_name, description, template_body } = body;
    let description = description.unwrap_or_default();
    let template = platform
        .create_template(&caller.space, &template_name, &description, template_body)
        .await?;
    Ok((StatusCode::CREATED, TemplateView::whole(template)))
}

/// Shows a template.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/provisioning-templates/{template_id}",
    tag = "provisioning-templates",
    params(("project_id" = String, Path), ("template_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = TemplateView), (status = "4XX", body = NorthError)),
)]
async fn show_template(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<TemplateView>, Failure> {
    Ok(TemplateView::whole(platform.trusted(&caller.space, &id).await?))
}

/// Changes a template.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/provisioning-templates/{template_id}",
    tag = "provisioning-templates",
    params(("project_id" = String, Path), ("template_id" = String, Path)),
    request_body = TemplateChange,
    security(("token" = ["operator"])),
    responses((status = 200, body = TemplateView), (status = "4XX", body = NorthError)),
)]
async fn update_template(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<TemplateChange>,
) -> Result<Json<TemplateView>, Failure> {
    let description = body.description.as_deref();
    let template =
        platform.update_template(&caller.space, &id, description, body.template_body).await?;
    Ok(TemplateView::whole(template))
}

/// Deletes a template that no authority uses.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/provisioning-templates/{template_id}",
    tag = "provisioning-templates",
    params(("project_id" = String, Path), ("template_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_template(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.delete_template(&caller.space, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
