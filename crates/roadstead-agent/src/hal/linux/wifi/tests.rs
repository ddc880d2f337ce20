//! The driver against a fake of NetworkManager that speaks its D-Bus interface, peer to peer.

use std::sync::{Arc, Mutex};

use tokio::net::UnixStream;
use zbus::{DBusError, connection, fdo, interface};

use super::*;

const DEVICE: &str = "/org/freedesktop/NetworkManager/Devices/3";
const WIRED: &str = "/org/freedesktop/NetworkManager/Devices/1";
const CONFIG: &str = "/org/freedesktop/NetworkManager/IP4Config/7";
const PROFILE: &str = "/org/freedesktop/NetworkManager/Settings/12";
const POINTS: &str = "/org/freedesktop/NetworkManager/AccessPoint";

#[derive(Debug, DBusError)]
#[zbus(prefix = "org.freedesktop.NetworkManager")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    UnknownDevice(String),
    PermissionDenied(String),
}

/// What the fake was told, and what it has to say.
#[derive(Default)]
struct Record {
    settings: HashMap<String, HashMap<String, OwnedValue>>,
    persist: String,
    saved: usize,
    /// States and reasons after an activation.
    states: Vec<(u32, u32)>,
    denied: bool,
    disconnected: usize,
}

type Shared = Arc<Mutex<Record>>;

struct Manager(Shared);

#[interface(name = "org.freedesktop.NetworkManager")]
impl Manager {
    fn get_device_by_ip_iface(&self, iface: &str) -> Result<OwnedObjectPath, Refusal> {
        let path = match iface {
            "wlan0" => DEVICE,
            "eth0" => WIRED,
            _ => return Err(Refusal::UnknownDevice("No device found".into())),
        };
        Ok(OwnedObjectPath::try_from(path).expect("a path"))
    }

    #[zbus(name = "AddAndActivateConnection2")]
    async fn add_and_activate_connection2(
        &self,
        connection: HashMap<String, HashMap<String, OwnedValue>>,
        device: OwnedObjectPath,
        specific_object: OwnedObjectPath,
        options: HashMap<String, OwnedValue>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath, HashMap<String, OwnedValue>), Refusal> {
        assert_eq!((device.as_str(), specific_object.as_str()), (DEVICE, "/"));
        let states = {
            let mut record = self.0.lock().expect("a lock");
            if record.denied {
                return Err(Refusal::PermissionDenied("not authorized".into()));
            }
            record.settings = connection;
            let persist = options.get("persist").expect("the option");
            record.persist = <&str>::try_from(persist).expect("text").to_owned();
            record.states.clone()
        };
        // Before the answer: NetworkManager does not wait for it either.
        let mut old = DISCONNECTED;
        for (new, reason) in states {
            let body = (new, old, reason);
            bus.emit_signal(
                None::<()>,
                DEVICE,
                "org.freedesktop.NetworkManager.Device",
                "StateChanged",
                &body,
            )
            .await?;
            old = new;
        }
        let path = |text: &str| OwnedObjectPath::try_from(text).expect("a path");
        Ok((path(PROFILE), path("/org/freedesktop/NetworkManager/Active/2"), HashMap::new()))
    }
}

struct FakeDevice {
    kind: u32,
    state: u32,
    config: &'static str,
    record: Shared,
}

#[interface(name = "org.freedesktop.NetworkManager.Device")]
impl FakeDevice {
    fn disconnect(&self) {
        self.record.lock().expect("a lock").disconnected += 1;
    }

    #[zbus(property)]
    fn device_type(&self) -> u32 {
        self.kind
    }

    #[zbus(property)]
    fn state(&self) -> u32 {
        self.state
    }

    #[zbus(property)]
    fn ip4_config(&self) -> OwnedObjectPath {
        OwnedObjectPath::try_from(self.config).expect("a path")
    }
}

struct FakeWireless;

#[interface(name = "org.freedesktop.NetworkManager.Device.Wireless")]
impl FakeWireless {
    fn request_scan(&self, _options: HashMap<String, OwnedValue>) -> fdo::Result<()> {
        Err(fdo::Error::Failed("Scanning not allowed immediately following previous scan".into()))
    }

    fn get_all_access_points(&self) -> Vec<OwnedObjectPath> {
        let path = |n: usize| OwnedObjectPath::try_from(format!("{POINTS}/{n}")).expect("a path");
        // The last one is out of range by now.
        (0..5).map(path).collect()
    }

    #[zbus(property)]
    fn hw_address(&self) -> &str {
        "02:11:22:33:44:55"
    }
}

struct FakePoint(&'static [u8], u8);

#[interface(name = "org.freedesktop.NetworkManager.AccessPoint")]
impl FakePoint {
    #[zbus(property)]
    fn ssid(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    #[zbus(property)]
    fn strength(&self) -> u8 {
        self.1
    }
}

struct FakeConfig;

#[interface(name = "org.freedesktop.NetworkManager.IP4Config")]
impl FakeConfig {
    #[zbus(property)]
    fn address_data(&self) -> Vec<HashMap<String, OwnedValue>> {
        let text = Value::from("192.168.1.77").try_into().expect("text");
        vec![HashMap::from([("address".to_owned(), text), ("prefix".into(), 24_u32.into())])]
    }
}

struct FakeProfile(Shared);

#[interface(name = "org.freedesktop.NetworkManager.Settings.Connection")]
impl FakeProfile {
    fn save(&self) {
        self.0.lock().expect("a lock").saved += 1;
    }
}

/// Starts the fake; returns the driver's connection, the fake's, and the record.
async fn fake(state: u32, config: &'static str) -> (Connection, Connection, Shared) {
    let record = Shared::default();
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let device = |kind| FakeDevice { kind, state, config, record: record.clone() };
    let server = async {
        let mut builder = connection::Builder::unix_stream(theirs)
            .server(zbus::Guid::generate())?
            .p2p()
            .serve_at("/org/freedesktop/NetworkManager", Manager(record.clone()))?
            .serve_at(DEVICE, device(WIFI))?
            .serve_at(DEVICE, FakeWireless)?
            .serve_at(WIRED, device(1))?
            .serve_at(CONFIG, FakeConfig)?
            .serve_at(PROFILE, FakeProfile(record.clone()))?;
        let points: [(&'static [u8], u8); 4] =
            [(b"far", 10), (b"home", 60), (b"home", 90), (b"", 99)];
        for (n, (ssid, strength)) in points.into_iter().enumerate() {
            builder = builder.serve_at(format!("{POINTS}/{n}"), FakePoint(ssid, strength))?;
        }
        builder.build().await
    };
    let client = connection::Builder::unix_stream(ours).p2p().build();
    let (server, client) = tokio::join!(server, client);
    (client.expect("a client"), server.expect("a server"), record)
}

const JOINED: [(u32, u32); 5] = [(40, 0), (50, 0), (60, 0), (70, 0), (ACTIVATED, 0)];

fn value<'a>(record: &'a Record, group: &str, name: &str) -> &'a OwnedValue {
    record.settings.get(group).and_then(|it| it.get(name)).expect("a setting")
}

#[tokio::test]
async fn a_network_is_joined_and_kept() {
    let (bus, _server, record) = fake(DISCONNECTED, CONFIG).await;
    let wifi = NetworkManager::on(bus, "wlan0").await.expect("an interface");
    record.lock().expect("a lock").states = JOINED.to_vec();
    let ssid = "客厅".as_bytes();
    let password = Secret::new(b"correct horse".to_vec());
    let address = wifi.join(ssid, &password).await.expect("joined");
    assert_eq!(address, Ipv4Addr::new(192, 168, 1, 77));
    let record = record.lock().expect("a lock");
    let bytes = |value: &OwnedValue| Vec::<u8>::try_from(value.clone()).expect("bytes");
    assert_eq!(bytes(value(&record, "802-11-wireless", "ssid")), ssid);
    let text =
        |group, name| <&str>::try_from(value(&record, group, name)).expect("text").to_owned();
    assert_eq!(text("802-11-wireless", "mode"), "infrastructure");
    assert_eq!(text("802-11-wireless-security", "psk"), "correct horse");
    assert_eq!(text("802-11-wireless-security", "key-mgmt"), "wpa-psk");
    assert_eq!(text("ipv4", "method"), "auto");
    assert_eq!((record.persist.as_str(), record.saved), ("volatile", 1));
}

#[tokio::test]
async fn what_went_wrong_is_told_apart_and_nothing_is_kept() {
    for (end, code) in [
        (vec![(40, 0), (60, 0), (FAILED, 7)], "station.wrong_password"),
        (vec![(40, 0), (50, 0), (FAILED, 10)], "station.wrong_password"),
        (vec![(40, 0), (FAILED, 53)], "station.not_found"),
        (vec![(40, 0), (70, 0), (FAILED, 17)], "station.no_address"),
        (vec![(40, 0), (FAILED, 1)], "station.not_joined"),
        (vec![(40, 0), (50, 0), (DISCONNECTED, 39)], "station.not_joined"),
    ] {
        let (bus, _server, record) = fake(DISCONNECTED, CONFIG).await;
        let wifi = NetworkManager::on(bus, "wlan0").await.expect("an interface");
        record.lock().expect("a lock").states = end.clone();
        let password = Secret::new(b"wrong horse".to_vec());
        let error = wifi.join(b"home", &password).await.expect_err("not joined");
        assert_eq!(error.code(), code, "{end:?}");
        assert!(!format!("{error:?} {error}").contains("horse"));
        assert_eq!(record.lock().expect("a lock").saved, 0);
    }
}

#[tokio::test]
async fn a_network_that_gives_no_address_is_named() {
    let (bus, _server, record) = fake(DISCONNECTED, "/").await;
    let wifi = NetworkManager::on(bus, "wlan0").await.expect("an interface");
    record.lock().expect("a lock").states = JOINED.to_vec();
    let error = wifi.join(b"open", &Secret::new(Vec::new())).await.expect_err("no address");
    assert_eq!(error.code(), "station.no_address");
    assert!(!record.lock().expect("a lock").settings.contains_key("802-11-wireless-security"));
}

#[tokio::test]
async fn an_access_point_is_opened_with_dhcp_and_not_kept() {
    let (bus, _server, record) = fake(DISCONNECTED, CONFIG).await;
    let wifi = NetworkManager::on(bus, "wlan0").await.expect("an interface");
    record.lock().expect("a lock").states = JOINED.to_vec();
    wifi.start_ap(b"lamp-1234", None, 6).await.expect("an access point");
    wifi.leave().await.expect("closed");
    let record = record.lock().expect("a lock");
    let text =
        |group, name| <&str>::try_from(value(&record, group, name)).expect("text").to_owned();
    assert_eq!(text("802-11-wireless", "mode"), "ap");
    assert_eq!(text("ipv4", "method"), "shared");
    let channel = u32::try_from(value(&record, "802-11-wireless", "channel")).expect("a number");
    let rows = Vec::<HashMap<String, OwnedValue>>::try_from(
        value(&record, "ipv4", "address-data").clone(),
    )
    .expect("rows");
    let address = <&str>::try_from(&rows[0]["address"]).expect("text");
    assert_eq!((channel, address), (6, "192.168.4.1"));
    assert_eq!((record.saved, record.disconnected), (0, 1));
}

#[tokio::test]
async fn networks_are_told_once_each_the_strongest_first() {
    let (bus, _server, _record) = fake(DISCONNECTED, CONFIG).await;
    let wifi = NetworkManager::on(bus, "wlan0").await.expect("an interface");
    let networks = wifi.networks().await.expect("networks");
    assert_eq!(wifi.mac().await.expect("an address"), Mac([2, 0x11, 0x22, 0x33, 0x44, 0x55]));
    assert_eq!(networks, [(b"home".to_vec(), -46), (b"far".to_vec(), -94)]);
}

#[tokio::test]
async fn an_interface_that_is_no_use_is_refused_with_its_reason() {
    for (state, interface, code) in [
        (DISCONNECTED, "wlan9", "station.no_device"),
        (DISCONNECTED, "eth0", "station.no_device"),
        (10, "wlan0", "station.unavailable"),
        (UNAVAILABLE, "wlan0", "station.unavailable"),
    ] {
        let (bus, _server, _record) = fake(state, CONFIG).await;
        let error = NetworkManager::on(bus, interface).await.map(drop).expect_err("of no use");
        assert_eq!(error.code(), code, "{interface} {state}");
    }
}

#[tokio::test]
async fn a_missing_right_a_gone_service_and_bad_input_are_told_apart() {
    let (bus, server, record) = fake(DISCONNECTED, CONFIG).await;
    let wifi = NetworkManager::on(bus, "wlan0").await.expect("an interface");
    record.lock().expect("a lock").denied = true;
    let password = Secret::new(b"12345678".to_vec());
    assert_eq!(wifi.join(b"home", &password).await.expect_err("denied").code(), "station.denied");
    for (ssid, password) in
        [(&b""[..], "12345678"), (&[b'x'; 33], "12345678"), (b"home", "1234567")]
    {
        let password = Secret::new(password.as_bytes().to_vec());
        let error = wifi.join(ssid, &password).await.expect_err("impossible");
        assert_eq!(error.code(), "station.bad_network");
    }
    server.close().await.expect("closed");
    let error = wifi.networks().await.expect_err("gone");
    assert_eq!(error.code(), "station.no_network_manager");
}
