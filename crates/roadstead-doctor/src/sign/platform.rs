//! Texts of the platform's console and API, as people paste them into a log.
//!
//! Source: seed S4: table 13-1 (upgrade failures), chapters 2, 3, 9 to 14. The texts are the
//! platform's own and name one cause each.

use super::{Act, Sign, sign};
use Act::{Fault, Strong};

const TEXT: &str = "platform";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    sign("Device Abnormal is not online", &[Strong(TEXT), Fault("ota.device_offline")]).anywhere(),
    sign("Task Conflict", &[Strong(TEXT), Fault("ota.task_conflict")]).anywhere(),
    sign("Waiting for the device online timeout", &[Strong(TEXT), Fault("ota.wait_online_timeout")]).anywhere(),
    sign("Waiting for report cellId timeout", &[Strong(TEXT), Fault("ota.wait_cellid_timeout")]).anywhere(),
    sign("Waiting for report device firmware version timeout", &[Strong(TEXT), Fault("ota.wait_version_timeout")]).anywhere(),
    sign("Wait for the device to report upgrade result timeout", &[Strong(TEXT), Fault("ota.wait_result_timeout")]).anywhere(),
    sign("Updating timeout and query device version for check timeout", &[Strong(TEXT), Fault("ota.result_and_version_timeout")]).anywhere(),
    sign("Waiting for device downloaded package timeout", &[Strong(TEXT), Fault("ota.download_timeout")]).anywhere(),
    sign("Integrity check failure for new downloaded package", &[Strong(TEXT), Fault("ota.integrity_failed")]).anywhere(),
    sign("Unsupported package type", &[Strong(TEXT), Fault("ota.package_type_unsupported")]).anywhere(),
    sign("Not enough storage for the new firmware package", &[Strong(TEXT), Fault("ota.no_space")]).anywhere(),
    sign("Out of memory during downloading process", &[Strong(TEXT), Fault("ota.out_of_memory")]).anywhere(),
    sign("Connection lost during downloading process", &[Strong(TEXT), Fault("ota.download_connection_lost")]).anywhere(),
    sign("Invalid URI", &[Strong(TEXT), Fault("ota.invalid_url")]).needs("ackage").anywhere(),
    sign("Firmware update failed", &[Strong(TEXT), Fault("ota.install_failed")]).anywhere(),
    sign("The current version is the same as the target version", &[Strong(TEXT), Fault("ota.same_version")]).anywhere(),
    sign("Operation not allowed. The user does not have the permission", &[Strong(TEXT), Fault("api.permission_denied")]).anywhere(),
    sign("Missing request header 'X-Auth-Token'", &[Strong(TEXT), Fault("api.auth_header_missing")]).anywhere(),
];
