//! `/devices/{id}/async-commands` and `async-commands-history`: commands with a queue.
//!
//! The queue holds what is not over yet, the history what is. Cancelling is our own; v5 has no
//! call for it. Source: Huawei §8.2, §9.5.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::command::queue::{Answer, Command, Status, Strategy};
use roadstead_core::port::CommandFilter;
use roadstead_core::{DeviceId, Map, Timestamp, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Ids, Paging, Params};
use super::failure::{Failure, NorthError};
use super::view::{compact, parse_when};
use super::{PageView, command_failure};
use crate::service::{Caller, NewCommand, Platform};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(create_async_command, list_async_commands))
        .routes(routes!(show_async_command, cancel_async_command))
        .routes(routes!(list_history))
        .routes(routes!(count_history))
}

/// A command with a queue.
#[derive(Deserialize, ToSchema)]
struct AsyncCommandRequest {
    /// The service; the first one that has the command when absent.
    service_id: Option<String>,
    command_name: String,
    /// Canonical parameters, at most 32 KB.
    #[schema(value_type = Object)]
    paras: Map<String, Value>,
    /// Seconds that it may wait, at most 172 800; 0 and absent mean a day. Ignored when it leaves
    /// immediately.
    expire_time: Option<u64>,
    /// `immediately`, or `delay` until the device can take it.
    #[schema(value_type = String)]
    send_strategy: Strategy,
}

/// An asynchronous command. Times are absent for what has not happened.
#[derive(Serialize, ToSchema)]
struct AsyncCommandView {
    device_id: String,
    command_id: String,
    service_id: String,
    command_name: String,
    /// Not in lists.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    paras: Option<Map<String, Value>>,
    /// Seconds that it may wait.
    expire_time: u32,
    /// `PENDING`, `SENT`, `DELIVERED`, `SUCCESSFUL`, `FAILED`, `TIMEOUT`, `EXPIRED` or
    /// `CANCELED`.
    #[schema(value_type = String)]
    status: Status,
    /// What the device answered. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ResultView>,
    /// Our stable code of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    created_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_time: Option<String>,
    #[schema(value_type = String)]
    send_strategy: Strategy,
}

/// What a device answered.
#[derive(Serialize, ToSchema)]
struct ResultView {
    /// The device's own code; 0 is success.
    result_code: i64,
    /// The device's words.
    result_desc: String,
    #[schema(value_type = Object)]
    paras: Map<String, Value>,
}

impl From<Answer> for ResultView {
    fn from(answer: Answer) -> Self {
        let Answer { code, status, output } = answer;
        Self { result_code: code, result_desc: status.into(), paras: output }
    }
}

impl AsyncCommandView {
    /// Returns what a list shows.
    fn item(command: &Command) -> Self {
        let date = |at: Option<Timestamp>| at.map(compact);
        Self {
            device_id: command.device.to_string(),
            command_id: command.id.to_string(),
            service_id: (*command.service).into(),
            command_name: (*command.command).into(),
            paras: None,
            expire_time: command.expire_s,
            status: command.status,
            result: None,
            reason: command.reason.as_deref().map(Into::into),
            created_time: compact(command.created_at),
            sent_time: date(command.sent_at),
            delivered_time: date(command.delivered_at),
            response_time: date(command.answered_at),
            send_strategy: command.strategy,
        }
    }

    /// Returns everything.
    fn whole(command: Command) -> Self {
        let item = Self::item(&command);
        let result = command.answer.map(ResultView::from);
        Self { paras: Some(command.params), result, ..item }
    }
}

/// Keeps a command for a device; it leaves when its turn comes.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/async-commands",
    tag = "commands",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = AsyncCommandRequest,
    security(("token" = ["operator"])),
    responses((status = 201, body = AsyncCommandView), (status = "4XX", body = NorthError)),
)]
async fn create_async_command(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<AsyncCommandRequest>,
) -> Result<(StatusCode, Json<AsyncCommandView>), Failure> {
    let device = DeviceId::from(&*id);
    let new = NewCommand {
        service: body.service_id,
        command: body.command_name,
        params: body.paras,
        strategy: body.send_strategy,
        expire_s: body.expire_time,
    };
    let created = platform.create_command(&caller.space, &device, new).await;
    let created = created.map_err(command_failure)?;
    Ok((StatusCode::CREATED, Json(AsyncCommandView::whole(created))))
}

/// Which commands.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct CommandQuery {
    /// Created at this time or later: `yyyyMMdd'T'HHmmss'Z'`, RFC 3339 or milliseconds.
    start_time: Option<String>,
    /// Created before this time.
    end_time: Option<String>,
    /// In this state.
    status: Option<String>,
    /// With this name.
    command_name: Option<String>,
}

impl CommandQuery {
    fn filter(self, open: bool) -> Result<CommandFilter, Failure> {
        let when = |name: &str, text: Option<String>| match text.filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => match parse_when(&text) {
                Some(at) => Ok(Some(at)),
                None => Err(Failure::bad(format!("{name}: `{text}` is not a date"))),
            },
        };
        let (since, until) =
            (when("start_time", self.start_time)?, when("end_time", self.end_time)?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(Failure::bad("start_time: must be before end_time"));
        }
        let status = match self.status.filter(|status| !status.is_empty()) {
            None => None,
            Some(name) => Some(Status::parse(&name).ok_or_else(|| {
                Failure::bad(format!("status: `{name}` is not a state of a command"))
            })?),
        };
        let command = self.command_name.filter(|name| !name.is_empty()).map(Into::into);
        Ok(CommandFilter { open: Some(open), status, command, since, until })
    }
}

/// Commands of one device.
#[derive(Serialize, ToSchema)]
struct AsyncCommandList {
    /// Newest first.
    commands: Vec<AsyncCommandView>,
    page: PageView,
}

async fn list(
    platform: &Platform,
    caller: &Caller,
    id: &str,
    filter: CommandFilter,
    paging: &Paging,
) -> Result<Json<AsyncCommandList>, Failure> {
    let page = paging.page()?;
    let listed = platform.commands(&caller.space, &DeviceId::from(id), &filter, &page).await?;
    let commands: Vec<_> = listed.items.iter().map(AsyncCommandView::item).collect();
    let last = listed.items.last().map(|command| command.id.as_str());
    Ok(Json(AsyncCommandList { page: PageView::new(listed.total, last), commands }))
}

/// Lists the queue of a device: what is not over yet.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/async-commands",
    tag = "commands",
    params(("project_id" = String, Path), ("device_id" = String, Path), CommandQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = AsyncCommandList), (status = "4XX", body = NorthError)),
)]
async fn list_async_commands(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<CommandQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<AsyncCommandList>, Failure> {
    list(&platform, &caller, &id, query.filter(true)?, &paging).await
}

/// Lists the history of a device: what is over.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/async-commands-history",
    tag = "commands",
    params(("project_id" = String, Path), ("device_id" = String, Path), CommandQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = AsyncCommandList), (status = "4XX", body = NorthError)),
)]
async fn list_history(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<CommandQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<AsyncCommandList>, Failure> {
    list(&platform, &caller, &id, query.filter(false)?, &paging).await
}

/// How many there are.
#[derive(Serialize, ToSchema)]
struct HistoryCount {
    count: u64,
}

/// Counts the history of a device.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/async-commands-history/count",
    tag = "commands",
    params(("project_id" = String, Path), ("device_id" = String, Path), CommandQuery),
    security(("token" = ["viewer"])),
    responses((status = 200, body = HistoryCount), (status = "4XX", body = NorthError)),
)]
async fn count_history(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<CommandQuery>,
) -> Result<Json<HistoryCount>, Failure> {
    let (device, filter) = (DeviceId::from(&*id), query.filter(false)?);
    let page = Paging::one();
    let count = platform.commands(&caller.space, &device, &filter, &page).await?.total;
    Ok(Json(HistoryCount { count }))
}

/// Shows an asynchronous command.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/async-commands/{command_id}",
    tag = "commands",
    params(
        ("project_id" = String, Path),
        ("device_id" = String, Path),
        ("command_id" = String, Path),
    ),
    security(("token" = ["viewer"])),
    responses((status = 200, body = AsyncCommandView), (status = "4XX", body = NorthError)),
)]
async fn show_async_command(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Ids(device, command): Ids,
) -> Result<Json<AsyncCommandView>, Failure> {
    let (device, command) = (device.as_str().into(), command.as_str().into());
    let found = platform.command(&caller.space, &device, &command).await?;
    Ok(Json(AsyncCommandView::whole(found)))
}

/// Takes a command back that was not sent yet; an addition to v5.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/devices/{device_id}/async-commands/{command_id}",
    tag = "commands",
    params(
        ("project_id" = String, Path),
        ("device_id" = String, Path),
        ("command_id" = String, Path),
    ),
    security(("token" = ["operator"])),
    responses((status = 200, body = AsyncCommandView), (status = "4XX", body = NorthError)),
)]
async fn cancel_async_command(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Ids(device, command): Ids,
) -> Result<Json<AsyncCommandView>, Failure> {
    let (device, command) = (device.as_str().into(), command.as_str().into());
    let cancelled = platform.cancel_command(&caller.space, &device, &command).await?;
    Ok(Json(AsyncCommandView::whole(cancelled)))
}
