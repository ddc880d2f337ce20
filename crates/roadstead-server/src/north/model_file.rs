//! Product files, an addition to v5: a product made of a file, the model of a product replaced by
//! a file, and a product written as one. A file is the body itself or the part `file` of a form;
//! its format (archive, v5 JSON, a vendor's template) is recognised by content.
//!
//! Source: Huawei §7.2; what v5 leaves to the console.

use std::sync::Arc;

use axum::extract::{FromRequest, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use roadstead_core::product::Product;
use roadstead_core::space::Space;
use roadstead_dialects::{ALL, Dialect, Note};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Id, Params};
use super::failure::{Failure, NorthError};
use super::product::{ProductView, fresh_product_id};
use super::{multipart, scope};
use crate::service::model_file::{self, ModelFile};
use crate::service::{Caller, NewProduct, Platform, ProductPatch};

/// Field of a form that holds the file.
const FIELD: &str = "file";

/// Returns the routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(import_product))
        .routes(routes!(export_model, replace_model))
}

/// A file that came with a request.
struct Upload {
    name: Option<String>,
    bytes: Bytes,
}

/// Name of a file that is the whole body.
#[derive(Deserialize)]
struct NameQuery {
    file_name: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let query = Query::<NameQuery>::try_from_uri(request.uri());
        let name = query.map_err(|error| Failure::bad(error.body_text()))?.0.file_name;
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| Failure::new("api.too_large", "the body is too large or was cut off"))?;
        let kind = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let Some(boundary) = multipart::boundary(kind) else {
            return Ok(Self { name, bytes });
        };
        let parts = multipart::parts(&bytes, boundary)
            .ok_or_else(|| Failure::bad("the body is no multipart/form-data"))?;
        let part = parts.iter().find(|part| part.name == FIELD);
        let part = part.ok_or_else(|| Failure::bad(format!("the form has no part `{FIELD}`")))?;
        let name = name.or_else(|| part.file_name.map(Into::into));
        Ok(Self { name, bytes: bytes.slice_ref(part.bytes) })
    }
}

impl Upload {
    fn read(&self) -> Result<ModelFile, Failure> {
        if self.bytes.is_empty() {
            return Err(Failure::bad("the file is empty"));
        }
        Ok(model_file::read(self.name.as_deref(), &self.bytes)?)
    }
}

/// How to make a product of a file.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// The space; the project's when absent.
    app_id: Option<String>,
    /// Name of the file; archives are checked against it. The form's when absent.
    #[expect(dead_code, reason = "read by the upload; here for the documentation")]
    file_name: Option<String>,
    /// Product id; that of the file, else a made one.
    product_id: Option<String>,
    /// Display name; that of the file, else its kind of device.
    name: Option<String>,
    /// The vendor whose language its devices speak; the one whose form the file has, when absent.
    dialect: Option<String>,
    /// True to check only.
    #[serde(default)]
    check: bool,
}

/// What became of a product file.
#[derive(Serialize, ToSchema)]
struct Imported {
    /// The product; absent after a check.
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<ProductView>,
    /// Format that was recognised: `v5`, `zip` or a dialect.
    format: &'static str,
    /// The dialect of the product.
    dialect: &'static str,
    /// What has no counterpart in the dialect of the product.
    #[schema(value_type = Vec<Object>)]
    notes: Vec<Note>,
}

/// Makes a product of a file.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/products/import",
    tag = "products",
    params(("project_id" = String, Path), ImportQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    security(("token" = ["operator"])),
    responses(
        (status = 201, body = Imported), (status = 200, body = Imported),
        (status = "4XX", body = NorthError),
    ),
)]
async fn import_product(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ImportQuery>,
    upload: Upload,
) -> Result<(StatusCode, Json<Imported>), Failure> {
    let space = scope(&platform, &caller, query.app_id.as_deref()).await?;
    let file = upload.read()?;
    let dialect = choose(query.dialect.as_deref(), &file)?;
    let adapted = model_file::fit(&file, dialect)?;
    let imported = Imported {
        product: None,
        format: file.format,
        dialect: dialect.id(),
        notes: adapted.notes,
    };
    if query.check {
        return Ok((StatusCode::OK, Json(imported)));
    }
    let kind = file.packed.attributes.get("device_type").and_then(|kind| kind.as_str());
    let new = NewProduct {
        dialect: dialect.id().into(),
        id: query.product_id.or(file.product).unwrap_or_else(|| fresh_product_id(dialect)),
        name: query.name.or(file.name).or_else(|| kind.map(Into::into)),
        model: adapted.model,
        attributes: file.packed.attributes,
        ..NewProduct::default()
    };
    let product = platform.create_product(&space.id, new).await?;
    let product = Some(ProductView::whole(&product, &space, caller.role));
    Ok((StatusCode::CREATED, Json(Imported { product, ..imported })))
}

fn choose(name: Option<&str>, file: &ModelFile) -> Result<&'static dyn Dialect, Failure> {
    let name = name.or(file.native);
    let found = match name {
        Some(name) => roadstead_dialects::find(name),
        None => ALL.first().copied(),
    };
    found.ok_or_else(|| {
        let known = ALL.iter().map(|dialect| dialect.id()).collect::<Vec<_>>().join(", ");
        Failure::bad(format!("dialect: `{}` is none of {known}", name.unwrap_or_default()))
    })
}

/// Which file.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FileQuery {
    /// The space; the project's when absent.
    app_id: Option<String>,
    /// Name of the file that is the body; archives are checked against it.
    #[expect(dead_code, reason = "read by the upload; here for the documentation")]
    file_name: Option<String>,
}

/// Replaces the thing model of a product by that of a file. Live connections use it at once.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/products/{product_id}/model",
    tag = "products",
    params(("project_id" = String, Path), ("product_id" = String, Path), FileQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    security(("token" = ["operator"])),
    responses((status = 200, body = Imported), (status = "4XX", body = NorthError)),
)]
async fn replace_model(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<FileQuery>,
    upload: Upload,
) -> Result<Json<Imported>, Failure> {
    let (space, stored) = stored(&platform, &caller, &id, query.app_id.as_deref()).await?;
    let file = upload.read()?;
    let dialect = choose(Some(&stored.dialect), &file)?;
    let adapted = model_file::fit(&file, dialect)?;
    let patch = ProductPatch {
        model: Some(adapted.model),
        attributes: Some(file.packed.attributes),
        ..ProductPatch::default()
    };
    let product = platform.update_product(&space.id, &stored.id, patch).await?;
    Ok(Json(Imported {
        product: Some(ProductView::whole(&product, &space, caller.role)),
        format: file.format,
        dialect: dialect.id(),
        notes: adapted.notes,
    }))
}

/// How to write a product.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FormatQuery {
    /// The space; the project's when absent.
    app_id: Option<String>,
    /// `v5` (the default), `zip`, or the dialect whose template to write.
    format: Option<String>,
    /// True for what the format has no counterpart for, in place of the file.
    #[serde(default)]
    report: bool,
}

/// What a format has no counterpart for.
#[derive(Serialize, ToSchema)]
struct ExportReport {
    format: String,
    /// Name that the file would have.
    file_name: String,
    #[schema(value_type = Vec<Object>)]
    notes: Vec<Note>,
}

/// Writes a product as a file.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/products/{product_id}/model",
    tag = "products",
    params(("project_id" = String, Path), ("product_id" = String, Path), FormatQuery),
    security(("token" = ["viewer"])),
    responses(
        (status = 200, content(
            (ExportReport = "application/json"),
            (Vec<u8> = "application/zip"),
        )),
        (status = "4XX", body = NorthError),
    ),
)]
async fn export_model(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<FormatQuery>,
) -> Result<Response, Failure> {
    let (_, product) = stored(&platform, &caller, &id, query.app_id.as_deref()).await?;
    let format = query.format.unwrap_or_else(|| model_file::DOCUMENT.into());
    let written = model_file::write(&product, &format)?;
    if query.report {
        let report = ExportReport { format, file_name: written.name, notes: written.notes };
        return Ok(Json(report).into_response());
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(written.media));
    if let Ok(value) = disposition(&written.name).parse() {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok((headers, written.bytes).into_response())
}

async fn stored(
    platform: &Platform,
    caller: &Caller,
    id: &str,
    app_id: Option<&str>,
) -> Result<(Space, Arc<Product>), Failure> {
    let space = scope(platform, caller, app_id).await?;
    let product = platform.product(&space.id, &id.into()).await?;
    Ok((space, product))
}

/// Names a download (RFC 6266): in ASCII for old clients, whole for the others.
fn disposition(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && c != '"' { c } else { '_' }).collect();
    let coded: String = name
        .bytes()
        .map(|b| match b.is_ascii_alphanumeric() || b"-_.".contains(&b) {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{coded}")
}
