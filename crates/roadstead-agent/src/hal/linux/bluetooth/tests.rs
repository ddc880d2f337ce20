//! The driver against a fake of `bluetoothd` that speaks its D-Bus interface, peer to peer: it reads
//! the objects as the real one does, writes, subscribes and hears notifications.

use std::time::Duration;

use futures_util::StreamExt as _;
use roadstead_wire::ble::improv::{self, About, Carrier, ImprovDevice};
use roadstead_wire::ble::llsync::{self, LlSyncDevice};
use roadstead_wire::ble::{LinkState, Porter, Provisioner, Task};
use tokio::net::UnixStream;
use zbus::zvariant::OwnedValue;
use zbus::{connection, interface};

use super::*;

const ADAPTER: &str = "/org/bluez/hci0";
const PHONE: &str = "/org/bluez/hci0/dev_11_22_33_44_55_66";
const OTHER: &str = "/org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF";

struct FakeAdapter {
    powered: bool,
    blocked: bool,
}

#[interface(name = "org.bluez.Adapter1")]
impl FakeAdapter {
    #[zbus(property)]
    fn powered(&self) -> bool {
        self.powered
    }

    #[zbus(property)]
    fn set_powered(&mut self, powered: bool) -> fdo::Result<()> {
        if self.blocked {
            return Err(fdo::Error::Failed("Blocked through rfkill".into()));
        }
        self.powered = powered;
        Ok(())
    }
}

/// What was registered.
type Registered = mpsc::UnboundedSender<OwnedObjectPath>;

struct FakeGatt(Registered);

#[interface(name = "org.bluez.GattManager1")]
impl FakeGatt {
    fn register_application(&self, path: OwnedObjectPath, _options: HashMap<String, OwnedValue>) {
        self.0.send(path).expect("the test listens");
    }
}

struct FakeAdvertising(Registered, bool);

#[interface(name = "org.bluez.LEAdvertisingManager1")]
impl FakeAdvertising {
    fn register_advertisement(
        &self,
        path: OwnedObjectPath,
        _options: HashMap<String, OwnedValue>,
    ) -> fdo::Result<()> {
        if self.1 {
            return Err(fdo::Error::AccessDenied("rejected send message".into()));
        }
        self.0.send(path).expect("the test listens");
        Ok(())
    }
}

struct FakeDevice {
    connected: bool,
}

#[interface(name = "org.bluez.Device1")]
impl FakeDevice {
    #[zbus(property)]
    fn connected(&self) -> bool {
        self.connected
    }

    async fn disconnect(
        &mut self,
        #[zbus(signal_emitter)] emitter: zbus::object_server::SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        self.connected = false;
        Ok(self.connected_changed(&emitter).await?)
    }
}

#[proxy(interface = "org.bluez.GattCharacteristic1", gen_blocking = false)]
trait Remote {
    fn read_value(&self, options: HashMap<&str, Value<'_>>) -> zbus::Result<Vec<u8>>;

    fn write_value(&self, value: &[u8], options: HashMap<&str, Value<'_>>) -> zbus::Result<()>;

    fn start_notify(&self) -> zbus::Result<()>;
}

/// A daemon with one adapter and one connected phone.
struct Daemon {
    bus: Connection,
    registered: mpsc::UnboundedReceiver<OwnedObjectPath>,
}

/// Starts it; returns the driver's connection, too.
async fn daemon(powered: bool, blocked: bool, denied: bool) -> (Connection, Daemon) {
    let (sender, registered) = mpsc::unbounded_channel();
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let server = async {
        connection::Builder::unix_stream(theirs)
            .server(zbus::Guid::generate())?
            .p2p()
            .serve_at(ADAPTER, FakeAdapter { powered, blocked })?
            .serve_at(ADAPTER, FakeGatt(sender.clone()))?
            .serve_at(ADAPTER, FakeAdvertising(sender, denied))?
            .serve_at(PHONE, FakeDevice { connected: true })?
            .serve_at(OTHER, FakeDevice { connected: true })?
            .build()
            .await
    };
    let client = connection::Builder::unix_stream(ours).p2p().build();
    let (server, client) = tokio::join!(server, client);
    let daemon = Daemon { bus: server.expect("a daemon"), registered };
    (client.expect("a client"), daemon)
}

impl Daemon {
    /// Reads all objects, as the real one does when an application registers.
    async fn objects(&self, root: &str) -> fdo::ManagedObjects {
        let manager = fdo::ObjectManagerProxy::builder(&self.bus)
            .destination("io.roadstead")
            .expect("a name")
            .path(root)
            .expect("a path")
            .build()
            .await
            .expect("a manager");
        manager.get_managed_objects().await.expect("objects")
    }

    async fn characteristic(&self, at: usize) -> RemoteProxy<'_> {
        RemoteProxy::builder(&self.bus)
            .destination("io.roadstead")
            .expect("a name")
            .path(characteristic_path(at))
            .expect("a path")
            .build()
            .await
            .expect("a characteristic")
    }

    async fn write(&self, at: usize, device: &str, bytes: &[u8]) -> zbus::Result<()> {
        let device = ObjectPath::try_from(device).expect("a path");
        let options = HashMap::from([
            ("device", Value::from(device)),
            ("mtu", Value::from(185_u16)),
            ("link", Value::from("LE")),
        ]);
        self.characteristic(at).await.write_value(bytes, options).await
    }

    /// Subscribes; returns the notifications to come.
    async fn subscribe(&self, at: usize) -> fdo::PropertiesChangedStream {
        let properties = fdo::PropertiesProxy::builder(&self.bus)
            .destination("io.roadstead")
            .expect("a name")
            .path(characteristic_path(at))
            .expect("a path")
            .build()
            .await
            .expect("properties");
        let stream = properties.receive_properties_changed().await.expect("signals");
        self.characteristic(at).await.start_notify().await.expect("subscribed");
        stream
    }
}

async fn value(stream: &mut fdo::PropertiesChangedStream) -> Vec<u8> {
    let signal = stream.next().await.expect("a notification");
    let args = signal.args().expect("arguments");
    let value = args.changed_properties.get("Value").expect("the value");
    Vec::<u8>::try_from(value.try_clone().expect("bytes")).expect("bytes")
}

#[tokio::test]
async fn the_objects_are_what_bluez_wants() {
    let (bus, mut daemon) = daemon(false, false, false).await;
    let service = improv::service(false);
    let _driver =
        BlueZ::on(bus, "hci0", service, "a lamp with a very long name").await.expect("served");
    let root = daemon.registered.recv().await.expect("an application");
    let objects = daemon.objects(root.as_str()).await;
    let text = |value: &OwnedValue| <&str>::try_from(value).expect("text").to_owned();
    let get = |path: &str, interface: &str, name: &str| {
        let path = OwnedObjectPath::try_from(path).expect("a path");
        let properties = objects[&path].get(interface).expect("the interface");
        properties.get(name).unwrap_or_else(|| panic!("{name}")).try_clone().expect("a value")
    };
    let gatt = "org.bluez.GattService1";
    assert_eq!(text(&get(&service_path(), gatt, "UUID")), "00467768-6228-2272-4663-277478268000");
    assert!(bool::try_from(get(&service_path(), gatt, "Primary")).expect("a flag"));
    let gatt = "org.bluez.GattCharacteristic1";
    let expected = [
        ("8001", vec!["read", "notify"]),
        ("8002", vec!["read", "notify"]),
        ("8003", vec!["write", "write-without-response"]),
        ("8004", vec!["read", "notify"]),
        ("8005", vec!["read"]),
    ];
    for (at, (end, flags)) in expected.into_iter().enumerate() {
        let path = characteristic_path(at);
        assert!(text(&get(&path, gatt, "UUID")).ends_with(end));
        assert_eq!(Vec::<String>::try_from(get(&path, gatt, "Flags")).expect("flags"), flags);
        let parent = OwnedObjectPath::try_from(get(&path, gatt, "Service")).expect("a path");
        assert_eq!(parent.as_str(), service_path());
    }
    let state = daemon.characteristic(0).await.read_value(HashMap::new()).await.expect("a state");
    assert_eq!(state, [1], "authorization required");

    let advertised = daemon.registered.recv().await.expect("an advertisement");
    let gatt = "org.bluez.LEAdvertisement1";
    assert_eq!(text(&get(advertised.as_str(), gatt, "Type")), "peripheral");
    assert_eq!(text(&get(advertised.as_str(), gatt, "LocalName")), "a lamp with a very long na");
    let data = get(advertised.as_str(), gatt, "ServiceData");
    let data = HashMap::<String, OwnedValue>::try_from(data).expect("data");
    let data = data.get("00004677-0000-1000-8000-00805f9b34fb").expect("of Improv").try_clone();
    let data = Vec::<u8>::try_from(data.expect("bytes")).expect("bytes");
    assert_eq!(data, [1, 6, 0, 0, 0, 0]);
}

/// Lets the device's end do what a phone wrote; returns the networks it was told.
async fn obey(
    driver: &mut BlueZ,
    device: &mut Provisioner,
    bytes: &[u8],
) -> Vec<roadstead_wire::ble::Network> {
    let (mut tasks, mut joins) = (Vec::new(), Vec::new());
    device.write(bytes, &mut tasks);
    let mut done = 0;
    while let Some(task) = tasks.get(done).cloned() {
        done += 1;
        if let Task::Notify(note) = &task {
            driver.notify(note).await.expect("notified");
        } else if let Task::Join(network) = task {
            joins.push(network);
            device.linked(LinkState::Connected, None, None, &mut tasks);
        }
    }
    joins
}

async fn served(service: Service) -> (BlueZ, Daemon) {
    let (bus, daemon) = daemon(true, false, false).await;
    (BlueZ::on(bus, "hci0", service, "lamp").await.expect("served"), daemon)
}

#[tokio::test]
async fn a_phone_provisions_over_improv() {
    let (mut driver, daemon) = served(improv::service(true)).await;
    let porter = ImprovDevice::new(Carrier::Gatt, 182, About::default(), true);
    let mut device = Provisioner::new(Box::new(porter), "lamp");
    let mut states = daemon.subscribe(0).await;
    let mut results = daemon.subscribe(3).await;
    let mut settings = vec![1, 14, 4];
    settings.extend_from_slice(b"home");
    settings.push(8);
    settings.extend_from_slice(b"password");
    settings.push(settings.iter().copied().fold(0, u8::wrapping_add));
    daemon.write(2, PHONE, &settings).await.expect("written");
    assert_eq!(driver.next().await, Some(Guest::Came(182)));
    let Some(Guest::Wrote(bytes)) = driver.next().await else { panic!("no write") };
    let joins = obey(&mut driver, &mut device, &bytes).await;
    assert_eq!(joins.len(), 1);
    assert_eq!(joins[0].ssid, b"home");
    assert_eq!(value(&mut states).await, [3], "provisioning");
    assert_eq!(value(&mut states).await, [4], "provisioned");
    assert_eq!(value(&mut results).await, [1, 0, 1], "no page to go on with");
}

#[tokio::test]
async fn one_phone_at_a_time_until_it_has_gone() {
    let (mut driver, daemon) = served(llsync::GATT.service(llsync::COMBO_SERVICE)).await;
    let porter: Box<dyn Porter> = Box::new(LlSyncDevice::new(182));
    let mut device = Provisioner::new(porter, "lamp");
    let mut notes = daemon.subscribe(1).await;
    daemon.write(0, PHONE, &[0xE0]).await.expect("written");
    assert_eq!(driver.next().await, Some(Guest::Came(182)));
    let Some(Guest::Wrote(bytes)) = driver.next().await else { panic!("no write") };
    obey(&mut driver, &mut device, &bytes).await;
    assert_eq!(value(&mut notes).await[0], 0x08, "device information");

    let refused = daemon.write(0, OTHER, &[0xE0]).await.expect_err("another phone");
    assert!(refused.to_string().contains("another phone"), "{refused}");
    let refused = daemon.write(1, PHONE, &[0xE0]).await.expect_err("read only");
    assert!(refused.to_string().contains("read only"), "{refused}");

    driver.dismiss().await.expect("dismissed");
    assert_eq!(driver.next().await, Some(Guest::Left));
    daemon.write(0, OTHER, &[0xE0]).await.expect("the next phone");
    assert_eq!(driver.next().await, Some(Guest::Came(182)));
    driver.dismiss().await.expect("dismissed");
}

#[tokio::test]
async fn a_flood_of_writes_is_refused_and_not_kept() {
    let (_driver, daemon) = served(llsync::GATT.service(llsync::GATT.service)).await;
    let mut kept = 0;
    while kept < 1_000 && daemon.write(0, PHONE, &[0; 20]).await.is_ok() {
        kept += 1;
    }
    assert_eq!(kept, EVENTS_MAX - 1, "beside the phone's arrival");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let serve = async |bus, adapter: &str| {
        let service = improv::service(true);
        let served = BlueZ::on(bus, adapter, service, "lamp").await;
        served.map(drop).expect_err("not served").code()
    };
    let (bus, _daemon) = daemon(true, false, false).await;
    assert_eq!(serve(bus, "hci7").await, "bluetooth.no_adapter");
    let (bus, _daemon) = daemon(true, false, false).await;
    assert_eq!(serve(bus, "hci 0").await, "bluetooth.no_adapter");
    let (bus, _daemon) = daemon(false, true, false).await;
    assert_eq!(serve(bus, "hci0").await, "bluetooth.off");
    let (bus, _daemon) = daemon(true, false, true).await;
    assert_eq!(serve(bus, "hci0").await, "bluetooth.denied");
    let (bus, gone) = daemon(true, false, false).await;
    gone.bus.close().await.expect("closed");
    let answer = tokio::time::timeout(Duration::from_secs(20), serve(bus, "hci0")).await;
    assert_eq!(answer.expect("an answer"), "bluetooth.no_bluez");
}
