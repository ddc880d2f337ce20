//! A radio in monitor mode: frames by a packet socket, the channel by nl80211.
//!
//! An interface is switched into the mode by its owner, for example
//! `ip link set wlan1 down; iw dev wlan1 set type monitor; ip link set wlan1 up`. While a network
//! manager holds another interface of the same radio, the kernel refuses other channels.
//!
//! Source: Linux packet(7), netdevice(7).

#[cfg(test)]
mod tests;

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _, bind,
    recv, recvmsg, setsockopt, socket, sockopt,
};
use roadstead_wire::airlink::{Frame, radiotap};

use super::listen::{Heard, Sniffer, SnifferError};
use super::nl80211::{MONITOR, Nl80211, type_name};

/// Hardware types (`if_arp.h`): 802.11 with a radiotap header, and without.
const RADIOTAP: u16 = 803;
const BARE: u16 = 801;
/// Bytes kept of a frame: its length is known beyond.
const KEPT: usize = 512;
/// Bytes the kernel keeps while this process does something else.
const QUEUE: usize = 1024 * 1024;

/// A radio in monitor mode.
pub struct Monitor {
    interface: String,
    index: u32,
    bare: bool,
    socket: OwnedFd,
    /// `None` where the kernel has no wireless: the channel is somebody else's.
    wireless: Option<Nl80211>,
    channel: u8,
    start: Instant,
}

impl Monitor {
    /// Opens an interface that is in monitor mode and up.
    ///
    /// # Errors
    /// [`SnifferError`] says which of that is not so, or which right is missing.
    pub fn open(interface: &str) -> Result<Self, SnifferError> {
        let link = Link::find(interface)?;
        let (kind, index) = (link.kind, link.index);
        let mut wireless = Nl80211::open().ok();
        if kind != RADIOTAP && kind != BARE {
            let number = wireless.as_mut().and_then(|it| it.interface_type(index).ok());
            let shows = match number {
                Some(MONITOR) | None => format!("frames of hardware type {kind}"),
                Some(number) => format!("its own traffic, in mode \"{}\"", type_name(number)),
            };
            return Err(SnifferError::NotMonitor { interface: interface.to_owned(), shows });
        }
        if !link.up {
            return Err(SnifferError::Down { interface: interface.to_owned() });
        }
        let socket = link.receive().map_err(|cause| {
            if cause.kind() == io::ErrorKind::PermissionDenied {
                return SnifferError::Denied { what: "receiving raw frames", needs: "CAP_NET_RAW" };
            }
            SnifferError::Failed { what: "opening a packet socket", cause }
        })?;
        // Of a wired stand-in nl80211 knows nothing: the channel stays what it is.
        let known = wireless.as_mut().is_some_and(|it| it.interface_type(index).is_ok());
        Ok(Self {
            interface: interface.to_owned(),
            index,
            bare: kind == BARE,
            socket,
            wireless: wireless.filter(|_| known),
            channel: 0,
            start: now(),
        })
    }

    /// Reads what is there; `None` when nothing is.
    fn read(&mut self) -> Result<Option<Heard>, SnifferError> {
        let mut buffer = [0; KEPT];
        let mut parts = [IoSliceMut::new(&mut buffer)];
        // With this flag the length is that of the frame, not of what was kept.
        let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
        let length = match recvmsg::<LinkAddr>(self.socket.as_raw_fd(), &mut parts, None, flags) {
            Ok(message) => message.bytes,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(Errno::ENETDOWN) => {
                return Err(SnifferError::Down { interface: self.interface.clone() });
            }
            Err(Errno::ENXIO | Errno::ENODEV) => {
                return Err(SnifferError::NoInterface { interface: self.interface.clone() });
            }
            Err(error) => {
                return Err(SnifferError::Failed { what: "receiving frames", cause: error.into() });
            }
        };
        let kept = buffer.get(..length.min(KEPT)).unwrap_or_default();
        let at_us = Some(self.now().as_micros() as u64);
        let frame = if self.bare {
            let length = u16::try_from(length).unwrap_or(u16::MAX);
            Frame::parse(kept, length, true, self.channel, at_us)
                .map(|frame| Frame { overhead: None, ..frame })
        } else {
            radiotap::frame(kept, length, self.channel, at_us)
        };
        Ok(Some(frame.map_or(Heard::Other, Heard::Frame)))
    }
}

impl Sniffer for Monitor {
    fn tune(&mut self, channel: u8) -> Result<(), SnifferError> {
        let refused = |cause: io::Error| {
            if cause.kind() == io::ErrorKind::PermissionDenied {
                return SnifferError::Denied {
                    what: "changing the channel",
                    needs: "CAP_NET_ADMIN",
                };
            }
            SnifferError::Channel { interface: self.interface.clone(), channel, cause }
        };
        let frequency = radiotap::frequency(channel)
            .ok_or_else(|| refused(io::ErrorKind::InvalidInput.into()))?;
        if let Some(wireless) = &mut self.wireless {
            wireless.set_frequency(self.index, frequency).map_err(refused)?;
        }
        self.channel = channel;
        Ok(())
    }

    fn hear(&mut self, until: Duration) -> Result<Heard, SnifferError> {
        loop {
            if let Some(heard) = self.read()? {
                return Ok(heard);
            }
            let left = until.saturating_sub(self.now());
            if left.is_zero() {
                return Ok(Heard::Nothing);
            }
            let wait = PollTimeout::try_from(left.max(Duration::from_millis(1)));
            let mut sockets = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut sockets, wait.unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => {
                    return Err(SnifferError::Failed {
                        what: "waiting for frames",
                        cause: error.into(),
                    });
                }
            }
        }
    }

    fn now(&self) -> Duration {
        now().saturating_duration_since(self.start)
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver stamps what it receives")]
fn now() -> Instant {
    Instant::now()
}

/// What is to know of an interface before it is opened.
struct Link {
    index: u32,
    /// Hardware type of `if_arp.h`.
    kind: u16,
    up: bool,
}

impl Link {
    /// Looks an interface up.
    fn find(interface: &str) -> Result<Self, SnifferError> {
        let failed = |cause| SnifferError::Failed { what: "looking at an interface", cause };
        let index = if_nametoindex(interface).map_err(|error| {
            if error == Errno::ENODEV || error == Errno::EINVAL {
                return SnifferError::NoInterface { interface: interface.to_owned() };
            }
            failed(error.into())
        })?;
        let read = |name: &str| {
            let path = Path::new("/sys/class/net").join(interface).join(name);
            std::fs::read_to_string(path).map_err(failed)
        };
        let number = |text: &str| match text.trim().strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => text.trim().parse().ok(),
        };
        let flags = number(&read("flags")?).unwrap_or_default();
        let kind = number(&read("type")?).and_then(|it| u16::try_from(it).ok()).unwrap_or_default();
        Ok(Self { index, kind, up: flags & libc::IFF_UP as u32 != 0 })
    }

    /// Returns the address that binds a packet socket to the interface.
    #[expect(unsafe_code, reason = "the crate has no safe way to make a link address")]
    fn address(&self) -> io::Result<LinkAddr> {
        // SAFETY: all zero is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        // Protocol 0 keeps that of the socket.
        address.sll_ifindex = i32::try_from(self.index).map_err(io::Error::other)?;
        let size = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the pointer is to a whole `sockaddr_ll` of that size, and it is copied.
        let address = unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(size)) };
        address.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Opens a socket that receives every frame of the interface.
    fn receive(&self) -> io::Result<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        bind(socket.as_raw_fd(), &self.address()?)?;
        // What came from other interfaces before the binding is not ours.
        let mut buffer = [0; KEPT];
        while recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).is_ok() {}
        setsockopt(&socket, sockopt::RcvBuf, &QUEUE)?;
        Ok(socket)
    }
}
