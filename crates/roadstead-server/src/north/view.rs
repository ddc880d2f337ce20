//! Shapes that the northbound and the phone API share, and the vendor's ways to write dates.

use roadstead_core::attempt::{Attempt, Outcome};
use roadstead_core::binding::{Binding, BindingRole};
use roadstead_core::code::info;
use roadstead_core::exchange::Response;
use roadstead_core::shadow::{Shadow, Values};
use roadstead_core::{Map, Timestamp, Value};
use roadstead_doctor::catalogue::{Entry, of_platform};
use serde::Serialize;
use utoipa::ToSchema;

/// Writes a date as the v5 API does: `20261121T003818Z`.
pub(crate) fn compact(at: Timestamp) -> String {
    let c = at.civil();
    format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// Reads a date: `20261121T003818Z`, RFC 3339 in UTC, or milliseconds since 1970.
pub(crate) fn parse_when(text: &str) -> Option<Timestamp> {
    if let Ok(ms) = text.parse::<i64>() {
        return Some(Timestamp(ms));
    }
    let body = text.strip_suffix('Z')?;
    let (main, fraction) = body.split_once('.').unwrap_or((body, "0"));
    let digits: String = main.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let seconds = super::auth::parse_date(&format!("{digits}Z"))?;
    let milli = fraction.get(..fraction.len().min(3))?;
    let scale = 10_i64.pow(u32::try_from(3 - milli.len()).ok()?);
    let milli = i64::from(milli.parse::<u16>().ok()?) * scale;
    Some(Timestamp(seconds.as_millis() + milli))
}

/// Returns a fresh id of 32 hex digits for requests and commands.
pub(crate) fn fresh_id() -> String {
    let mut bytes = [0u8; 16];
    // An id that repeats would only blur a log; failing the call would be worse.
    getrandom::fill(&mut bytes).ok();
    hex::encode(bytes)
}

/// One onboarding attempt.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptView {
    /// Stable id.
    pub(crate) attempt_id: String,
    /// Whose phone.
    pub(crate) user_id: Option<String>,
    /// Which device, once known.
    pub(crate) device_id: Option<String>,
    /// Provisioning method, once known.
    pub(crate) method: Option<String>,
    /// What was seen, in order of arrival.
    pub(crate) stages: Vec<StageView>,
    /// `running`, `success` or `failure`.
    pub(crate) result: &'static str,
    /// Why it failed.
    pub(crate) reason: Option<ReasonView>,
    /// When it started, RFC 3339.
    pub(crate) started_at: String,
    /// When it ended, RFC 3339.
    pub(crate) ended_at: Option<String>,
}

/// One stage somebody saw.
#[derive(Serialize, ToSchema)]
pub(crate) struct StageView {
    /// Name of the stage.
    pub(crate) stage: &'static str,
    /// `phone`, `device` or `cloud`.
    #[schema(value_type = String)]
    pub(crate) by: roadstead_core::attempt::Witness,
    /// When, RFC 3339.
    pub(crate) at: String,
    /// Evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// Why something failed and what to do.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReasonView {
    /// Stable code.
    pub(crate) code: String,
    /// What happened.
    pub(crate) meaning: &'static str,
    /// Evidence.
    pub(crate) detail: String,
    /// What to do.
    pub(crate) remedy: &'static str,
    /// The same cause as `roadstead doctor` finds it in a device's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) diagnosis: Option<DiagnosisView>,
}

/// A cause in the catalogue of `roadstead doctor`: the same text here, in the report about a log
/// and on the pages of `docs/doctor/`.
#[derive(Serialize, ToSchema)]
pub(crate) struct DiagnosisView {
    /// Stable code, such as `mqtt.bad_credentials`.
    code: &'static str,
    /// What shows it in a device's log.
    evidence: &'static str,
    /// What to do.
    remedy: &'static str,
    /// What to do, in Chinese.
    remedy_zh: &'static str,
}

impl DiagnosisView {
    /// Returns the diagnosis behind a stable code of the platform.
    pub(crate) fn of(code: &str) -> Option<Self> {
        of_platform(code).map(Self::from)
    }
}

impl From<&'static Entry> for DiagnosisView {
    fn from(entry: &'static Entry) -> Self {
        let Entry { code, evidence, en, zh, .. } = entry;
        Self { code, evidence, remedy: en, remedy_zh: zh }
    }
}

impl ReasonView {
    /// Returns the reason of a code.
    pub(crate) fn new(code: &str, detail: &str) -> Self {
        let (meaning, remedy) = info(code).map_or(("", ""), |info| (info.meaning, info.remedy));
        let diagnosis = DiagnosisView::of(code);
        Self { code: code.into(), meaning, detail: detail.into(), remedy, diagnosis }
    }
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        let stages = attempt.stages.iter().map(|mark| StageView {
            stage: mark.stage.name(),
            by: mark.by,
            at: mark.at.to_string(),
            detail: mark.detail.as_deref().map(Into::into),
        });
        let (result, reason) = match &attempt.ending {
            None => ("running", None),
            Some(Outcome::Success) => ("success", None),
            Some(Outcome::Failure { code, detail }) => {
                ("failure", Some(ReasonView::new(code, detail)))
            }
        };
        Self {
            attempt_id: attempt.id.to_string(),
            user_id: attempt.user.as_ref().map(ToString::to_string),
            device_id: attempt.device.as_ref().map(ToString::to_string),
            method: attempt.method.as_deref().map(Into::into),
            stages: stages.collect(),
            result,
            reason,
            started_at: attempt.started_at.to_string(),
            ended_at: attempt.ended_at.map(|at| at.to_string()),
        }
    }
}

/// A list of attempts.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptList {
    /// Newest first.
    pub(crate) attempts: Vec<AttemptView>,
}

/// A user's tie to a device.
#[derive(Serialize, ToSchema)]
pub(crate) struct BindingView {
    /// Stable id.
    pub(crate) binding_id: String,
    /// Who.
    pub(crate) user_id: String,
    /// What.
    pub(crate) device_id: String,
    /// `owner` or `guest`.
    #[schema(value_type = String)]
    pub(crate) role: BindingRole,
    /// Since when, RFC 3339.
    pub(crate) created_at: String,
}

impl From<&Binding> for BindingView {
    fn from(binding: &Binding) -> Self {
        Self {
            binding_id: binding.id.to_string(),
            user_id: binding.user.to_string(),
            device_id: binding.device.to_string(),
            role: binding.role,
            created_at: binding.created_at.to_string(),
        }
    }
}

/// What one service of a device reported and what is wanted of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShadowService {
    /// Service id.
    pub(crate) service_id: String,
    /// What somebody wants and the device has not taken yet.
    pub(crate) desired: ShadowValues,
    /// What the device said.
    pub(crate) reported: ShadowValues,
    /// Number of changes.
    pub(crate) version: u64,
}

/// Values and when they were true or asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShadowValues {
    /// Property to value.
    #[schema(value_type = Object)]
    pub(crate) properties: Map<String, Value>,
    /// When, `yyyyMMdd'T'HHmmss'Z'`; empty for never.
    pub(crate) event_time: Option<String>,
}

impl From<Values> for ShadowValues {
    fn from(values: Values) -> Self {
        let event_time = (values.at != Timestamp::default()).then(|| compact(values.at));
        Self { properties: values.properties, event_time }
    }
}

/// Returns the services of a shadow in order.
pub(crate) fn shadow_services(shadow: Shadow) -> Vec<ShadowService> {
    let view = |(id, state): (Box<str>, roadstead_core::shadow::ServiceState)| ShadowService {
        service_id: id.into(),
        desired: state.desired.into(),
        reported: state.reported.into(),
        version: state.version,
    };
    shadow.services.into_iter().map(view).collect()
}

/// What a device answered.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceAnswer {
    /// The device's own result code; 0 is success.
    pub(crate) code: i64,
    /// The device's words.
    pub(crate) status: String,
    /// What it returned.
    #[schema(value_type = Object)]
    pub(crate) output: Map<String, Value>,
}

impl From<Response> for DeviceAnswer {
    fn from(response: Response) -> Self {
        Self { code: response.code, status: response.status.into(), output: response.output }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_read_in_three_forms() {
        for text in ["1611299964123", "2021-01-22T07:19:24.123Z", "2021-01-22T07:19:24.1234567Z"] {
            assert_eq!(parse_when(text), Some(Timestamp(1_611_299_964_123)), "{text}");
        }
        assert_eq!(parse_when("20210122T071924Z"), Some(Timestamp(1_611_299_964_000)));
        assert_eq!(parse_when("2021-01-22T07:19:24.5Z"), Some(Timestamp(1_611_299_964_500)));
        for bad in
            ["", "Z", "yesterday", "2021-01-22", "2021-01-22T07:19:24.Z", "2021-13-01T00:00:00Z"]
        {
            assert_eq!(parse_when(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn written_dates_read_back(ms in 0i64..4_000_000_000_000) {
            let at = Timestamp(ms);
            prop_assert_eq!(parse_when(&at.to_string()), Some(at));
            prop_assert_eq!(parse_when(&compact(at)), Some(Timestamp(ms / 1000 * 1000)));
        }

        #[test]
        fn any_text_is_a_date_or_not(text in "\\PC{0,40}") {
            let _ = parse_when(&text);
        }
    }

    #[test]
    fn dates_are_written_the_vendors_way() {
        assert_eq!(compact(Timestamp(1_611_299_964_123)), "20210122T071924Z");
        let never = ShadowValues::from(Values::default());
        assert_eq!(never.event_time, None);
    }

    #[test]
    fn a_reason_brings_its_remedy() {
        let reason = ReasonView::new("bind.expired", "late");
        assert!(!reason.meaning.is_empty() && !reason.remedy.is_empty());
        assert_eq!(ReasonView::new("vendor.42", "odd").remedy, "");
    }
}
