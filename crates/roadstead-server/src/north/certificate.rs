//! `/certificates` and `/device-certificates`: authorities of device makers, and the device
//! certificates they vouched for.
//!
//! Source: Huawei §9.2, §9.9; models `CreateCertificateDTO`, `ShowCertificateResponse`,
//! `VerifyCertificateDTO`, `ListDeviceCertificateResponse` of the northbound SDK.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::port::TrustFilter;
use roadstead_core::trust::{Authority, DeviceCertificate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Paging, Params};
use super::failure::{Failure, NorthError};
use super::view::compact;
use super::{AppQuery, PageView, scope};
use crate::service::{AuthorityPatch, Caller, Platform};

/// Returns the routes of these nouns.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_certificates, add_certificate))
        .routes(routes!(show_certificate, update_certificate, delete_certificate))
        .routes(routes!(check_certificate))
        .routes(routes!(list_device_certificates))
        .routes(routes!(
            show_device_certificate,
            update_device_certificate,
            delete_device_certificate
        ))
        .routes(routes!(list_certificate_devices))
}

/// An authority to upload.
#[derive(Deserialize, ToSchema)]
struct NewCertificate {
    /// The certificate, PEM.
    content: String,
    /// The space; the project's when absent.
    app_id: Option<String>,
}

/// An authority.
#[derive(Serialize, ToSchema)]
struct CertificateView {
    certificate_id: String,
    /// Common name of the subject.
    cn_name: String,
    /// Organisation of the subject.
    owner: String,
    /// True once somebody proved to hold its key; its devices cannot log in before.
    status: bool,
    /// What the proof must carry as its common name.
    verify_code: String,
    /// Unknown devices register themselves by the template.
    provision_enable: bool,
    template_id: Option<String>,
    /// Revocation is not checked on line: always false.
    ocsp_enable: bool,
    ocsp_server_ca_id: Option<String>,
    ocsp_ssl_enable: bool,
    create_date: String,
    effective_date: String,
    expiry_date: String,
    /// The certificate, PEM; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

impl From<&Authority> for CertificateView {
    fn from(authority: &Authority) -> Self {
        Self {
            certificate_id: (*authority.id).into(),
            cn_name: (*authority.common_name).into(),
            owner: (*authority.owner).into(),
            status: authority.verified,
            verify_code: (*authority.verify_code).into(),
            provision_enable: authority.provision,
            template_id: authority.template.as_deref().map(Into::into),
            ocsp_enable: false,
            ocsp_server_ca_id: None,
            ocsp_ssl_enable: false,
            create_date: compact(authority.created_at),
            effective_date: compact(authority.effective_at),
            expiry_date: compact(authority.expires_at),
            content: None,
        }
    }
}

/// A page of authorities.
#[derive(Serialize, ToSchema)]
struct CertificatePage {
    certificates: Vec<CertificateView>,
    page: PageView,
}

/// Lists authorities, newest first.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/certificates",
    tag = "certificates",
    params(("project_id" = String, Path), AppQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = CertificatePage), (status = "4XX", body = NorthError)),
)]
async fn list_certificates(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<AppQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<CertificatePage>, Failure> {
    let space = scope(&platform, &caller, query.app_id.as_deref()).await?;
    let filter = TrustFilter { space: Some(space.id), ..TrustFilter::default() };
    let listing = platform.trusted_list::<Authority>(&filter, &paging.page()?).await?;
    let page = PageView::new(listing.total, listing.items.last().map(|item| &*item.id));
    let certificates = listing.items.iter().map(Into::into).collect();
    Ok(Json(CertificatePage { certificates, page }))
}

/// Uploads an authority. It is trusted after `action_id=verify`.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/certificates",
    tag = "certificates",
    params(("project_id" = String, Path)),
    request_body = NewCertificate,
    security(("token" = ["operator"])),
    responses((status = 201, body = CertificateView), (status = "4XX", body = NorthError)),
)]
async fn add_certificate(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<NewCertificate>,
) -> Result<(StatusCode, Json<CertificateView>), Failure> {
    let space = scope(&platform, &caller, body.app_id.as_deref()).await?;
    let authority = platform.add_authority(&space.id, &body.content).await?;
    Ok((StatusCode::CREATED, Json((&authority).into())))
}

/// Shows an authority with its certificate.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/certificates/{certificate_id}",
    tag = "certificates",
    params(("project_id" = String, Path), ("certificate_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = CertificateView), (status = "4XX", body = NorthError)),
)]
async fn show_certificate(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<CertificateView>, Failure> {
    let authority: Authority = platform.trusted(&caller.space, &id).await?;
    let content = Some((*authority.pem).into());
    Ok(Json(CertificateView { content, ..(&authority).into() }))
}

/// What changes of an authority; absent fields stay.
#[derive(Deserialize, ToSchema)]
struct CertificateChange {
    /// Unknown devices register themselves by the template.
    provision_enable: Option<bool>,
    /// Id of the template; an empty one removes it.
    template_id: Option<String>,
    /// Only false: revocation is not checked on line.
    ocsp_enable: Option<bool>,
    /// Only false.
    ocsp_ssl_enable: Option<bool>,
    /// Only absent.
    ocsp_server_ca_id: Option<String>,
}

/// Changes an authority.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/certificates/{certificate_id}",
    tag = "certificates",
    params(("project_id" = String, Path), ("certificate_id" = String, Path)),
    request_body = CertificateChange,
    security(("token" = ["operator"])),
    responses((status = 200, body = CertificateView), (status = "4XX", body = NorthError)),
)]
async fn update_certificate(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<CertificateChange>,
) -> Result<Json<CertificateView>, Failure> {
    let asks = body.ocsp_enable == Some(true)
        || body.ocsp_ssl_enable == Some(true)
        || body.ocsp_server_ca_id.is_some_and(|id| !id.is_empty());
    if asks {
        // A setting that is kept but not enforced would be worse than a refusal.
        let text = "ocsp_enable: revocation is not checked on line; set a device certificate \
                    INACTIVE instead";
        return Err(Failure::bad(text));
    }
    let patch = AuthorityPatch {
        provision: body.provision_enable,
        template: body.template_id.map(Into::into),
    };
    let authority = platform.update_authority(&caller.space, &id, patch).await?;
    Ok(Json((&authority).into()))
}

/// Forgets an authority; its devices do not log in again.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/certificates/{certificate_id}",
    tag = "certificates",
    params(("project_id" = String, Path), ("certificate_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_certificate(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.delete_authority(&caller.space, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The proof of holding an authority's key.
#[derive(Deserialize, ToSchema)]
struct Proof {
    /// A certificate that the authority signed, with the verify code as its common name, PEM.
    verify_content: String,
}

/// What to do with an authority.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ActionQuery {
    /// `verify`.
    action_id: String,
}

/// Proves that the caller holds the authority's key.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/certificates/{certificate_id}/action",
    tag = "certificates",
    params(("project_id" = String, Path), ("certificate_id" = String, Path), ActionQuery),
    request_body = Proof,
    security(("token" = ["operator"])),
    responses((status = 200, body = CertificateView), (status = "4XX", body = NorthError)),
)]
async fn check_certificate(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<ActionQuery>,
    Body(body): Body<Proof>,
) -> Result<Json<CertificateView>, Failure> {
    if query.action_id != "verify" {
        return Err(Failure::bad(format!("action_id: `{}` is not verify", query.action_id)));
    }
    let authority = platform.verify_authority(&caller.space, &id, &body.verify_content).await?;
    Ok(Json((&authority).into()))
}

/// A device certificate.
#[derive(Serialize, ToSchema)]
struct DeviceCertificateView {
    certificate_id: String,
    common_name: String,
    expiry_date: String,
    /// SHA-256, hex.
    fingerprint: String,
    /// `ACTIVE` or `INACTIVE`.
    status: &'static str,
    /// The certificate, PEM; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_pem: Option<String>,
}

impl From<&DeviceCertificate> for DeviceCertificateView {
    fn from(certificate: &DeviceCertificate) -> Self {
        Self {
            certificate_id: (*certificate.id).into(),
            common_name: (*certificate.common_name).into(),
            expiry_date: compact(certificate.expires_at),
            fingerprint: (*certificate.digest).into(),
            status: if certificate.active { "ACTIVE" } else { "INACTIVE" },
            certificate_pem: None,
        }
    }
}

impl DeviceCertificateView {
    fn whole(certificate: &DeviceCertificate) -> Self {
        let certificate_pem = Some((*certificate.pem).into());
        Self { certificate_pem, ..certificate.into() }
    }
}

/// A page of device certificates.
#[derive(Serialize, ToSchema)]
struct DeviceCertificatePage {
    device_certificates: Vec<DeviceCertificateView>,
    page: PageView,
}

/// Which device certificates.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DeviceCertificateQuery {
    /// With exactly this common name.
    common_name: Option<String>,
    /// With this SHA-256 digest; case and colons do not matter.
    fingerprint: Option<String>,
}

/// Lists device certificates, newest first.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/device-certificates",
    tag = "certificates",
    params(("project_id" = String, Path), DeviceCertificateQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = DeviceCertificatePage), (status = "4XX", body = NorthError)),
)]
async fn list_device_certificates(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<DeviceCertificateQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<DeviceCertificatePage>, Failure> {
    let key = query.fingerprint.map(|text| text.replace(':', "").to_ascii_lowercase());
    let filter = TrustFilter {
        space: Some(caller.space),
        name: query.common_name.map(Into::into),
        key: key.map(Into::into),
    };
    let listing = platform.trusted_list::<DeviceCertificate>(&filter, &paging.page()?).await?;
    let page = PageView::new(listing.total, listing.items.last().map(|item| &*item.id));
    let device_certificates = listing.items.iter().map(Into::into).collect();
    Ok(Json(DeviceCertificatePage { device_certificates, page }))
}

/// Shows a device certificate.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/device-certificates/{certificate_id}",
    tag = "certificates",
    params(("project_id" = String, Path), ("certificate_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = DeviceCertificateView), (status = "4XX", body = NorthError)),
)]
async fn show_device_certificate(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<DeviceCertificateView>, Failure> {
    let certificate = platform.trusted::<DeviceCertificate>(&caller.space, &id).await?;
    Ok(Json(DeviceCertificateView::whole(&certificate)))
}

/// Status of a device certificate.
#[derive(Deserialize, ToSchema)]
struct StatusChange {
    /// `ACTIVE` or `INACTIVE`.
    status: String,
}

/// Switches a device certificate on or off; off ends the connections of its devices.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/device-certificates/{certificate_id}",
    tag = "certificates",
    params(("project_id" = String, Path), ("certificate_id" = String, Path)),
    request_body = StatusChange,
    security(("token" = ["operator"])),
    responses((status = 200, body = DeviceCertificateView), (status = "4XX", body = NorthError)),
)]
async fn update_device_certificate(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<StatusChange>,
) -> Result<Json<DeviceCertificateView>, Failure> {
    let active = match &*body.status {
        "ACTIVE" => true,
        "INACTIVE" => false,
        other => {
            return Err(Failure::bad(format!("status: `{other}` is not ACTIVE or INACTIVE")));
        }
    };
    let certificate = platform.set_certificate_status(&caller.space, &id, active).await?;
    Ok(Json(DeviceCertificateView::whole(&certificate)))
}

/// Forgets an inactive device certificate.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/device-certificates/{certificate_id}",
    tag = "certificates",
    params(("project_id" = String, Path), ("certificate_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_device_certificate(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.delete_certificate(&caller.space, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A device that used a certificate.
#[derive(Serialize, ToSchema)]
struct CertificateDevice {
    app_id: String,
    device_id: String,
    node_id: String,
    gateway_id: String,
    device_name: String,
    product_id: String,
}

/// A page of devices.
#[derive(Serialize, ToSchema)]
struct CertificateDevices {
    devices: Vec<CertificateDevice>,
    page: PageView,
}

/// Lists the devices that logged in with a certificate, oldest first.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/device-certificates/{certificate_id}/list-device",
    tag = "certificates",
    params(("project_id" = String, Path), ("certificate_id" = String, Path)),
    request_body = Paging,
    security(("token" = ["viewer"])),
    responses((status = 200, body = CertificateDevices), (status = "4XX", body = NorthError)),
)]
async fn list_certificate_devices(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    paging: Option<Body<Paging>>,
) -> Result<Json<CertificateDevices>, Failure> {
    let wanted = paging.map_or_else(Paging::default, |Body(paging)| paging).page()?;
    let certificate = platform.trusted::<DeviceCertificate>(&caller.space, &id).await?;
    let start = match &wanted.after {
        Some(after) => {
            let at = certificate.devices.iter().position(|device| device.as_str() == &**after);
            at.map_or(certificate.devices.len(), |at| at + 1)
        }
        None => 0,
    };
    let mut devices = Vec::new();
    let ids = certificate.devices.iter().skip(start + wanted.offset as usize);
    for id in ids.take(wanted.limit as usize) {
        // It may have been deleted since.
        let Some(device) = platform.store().device(id).await? else { continue };
        devices.push(CertificateDevice {
            app_id: device.space.to_string(),
            device_id: device.id.to_string(),
            node_id: (*device.node).into(),
            gateway_id: device.gateway.as_ref().unwrap_or(&device.id).to_string(),
            device_name: (*device.name).into(),
            product_id: device.product.to_string(),
        });
    }
    let total = certificate.devices.len() as u64;
    let page = PageView::new(total, devices.last().map(|device| &*device.device_id));
    Ok(Json(CertificateDevices { devices, page }))
}
