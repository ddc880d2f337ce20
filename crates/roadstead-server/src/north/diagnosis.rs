//! `/devices/{id}/trace`, `/why`, `/presence`, `/failing-devices` and `/strangers`: what happened
//! and why. Additions to v5.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use roadstead_core::Timestamp;
use roadstead_core::device::Status;
use roadstead_core::port::{DeviceFilter, marker};
use roadstead_core::session::Presence;
use roadstead_core::trace::{Entry, Hop};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::PageView;
use super::extract::{Id, Paging, Params};
use super::failure::{Failure, NorthError};
use super::space;
use super::view::{AttemptView, DiagnosisView, ReasonView, parse_when};
use crate::service::{Caller, DeviceView, Evidence, Platform, State as DeviceState, Stranger};

/// Hops listed when the caller names no number.
const TRACE_LISTED: u32 = 100;
/// Strangers listed when the caller names no number, and at most.
const STRANGERS_LISTED: usize = 100;
const STRANGERS_LISTED_MAX: usize = 1000;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(show_trace))
        .routes(routes!(show_why))
        .routes(routes!(show_presence))
        .routes(routes!(list_failing))
        .routes(routes!(list_strangers))
}

/// One hop.
#[derive(Serialize, ToSchema)]
struct EntryView {
    /// When, RFC 3339.
    at: String,
    /// `up`, `down`, `cloud`, `phone` or `api`.
    #[schema(value_type = String)]
    hop: Hop,
    /// What happened.
    what: String,
    /// `ok` or a stable code.
    code: String,
    /// Shared by the hops of one message, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// Evidence.
    text: String,
}

impl From<&Entry> for EntryView {
    fn from(entry: &Entry) -> Self {
        Self {
            at: entry.at.to_string(),
            hop: entry.hop,
            what: (*entry.what).into(),
            code: (*entry.code).into(),
            trace_id: entry.trace_id().map(Into::into),
            text: (*entry.text).into(),
        }
    }
}

/// The trace of a device.
#[derive(Serialize, ToSchema)]
struct TraceView {
    device_id: String,
    /// Newest last.
    entries: Vec<EntryView>,
}

/// Which hops.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct TraceQuery {
    /// After this date: RFC 3339, `yyyyMMdd'T'HHmmss'Z'` or milliseconds.
    since: Option<String>,
    /// Before this date.
    until: Option<String>,
    /// The newest so many, at most 1000; 100 unless told otherwise.
    limit: Option<u32>,
}

/// Shows the hops of a device.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/trace",
    tag = "diagnosis",
    params(("project_id" = String, Path), ("device_id" = String, Path), TraceQuery),
    security(("token" = ["viewer"])),
    responses((status = 200, body = TraceView), (status = "4XX", body = NorthError)),
)]
async fn show_trace(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<TraceQuery>,
) -> Result<Json<TraceView>, Failure> {
    let when = |name: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => match parse_when(&text) {
            Some(at) => Ok(Some(at)),
            None => Err(Failure::bad(format!("{name}: `{text}` is not a date"))),
        },
    };
    let (since, until) = (when("since", query.since)?, when("until", query.until)?);
    let limit = query.limit.unwrap_or(TRACE_LISTED);
    let device = id.as_str().into();
    let entries = platform.trace_of(&caller.space, &device, since, until, limit).await?;
    let entries = entries.iter().map(EntryView::from).collect();
    Ok(Json(TraceView { device_id: id, entries }))
}

/// Why a device is as it is.
#[derive(Serialize, ToSchema)]
struct WhyView {
    device_id: String,
    /// `frozen`, `refused`, `never_seen`, `never_connected`, `offline`, `silent`, `unbound`,
    /// `failing` or `well`.
    #[schema(value_type = String)]
    state: DeviceState,
    /// Stable code of the cause; `ok` when all is well.
    code: String,
    /// What the code means.
    meaning: &'static str,
    /// The usual cause.
    cause: &'static str,
    /// What the verdict rests on, newest last.
    evidence: Vec<EvidenceView>,
    /// What to do.
    remedy: &'static str,
    /// The same cause as `roadstead doctor` finds it in a device's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnosis: Option<DiagnosisView>,
}

/// One thing that a verdict rests on. One of the fields after `kind` is set.
#[derive(Default, Serialize, ToSchema)]
struct EvidenceView {
    /// `presence`, `trace`, `stranger`, `attempt` or `registry`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<PresenceView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<EntryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stranger: Option<StrangerView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<AttemptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'static str>,
}

impl From<&Evidence> for EvidenceView {
    fn from(evidence: &Evidence) -> Self {
        let none = Self::default;
        match evidence {
            Evidence::Presence { presence } => {
                Self { kind: "presence", presence: Some(presence.into()), ..none() }
            }
            Evidence::Trace { entry } => {
                Self { kind: "trace", entry: Some(entry.into()), ..none() }
            }
            Evidence::Stranger { stranger } => {
                Self { kind: "stranger", stranger: Some(stranger.into()), ..none() }
            }
            Evidence::Attempt { attempt } => {
                Self { kind: "attempt", attempt: Some(attempt.into()), ..none() }
            }
            Evidence::Registry { text } => Self { kind: "registry", text: Some(text), ..none() },
        }
    }
}

/// Says why a device is off line, refused, silent or without an owner.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/why",
    tag = "diagnosis",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = WhyView), (status = "4XX", body = NorthError)),
)]
async fn show_why(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<WhyView>, Failure> {
    let verdict = platform.why(&caller.space, &id.as_str().into()).await?;
    Ok(Json(WhyView {
        device_id: id,
        state: verdict.state,
        code: verdict.code.into(),
        meaning: verdict.meaning,
        cause: verdict.cause,
        evidence: verdict.evidence.iter().map(EvidenceView::from).collect(),
        remedy: verdict.remedy,
        diagnosis: verdict.diagnosis.map(DiagnosisView::from),
    }))
}

/// What is known of a device's connection.
#[derive(Serialize, ToSchema)]
struct PresenceView {
    online: bool,
    /// Start of the last session, RFC 3339.
    online_at: Option<String>,
    /// End of the last session, RFC 3339.
    offline_at: Option<String>,
    /// Why the last session ended; a stable code.
    ending: Option<&'static str>,
    /// Remote address.
    peer: Option<String>,
    /// `tcp`, `tls-psk`, …
    transport: Option<String>,
    /// The last refused log-in.
    refusal: Option<ReasonView>,
    /// When it was refused, RFC 3339.
    refused_at: Option<String>,
}

impl From<&Presence> for PresenceView {
    fn from(presence: &Presence) -> Self {
        let date = |at: &Option<Timestamp>| at.as_ref().map(Timestamp::to_string);
        let refusal = presence.refusal.as_ref();
        Self {
            online: presence.online,
            online_at: date(&presence.online_at),
            offline_at: date(&presence.offline_at),
            ending: presence.ending.map(roadstead_core::session::Ending::code),
            peer: presence.peer.as_deref().map(Into::into),
            transport: presence.transport.as_deref().map(Into::into),
            refusal: refusal.map(|(code, _)| ReasonView::new(code, "")),
            refused_at: refusal.map(|(_, at)| at.to_string()),
        }
    }
}

/// The connection of a device.
#[derive(Serialize, ToSchema)]
struct DevicePresence {
    device_id: String,
    #[schema(value_type = String)]
    status: Status,
    #[serde(flatten)]
    presence: PresenceView,
}

/// Shows what is known of a device's connection.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/presence",
    tag = "diagnosis",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = DevicePresence), (status = "4XX", body = NorthError)),
)]
async fn show_presence(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<DevicePresence>, Failure> {
    let device = platform.device(&caller.space, &id.as_str().into()).await?;
    let presence = PresenceView::from(&device.presence);
    Ok(Json(DevicePresence { device_id: id, status: device.status(), presence }))
}

/// A device whose last log-in was refused.
#[derive(Serialize, ToSchema)]
struct FailingView {
    device_id: String,
    node_id: String,
    device_name: String,
    product_id: String,
    #[schema(value_type = String)]
    status: Status,
    /// When it was refused last, RFC 3339.
    refused_at: String,
    /// Why.
    reason: ReasonView,
}

impl FailingView {
    fn of(view: &DeviceView) -> Option<Self> {
        let (code, at) = view.presence.refusal.as_ref()?;
        Some(Self {
            device_id: view.device.id.as_str().into(),
            node_id: (*view.device.node).into(),
            device_name: (*view.device.name).into(),
            product_id: view.device.product.as_str().into(),
            status: view.status(),
            refused_at: at.to_string(),
            reason: ReasonView::new(code, ""),
        })
    }
}

/// A page of failing devices.
#[derive(Serialize, ToSchema)]
struct FailingPage {
    /// The youngest registration first.
    devices: Vec<FailingView>,
    page: PageView,
}

/// Which failing devices.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FailingQuery {
    /// Of this product.
    product_id: Option<String>,
}

/// Lists the devices whose last log-in was refused and that are off line since, each with the
/// reason that the device itself cannot see.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/failing-devices",
    tag = "diagnosis",
    params(("project_id" = String, Path), FailingQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = FailingPage), (status = "4XX", body = NorthError)),
)]
async fn list_failing(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<FailingQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<FailingPage>, Failure> {
    let product = query.product_id.filter(|id| !id.is_empty());
    let filter = DeviceFilter {
        product: product.map(|id| id.as_str().into()),
        failing: true,
        ..DeviceFilter::default()
    };
    let listing = platform.devices(&caller.space, &filter, &paging.newest()?).await?;
    let last = listing.items.last().map(|view| marker(view.device.number));
    let page = PageView::new(listing.total, last.as_deref());
    let devices = listing.items.iter().filter_map(FailingView::of).collect();
    Ok(Json(FailingPage { devices, page }))
}

/// A client that was refused before it could be told apart as a device of ours.
#[derive(Serialize, ToSchema)]
struct StrangerView {
    /// When, RFC 3339.
    at: String,
    peer: Option<String>,
    /// The product it claimed.
    product: Option<String>,
    /// The node or device id it claimed.
    node: Option<String>,
    reason: ReasonView,
}

impl From<&Stranger> for StrangerView {
    fn from(stranger: &Stranger) -> Self {
        Self {
            at: stranger.at.to_string(),
            peer: stranger.peer.map(|peer| peer.to_string()),
            product: stranger.product.as_deref().map(Into::into),
            node: stranger.node.as_deref().map(Into::into),
            reason: ReasonView::new(stranger.code, &stranger.detail),
        }
    }
}

/// The last strangers.
#[derive(Serialize, ToSchema)]
struct StrangerList {
    /// Newest first.
    strangers: Vec<StrangerView>,
}

/// How many strangers.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct StrangerQuery {
    /// At most this many; 100 unless told otherwise.
    limit: Option<usize>,
}

/// Lists the last clients that named no device of any space, for administrators of the instance.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/strangers",
    tag = "diagnosis",
    params(("project_id" = String, Path), StrangerQuery),
    security(("token" = ["admin"])),
    responses((status = 200, body = StrangerList), (status = "4XX", body = NorthError)),
)]
async fn list_strangers(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<StrangerQuery>,
) -> Result<Json<StrangerList>, Failure> {
    if !space::visible(&platform, &caller, caller.space.as_str()).await?.is_default {
        return Err(Failure::forbidden("strangers belong to the default space"));
    }
    let limit = query.limit.unwrap_or(STRANGERS_LISTED).min(STRANGERS_LISTED_MAX);
    let strangers = platform.strangers(limit).iter().map(StrangerView::from).collect();
    Ok(Json(StrangerList { strangers }))
}
