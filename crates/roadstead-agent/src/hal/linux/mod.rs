//! Drivers of a Linux board: a radio that overhears frames, Wi-Fi, Bluetooth.
//!
//! | file | does | through | needs |
//! |---|---|---|---|
//! | `monitor` | hears frames, changes channel (feature `monitor`) | `AF_PACKET`, nl80211 | CAP_NET_RAW, CAP_NET_ADMIN |
//! | `wifi` | joins networks, opens an access point (feature `dbus`) | NetworkManager | polkit's network-control |
//! | `bluetooth` | serves GATT, advertises (feature `dbus`) | BlueZ | D-Bus policy of `bluetoothd` |
//!
//! Each is behind a trait with a fake: [`Sniffer`] has [`Replay`], `WifiControl` and `Peripheral`
//! have fakes of the D-Bus services in their tests.
//!
//! Not here: switching an interface into monitor mode, which belongs to whoever owns the network of
//! the board.

#[cfg(all(feature = "dbus", target_os = "linux"))]
mod bluetooth;
#[cfg(all(feature = "dbus", target_os = "linux"))]
mod board;
mod listen;
#[cfg(all(feature = "monitor", target_os = "linux"))]
mod monitor;
#[cfg(all(feature = "monitor", target_os = "linux"))]
mod nl80211;
#[cfg(all(feature = "dbus", target_os = "linux"))]
mod wifi;

#[cfg(all(feature = "dbus", target_os = "linux"))]
pub use bluetooth::{BlueZ, BluetoothError, Guest, Peripheral};
#[cfg(all(feature = "dbus", target_os = "linux"))]
pub use board::{BoardError, join};
pub use listen::{Found, Heard, Listened, Missed, Replay, Sniffer, SnifferError, listen};
#[cfg(all(feature = "monitor", target_os = "linux"))]
pub use monitor::Monitor;
#[cfg(all(feature = "dbus", target_os = "linux"))]
pub use wifi::{NetworkManager, WifiControl, WifiError};
