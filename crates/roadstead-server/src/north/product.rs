//! `/products`. Shapes of v5, with additions for what v5 lacks: `dialect`, `secret`, `auth`,
//! `dynamic_registration`, `rebind`, and `model`, a thing-model document in any vendor's own
//! format, recognised by content.
//!
//! Source: Huawei §7.1, §9.2; models `AddProduct`, `UpdateProduct`, `ShowProductResponse`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::product::{Auth, Product, Rebind, Registration};
use roadstead_core::space::Space;
use roadstead_core::user::Role;
use roadstead_core::{Map, Secret, Value};
use roadstead_dialects::capability::{ServiceCapability, merge_extra, read_model, write_model};
use roadstead_dialects::{ALL, Dialect, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Paging, Params};
use super::failure::{Failure, NorthError};
use super::view::compact;
use super::{AppQuery, PageView, scope};
use crate::service::{Caller, NewProduct, Platform, ProductPatch, import_model};

/// Fields that the platform keeps and shows but does not interpret.
const ATTRIBUTES: [&str; 8] = [
    "device_type",
    "protocol_type",
    "data_format",
    "manufacturer_name",
    "industry",
    "description",
    "manufacturer_id",
    "device_model",
];

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(list_products, create_product)).routes(routes!(
        show_product,
        update_product,
        delete_product
    ))
}

/// A product to create or to change; absent fields stay.
#[derive(Deserialize, ToSchema)]
struct ProductBody {
    /// The vendor's own id; made when absent.
    product_id: Option<String>,
    /// Display name.
    name: Option<String>,
    /// Kind of device.
    device_type: Option<String>,
    /// `MQTT`, …
    protocol_type: Option<String>,
    /// `json` or `binary`.
    data_format: Option<String>,
    /// The thing model.
    service_capabilities: Option<Vec<ServiceCapability>>,
    manufacturer_name: Option<String>,
    industry: Option<String>,
    description: Option<String>,
    /// English id of the manufacturer, for archives (addition to v5).
    manufacturer_id: Option<String>,
    /// The manufacturer's name of the model, for archives (addition to v5).
    device_model: Option<String>,
    /// The space to create it in; the project's when absent.
    app_id: Option<String>,
    /// The vendor whose language its devices speak (addition to v5).
    dialect: Option<String>,
    /// Product secret as the vendor shows it (addition to v5).
    secret: Option<String>,
    /// `secret` or `certificate` (addition to v5).
    #[schema(value_type = Option<String>)]
    auth: Option<Auth>,
    /// `off`, `preregistered` or `open` (addition to v5).
    #[schema(value_type = Option<String>)]
    dynamic_registration: Option<Registration>,
    /// `refuse` or `transfer` (addition to v5).
    #[schema(value_type = Option<String>)]
    rebind: Option<Rebind>,
    /// A thing-model document in a vendor's own format, in place of `service_capabilities`
    /// (addition to v5).
    #[schema(value_type = Option<Object>)]
    model: Option<Value>,
}

/// A product.
#[derive(Serialize, ToSchema)]
pub(super) struct ProductView {
    app_id: String,
    app_name: String,
    product_id: String,
    name: String,
    device_type: String,
    protocol_type: String,
    data_format: String,
    manufacturer_name: String,
    industry: String,
    description: String,
    /// English id of the manufacturer, where an archive named one (addition to v5).
    #[serde(skip_serializing_if = "String::is_empty")]
    manufacturer_id: String,
    /// The manufacturer's name of the model, where an archive named one (addition to v5).
    #[serde(skip_serializing_if = "String::is_empty")]
    device_model: String,
    /// The thing model; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_capabilities: Option<Vec<ServiceCapability>>,
    /// When it was created, `yyyyMMdd'T'HHmmss'Z'`.
    create_time: String,
    /// The vendor whose language its devices speak.
    dialect: String,
    /// Product secret, to operators; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[schema(value_type = String)]
    auth: Auth,
    #[schema(value_type = String)]
    dynamic_registration: Registration,
    #[schema(value_type = String)]
    rebind: Rebind,
}

impl ProductView {
    fn new(product: &Product, space: &Space) -> Self {
        let attribute = |key: &str| {
            product.attributes.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Self {
            app_id: space.id.to_string(),
            app_name: (*space.name).into(),
            product_id: product.id.to_string(),
            name: (*product.name).into(),
            device_type: attribute("device_type"),
            protocol_type: attribute("protocol_type"),
            data_format: attribute("data_format"),
            manufacturer_name: attribute("manufacturer_name"),
            industry: attribute("industry"),
            description: attribute("description"),
            manufacturer_id: attribute("manufacturer_id"),
            device_model: attribute("device_model"),
            service_capabilities: None,
            create_time: compact(product.created_at),
            dialect: (*product.dialect).into(),
            secret: None,
            auth: product.auth,
            dynamic_registration: product.registration,
            rebind: product.rebind,
        }
    }

    /// The whole product; its secret only to those who may change it.
    pub(super) fn whole(product: &Product, space: &Space, role: Role) -> Self {
        let secret = product.secret.as_ref().filter(|_| role >= Role::Operator);
        Self {
            service_capabilities: Some(write_model(&product.model)),
            secret: secret.and_then(|s| s.expose_text().map(Into::into)),
            ..Self::new(product, space)
        }
    }
}

/// A page of products.
#[derive(Serialize, ToSchema)]
struct ProductPage {
    products: Vec<ProductView>,
    page: PageView,
}

/// Which products.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ProductQuery {
    /// Of this space; the project's when absent.
    app_id: Option<String>,
    /// With exactly this name.
    product_name: Option<String>,
}

/// Lists products, by id.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/products",
    tag = "products",
    params(("project_id" = String, Path), ProductQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = ProductPage), (status = "4XX", body = NorthError)),
)]
async fn list_products(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ProductQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<ProductPage>, Failure> {
    let space = scope(&platform, &caller, query.app_id.as_deref()).await?;
    let name = query.product_name.as_deref();
    let listing = platform.products(&space.id, name, &paging.page()?).await?;
    let page = PageView::new(listing.total, listing.items.last().map(|p| p.id.as_str()));
    let products = listing.items.iter().map(|p| ProductView::new(p, &space)).collect();
    Ok(Json(ProductPage { products, page }))
}

/// Creates a product.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/products",
    tag = "products",
    params(("project_id" = String, Path)),
    request_body = ProductBody,
    security(("token" = ["operator"])),
    responses((status = 201, body = ProductView), (status = "4XX", body = NorthError)),
)]
async fn create_product(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ProductBody>,
) -> Result<(StatusCode, Json<ProductView>), Failure> {
    let space = scope(&platform, &caller, body.app_id.as_deref()).await?;
    let dialect = body.dialect()?;
    let patch = body.patch(dialect.id())?;
    let new = NewProduct {
        dialect: dialect.id().into(),
        id: body.product_id.unwrap_or_else(|| fresh_product_id(dialect)),
        name: patch.name,
        secret: patch.secret,
        auth: patch.auth.unwrap_or_default(),
        registration: patch.registration.unwrap_or_default(),
        rebind: patch.rebind.unwrap_or_default(),
        model: patch.model.unwrap_or_default(),
        attributes: patch.attributes.unwrap_or_default(),
    };
    let product = platform.create_product(&space.id, new).await?;
    Ok((StatusCode::CREATED, Json(ProductView::whole(&product, &space, caller.role))))
}

/// Shows a product with its thing model.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/products/{product_id}",
    tag = "products",
    params(("project_id" = String, Path), ("product_id" = String, Path), AppQuery),
    security(("token" = ["viewer"])),
    responses((status = 200, body = ProductView), (status = "4XX", body = NorthError)),
)]
async fn show_product(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<AppQuery>,
) -> Result<Json<ProductView>, Failure> {
    let space = scope(&platform, &caller, query.app_id.as_deref()).await?;
    let product = platform.product(&space.id, &id.as_str().into()).await?;
    Ok(Json(ProductView::whole(&product, &space, caller.role)))
}

/// Changes a product; live connections use the change at once.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/products/{product_id}",
    tag = "products",
    params(("project_id" = String, Path), ("product_id" = String, Path)),
    request_body = ProductBody,
    security(("token" = ["operator"])),
    responses((status = 200, body = ProductView), (status = "4XX", body = NorthError)),
)]
async fn update_product(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<ProductBody>,
) -> Result<Json<ProductView>, Failure> {
    let space = scope(&platform, &caller, body.app_id.as_deref()).await?;
    let id = id.as_str().into();
    let stored = platform.product(&space.id, &id).await?;
    if body.dialect.as_deref().is_some_and(|dialect| *dialect != *stored.dialect) {
        return Err(Failure::bad("dialect: a product keeps its dialect"));
    }
    let mut patch = body.patch(&stored.dialect)?;
    if let (Some(model), None) = (&mut patch.model, &body.model) {
        merge_extra(model, &stored.model);
    }
    let product = platform.update_product(&space.id, &id, patch).await?;
    Ok(Json(ProductView::whole(&product, &space, caller.role)))
}

/// Deletes a product without devices.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/products/{product_id}",
    tag = "products",
    params(("project_id" = String, Path), ("product_id" = String, Path), AppQuery),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_product(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<AppQuery>,
) -> Result<StatusCode, Failure> {
    let space = scope(&platform, &caller, query.app_id.as_deref()).await?;
    platform.delete_product(&space.id, &id.as_str().into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl ProductBody {
    /// Returns the dialect that the body names, else the one that recognises its model, else the
    /// one whose own model format is that of this API.
    fn dialect(&self) -> Result<&'static dyn Dialect, Failure> {
        if let Some(name) = &self.dialect {
            let known = || ALL.iter().map(|dialect| dialect.id()).collect::<Vec<_>>().join(", ");
            return roadstead_dialects::find(name)
                .ok_or_else(|| Failure::bad(format!("dialect: `{name}` is none of {}", known())));
        }
        let sample = serde_json::json!({"service_capabilities": []});
        let document = self.model.as_ref().unwrap_or(&sample);
        let recognises = |dialect: &&&dyn Dialect| dialect.import_model(document).is_some();
        match ALL.iter().find(recognises).or(ALL.first()) {
            Some(dialect) => Ok(*dialect),
            None => Err(Failure::bad("dialect: missing")),
        }
    }

    /// Returns what the body says about a product of that dialect.
    fn patch(&self, dialect: &str) -> Result<ProductPatch, Failure> {
        let model = match (&self.model, &self.service_capabilities) {
            (Some(_), Some(services)) if !services.is_empty() => {
                return Err(Failure::bad("either model or service_capabilities"));
            }
            (Some(document), _) => Some(
                import_model(dialect, document)
                    .map_err(|problem| Failure::new(problem.code, problem.message))?,
            ),
            (None, Some(services)) => Some(read_model(services).map_err(in_services)?),
            (None, None) => None,
        };
        let values = [
            &self.device_type,
            &self.protocol_type,
            &self.data_format,
            &self.manufacturer_name,
            &self.industry,
            &self.description,
            &self.manufacturer_id,
            &self.device_model,
        ];
        let given = ATTRIBUTES
            .iter()
            .zip(values)
            .filter_map(|(key, value)| Some(((*key).to_owned(), Value::from(value.as_deref()?))));
        let attributes: Map<String, Value> = given.collect();
        Ok(ProductPatch {
            name: self.name.clone(),
            secret: self.secret.clone().map(Secret::from),
            auth: self.auth,
            registration: self.dynamic_registration,
            rebind: self.rebind,
            model,
            attributes: (!attributes.is_empty()).then_some(attributes),
        })
    }
}

fn in_services(problem: Problem) -> Failure {
    Failure::new(problem.code, format!("service_capabilities: {}", problem.message))
}

/// Makes a product id that the vendor's rules allow: 24 hex digits where they do, else 10 letters
/// and digits.
pub(super) fn fresh_product_id(dialect: &dyn Dialect) -> String {
    let long: String = super::view::fresh_id().chars().take(24).collect();
    match dialect.check_ids(&long, None) {
        Ok(()) => long,
        Err(_) => long.chars().take(10).collect::<String>().to_ascii_uppercase(),
    }
}
