//! The firmware check: which versions run, and whether there is a newer one.
//!
//! Packages are assigned by hand in the settings. The 4.1 call compares versions inside a series
//! (type, hardware version and the first four characters of the software version); the 4.0 call
//! compares FIDs, which count the packages of one hardware and one software version.
//!
//! Source: GizWits §3.1 rows 3, 4, 7 and rules 5, 7; §5; seed §2.2.4, §9.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::product::Product;
use roadstead_core::{Code, DeviceId, Map, Secret, Timestamp, Value};

use super::form::Form;
use super::reply;
use crate::cloud::{Call, Claim, Effect, HttpRequest, HttpResponse, Performed};
use crate::gizwits::settings::{Package, Settings};
use crate::gizwits::{KEY_LEN, is_did, is_hex, is_passcode};

/// Length of a version text, characters (seed §2.2).
const VERSION_MAX: usize = 16;
/// Characters of a software version that name its series.
const SERIES: usize = 4;

/// What runs.
struct Running {
    /// 1 for the module, 2 for the MCU.
    part: u8,
    hard: Box<str>,
    soft: Box<str>,
}

impl Running {
    fn read(form: &Form) -> Option<Self> {
        let part = match form.get("type")? {
            "1" => 1,
            "2" => 2,
            _ => return None,
        };
        let version = |key: &str| {
            let is_version = |text: &&str| {
                text.len() <= VERSION_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
            };
            form.get(key).filter(is_version).map(Box::from)
        };
        Some(Self { part, hard: version("hard_version")?, soft: version("soft_version")? })
    }

    /// The module's version is what this vendor calls firmware; the MCU's is the software.
    fn facts(&self) -> Map<String, Value> {
        let (soft, hard) = match self.part {
            1 => ("fw_version", "module_hardware"),
            _ => ("sw_version", "mcu_hardware"),
        };
        let fact = |key: &str, text: &str| (key.into(), Value::from(text));
        [fact(soft, &self.soft), fact(hard, &self.hard)].into_iter().collect()
    }

    fn is_of(&self, package: &Package, product: &str) -> bool {
        *package.product == *product
            && package.part == self.part
            && package.hard_version == self.hard
    }

    /// Returns the newest package of the series.
    fn newer<'s>(&self, settings: &'s Settings, product: &str) -> Option<&'s Package> {
        let series = |version: &str| version.get(..SERIES).map(String::from);
        settings
            .packages
            .iter()
            .filter(|package| self.is_of(package, product))
            .filter(|package| series(&package.version) == series(&self.soft))
            .filter(|package| package.version > self.soft)
            .max_by(|a, b| a.version.cmp(&b.version))
    }

    /// Returns the last package of exactly these versions, and its FID.
    fn latest<'s>(&self, settings: &'s Settings, product: &str) -> Option<(usize, &'s Package)> {
        let same = settings
            .packages
            .iter()
            .filter(|package| self.is_of(package, product) && package.version == self.soft);
        same.enumerate().map(|(n, package)| (n + 1, package)).last()
    }
}

/// Who asks.
enum Asker {
    Device(DeviceId, Option<Secret>),
    Product(Box<str>),
    Nobody,
}

struct Check {
    settings: Arc<Settings>,
    asker: Asker,
    running: Option<Running>,
    /// The call of the 4.0 generation.
    is_old: bool,
}

/// Reads `POST /dev/ota/v4.1/update_and_check/{did}`.
pub(super) fn check(http: &HttpRequest<'_>, did: &str, settings: &Arc<Settings>) -> Box<dyn Call> {
    let form = Form::parse(http.body);
    let passcode = form.get("passcode").filter(|text| is_passcode(text));
    let asker = match passcode {
        Some(passcode) if is_did(did) => {
            Asker::Device(DeviceId::new(did), Some(Secret::from(passcode)))
        }
        Some(_) | None => Asker::Nobody,
    };
    let running = Running::read(&form);
    Box::new(Check { settings: settings.clone(), asker, running, is_old: false })
}

/// Reads `GET /dev/ota/v4.1/latest`: the module asks on behalf of its MCU.
pub(super) fn latest(http: &HttpRequest<'_>, settings: &Arc<Settings>) -> Box<dyn Call> {
    let form = Form::parse(http.query.as_bytes());
    let key = form.get("product_key").filter(|key| is_hex(key, KEY_LEN));
    let asker = key.map_or(Asker::Nobody, |key| Asker::Product(key.into()));
    let running = Running::read(&form);
    Box::new(Check { settings: settings.clone(), asker, running, is_old: false })
}

/// Reads `GET /dev/ota/target_fid`.
pub(super) fn target(http: &HttpRequest<'_>, settings: &Arc<Settings>) -> Box<dyn Call> {
    let form = Form::parse(http.query.as_bytes());
    let did = form.get("did").filter(|did| is_did(did));
    let asker = did.map_or(Asker::Nobody, |did| Asker::Device(DeviceId::new(did), None));
    let running = Running::read(&form);
    Box::new(Check { settings: settings.clone(), asker, running, is_old: true })
}

impl Call for Check {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        match &self.asker {
            Asker::Device(did, _) => Ok(Claim::Device(did.clone())),
            Asker::Product(key) => Ok(Claim::Node { product: key.clone(), node: "".into() }),
            Asker::Nobody => Err(reply::refuse("auth.unknown_device")),
        }
    }

    fn decide(
        &mut self,
        product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        _now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        let Some(running) = &self.running else {
            return Err(reply::refuse("register.bad_request"));
        };
        let passcode = match &self.asker {
            Asker::Device(_, passcode) => passcode.as_ref(),
            Asker::Product(_) | Asker::Nobody => {
                let unknown = || reply::refuse("auth.unknown_product");
                return product.map(|_| Effect::Nothing).ok_or_else(unknown);
            }
        };
        let Some(device) = device else {
            return Err(reply::refuse("auth.unknown_device"));
        };
        match passcode {
            // The older call proves nothing, so nothing is learned of it.
            None => Ok(Effect::Nothing),
            Some(passcode) if device.secret.as_ref() == Some(passcode) => {
                Ok(Effect::Learn(running.facts()))
            }
            Some(_) => Err(reply::refuse("auth.bad_password")),
        }
    }

    fn respond(
        self: Box<Self>,
        product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        if let Err(code) = result {
            return reply::refuse(code);
        }
        let Some(running) = &self.running else { return reply::no_firmware() };
        let key = product.id.as_str();
        if self.is_old {
            let found = running.latest(&self.settings, key);
            return found.map_or_else(reply::no_firmware, |(fid, package)| {
                let url = &package.url;
                reply::form(200, format!("target_fid={fid}&download_url={url}&"))
            });
        }
        let found = running.newer(&self.settings, key);
        found.map_or_else(reply::no_firmware, |package| {
            let Package { version, url, .. } = package;
            // Without the line end the module takes it for no answer.
            reply::form(200, format!("soft_ver={version}&download_url={url}\r\n"))
        })
    }
}
