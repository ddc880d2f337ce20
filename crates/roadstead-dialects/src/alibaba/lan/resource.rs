//! The paths of a device's resources.
//!
//! Most exist twice: unicast with the device's names, and for everybody without.
//!
//! Source: Alibaba §5.3, §7.3, §7.4, §10.

use alloc::format;
use alloc::string::String;

/// A resource of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The device with its bind token (§5.3).
    DeviceInfo,
    /// The device after it joined the router (§7).
    ConnectAp,
    /// Takes network and token in the device's own network (§7.3).
    SoftApSwitch,
    /// Why the last try failed (§7.3).
    ErrorCode,
    /// The device with a proof of its identity (§7.3, §7.4).
    AwssInfo,
    /// Networks the device sees (§7.4).
    WifiList,
    /// Takes network and token in a setup network (§7.4).
    Switch,
    /// The device and its sub-devices, for local control (§10).
    Discovery,
    /// Opens a session of local control (§10).
    Auth,
    /// Chooses an access key (§10).
    AuthSelect,
    /// Local set-up of access keys (§10).
    Setup,
    /// Keeps a session of local control alive (§10).
    HeartBeat,
    /// A service of the thing model, `property/set` for example (§10).
    Service(&'a str),
}

const SERVICE: &str = "thing/service/";

impl<'a> Resource<'a> {
    /// Reads a path as the device of these names; `None` for what is not its own.
    pub fn parse(path: &'a str, product: &str, device: &str) -> Option<Self> {
        let own = |rest: &'a str| {
            rest.strip_prefix(product)?.strip_prefix('/')?.strip_prefix(device)?.strip_prefix('/')
        };
        if let Some(rest) = path.strip_prefix("/sys/") {
            return match own(rest) {
                Some(rest) => Self::named(rest),
                None => Self::nameless(rest),
            };
        }
        let rest = path.strip_prefix("/dev/")?;
        match rest {
            "core/service/dev" => Some(Self::Discovery),
            "core/service/heartBeat" => Some(Self::HeartBeat),
            "core/service/auth" => Some(Self::Auth),
            "core/service/auth/select" => Some(Self::AuthSelect),
            _ => match own(rest)? {
                "core/service/auth" => Some(Self::Auth),
                "core/service/auth/select" => Some(Self::AuthSelect),
                "core/service/setup" => Some(Self::Setup),
                "core/service/heartBeat" => Some(Self::HeartBeat),
                _ => None,
            },
        }
    }

    fn named(rest: &'a str) -> Option<Self> {
        match rest {
            "device/info/get" => Some(Self::DeviceInfo),
            "awss/device/connectap/info/get" => Some(Self::ConnectAp),
            "awss/device/info/get" => Some(Self::AwssInfo),
            "awss/event/wifilist/get" => Some(Self::WifiList),
            "awss/device/switchap" => Some(Self::Switch),
            _ => {
                let name = rest.strip_prefix(SERVICE)?;
                (!name.is_empty()).then_some(Self::Service(name))
            }
        }
    }

    fn nameless(rest: &str) -> Option<Self> {
        match rest {
            "device/info/get" => Some(Self::DeviceInfo),
            "awss/device/connectap/info/get" => Some(Self::ConnectAp),
            "awss/device/softap/switchap" => Some(Self::SoftApSwitch),
            "awss/device/errcode/get" => Some(Self::ErrorCode),
            "awss/device/info/get" => Some(Self::AwssInfo),
            _ => None,
        }
    }

    /// Writes the path for a device of these names; without names for everybody, where that form
    /// exists.
    pub fn path(self, names: Option<(&str, &str)>) -> String {
        let sys = |rest: &str| match names {
            Some((product, device)) => format!("/sys/{product}/{device}/{rest}"),
            None => format!("/sys/{rest}"),
        };
        let dev = |rest: &str| match names {
            Some((product, device)) => format!("/dev/{product}/{device}/core/service/{rest}"),
            None => format!("/dev/core/service/{rest}"),
        };
        match self {
            Self::DeviceInfo => sys("device/info/get"),
            Self::ConnectAp => sys("awss/device/connectap/info/get"),
            Self::SoftApSwitch => String::from("/sys/awss/device/softap/switchap"),
            Self::ErrorCode => String::from("/sys/awss/device/errcode/get"),
            Self::AwssInfo => sys("awss/device/info/get"),
            Self::WifiList => sys("awss/event/wifilist/get"),
            Self::Switch => sys("awss/device/switchap"),
            Self::Discovery => String::from("/dev/core/service/dev"),
            Self::Auth => dev("auth"),
            Self::AuthSelect => dev("auth/select"),
            Self::Setup => dev("setup"),
            Self::HeartBeat => String::from("/dev/core/service/heartBeat"),
            Self::Service(name) => sys(&format!("{SERVICE}{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: (&str, &str) = ("a1RsKq9ZxTb", "lamp-0001");

    const ALL: [Resource<'static>; 13] = [
        Resource::DeviceInfo,
        Resource::ConnectAp,
        Resource::SoftApSwitch,
        Resource::ErrorCode,
        Resource::AwssInfo,
        Resource::WifiList,
        Resource::Switch,
        Resource::Discovery,
        Resource::Auth,
        Resource::AuthSelect,
        Resource::Setup,
        Resource::HeartBeat,
        Resource::Service("property/set"),
    ];

    #[test]
    fn every_path_is_read_back() {
        for resource in ALL {
            let path = resource.path(Some(NAMES));
            assert_eq!(Resource::parse(&path, NAMES.0, NAMES.1), Some(resource), "{path}");
        }
        let everybody = Resource::DeviceInfo.path(None);
        assert_eq!(everybody, "/sys/device/info/get");
        assert_eq!(Resource::parse(&everybody, "x", "y"), Some(Resource::DeviceInfo));
    }

    #[test]
    fn what_belongs_to_others_is_nothing() {
        for path in [
            "/sys/a1RsKq9ZxTb/lamp-0002/device/info/get",
            "/sys/a1RsKq9ZxTb/lamp-0001/thing/service/",
            "/sys/device/info/get/",
            "/dev/a1RsKq9ZxTb/lamp-0002/core/service/auth",
            "/sys/awss/device/switchap",
            "/",
            "",
        ] {
            assert_eq!(Resource::parse(path, NAMES.0, NAMES.1), None, "{path}");
        }
    }
}
