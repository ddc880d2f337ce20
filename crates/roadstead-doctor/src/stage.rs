//! The stages of onboarding and of the life after it, in their canonical order.
//!
//! Source: diagnosis model, section 4. A stage is evidence of how far a device came; its order is
//! what makes an earlier failure the cause and a later one the consequence.

macro_rules! stages {
    ($($name:ident = $id:literal, $en:literal, $zh:literal;)+) => {
        /// A stage, ordered as devices pass through them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each variant is described by its own id and title")]
        pub enum Stage { $($name,)+ }

        impl Stage {
            /// Every stage in order.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Returns the stable id, such as `mqtt.connack`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// Returns the name for people: English, Chinese.
            pub const fn title(self) -> (&'static str, &'static str) {
                match self { $(Self::$name => ($en, $zh),)+ }
            }
        }
    };
}

stages! {
    Boot = "boot", "Start of the firmware", "固件启动";
    SerialMcu = "serial.mcu", "Handshake with the MCU", "与 MCU 握手";
    ProvisionRadio = "provision.radio", "Credentials over the air", "空中配网";
    ProvisionSoftap = "provision.softap", "Credentials over the device's hotspot", "设备热点配网";
    ProvisionBle = "provision.ble", "Credentials over Bluetooth", "蓝牙配网";
    ProvisionQr = "provision.qr", "Credentials from a code", "扫码配网";
    NbAttach = "nb.attach", "Attach to the cellular network", "附着蜂窝网络";
    WifiJoin = "wifi.join", "Join the router", "连接路由器";
    Dhcp = "dhcp", "Get an address", "获取 IP";
    Dns = "dns", "Resolve the host name", "域名解析";
    Tcp = "tcp", "Open the connection", "建立 TCP 连接";
    Tls = "tls", "TLS handshake", "TLS 握手";
    Dynreg = "dynreg", "Dynamic registration", "动态注册";
    Dispatch = "dispatch", "Ask for the server address", "获取接入地址";
    MqttConnack = "mqtt.connack", "MQTT log-in", "MQTT 登录";
    Lwm2mRegister = "lwm2m.register", "LwM2M registration", "LwM2M 注册";
    Subscribe = "subscribe", "Subscribe", "订阅";
    TokenReport = "token.report", "Report the bind token", "上报绑定 token";
    TokenReply = "token.reply", "Answer to the bind token", "绑定 token 应答";
    LanNotify = "lan.notify", "Announce on the LAN", "局域网广播";
    LanQuery = "lan.query", "Answer the phone's query", "应答手机查询";
    LanLogin = "lan.login", "Log-in of the phone on the LAN", "手机局域网登录";
    Bind = "bind", "Binding", "绑定";
    Online = "online", "Online", "在线";
    RegionMigrate = "region.migrate", "Move to another region", "区域迁移";
    Report = "report", "Report", "数据上报";
    Command = "command", "Command", "命令下发";
    Gateway = "gateway", "Gateway and sub-devices", "网关与子设备";
    Ota = "ota", "Upgrade", "固件升级";
}

/// A group of stages whose failures do not explain those of another group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Domain {
    /// The way to the platform and the binding there.
    Cloud,
    /// The serial line to the MCU.
    Mcu,
    /// The local network.
    Lan,
    /// Traffic of an established session.
    Traffic,
    /// Sub-devices.
    Gateway,
    /// Upgrades.
    Ota,
}

impl Stage {
    /// Returns the group that failures of this stage belong to.
    pub(crate) const fn domain(self) -> Domain {
        use Stage as S;
        match self {
            S::SerialMcu => Domain::Mcu,
            S::LanNotify | S::LanQuery | S::LanLogin => Domain::Lan,
            S::Report | S::Command => Domain::Traffic,
            S::Gateway => Domain::Gateway,
            S::Ota => Domain::Ota,
            S::Boot
            | S::ProvisionRadio
            | S::ProvisionSoftap
            | S::ProvisionBle
            | S::ProvisionQr
            | S::NbAttach
            | S::WifiJoin
            | S::Dhcp
            | S::Dns
            | S::Tcp
            | S::Tls
            | S::Dynreg
            | S::Dispatch
            | S::MqttConnack
            | S::Lwm2mRegister
            | S::Subscribe
            | S::TokenReport
            | S::TokenReply
            | S::Bind
            | S::Online
            | S::RegionMigrate => Domain::Cloud,
        }
    }
}
