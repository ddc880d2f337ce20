//! What a board does with credentials it overheard: joins the network, and tells the phone.

use std::io;
use std::net::Ipv4Addr;

use roadstead_core::Secret;
use roadstead_wire::airlink::Credentials;

use super::wifi::{WifiControl, WifiError};
use crate::hal::net::acknowledge;

/// Why a board is not on the network, or the phone does not know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// The network was not joined.
    #[error(transparent)]
    Wifi(#[from] WifiError),
    /// The message leaves the name of the network to the beacons, and only the radio hears those.
    #[error("the message has no name of a network")]
    NoName,
    /// The network was joined; the acknowledgement could not be sent.
    #[error("the acknowledgement could not be sent")]
    Acknowledge(#[source] io::Error),
}

impl BoardError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Wifi(error) => error.code(),
            Self::NoName => "station.bad_network",
            Self::Acknowledge(_) => "station.not_acknowledged",
        }
    }
}

/// Joins the network of these credentials and acknowledges them as their scheme wants it; returns
/// the address once that is done, some seconds after the network was joined.
///
/// # Errors
/// [`BoardError`]; after `Acknowledge` the network is joined all the same.
pub async fn join(
    wifi: &dyn WifiControl,
    credentials: &Credentials,
) -> Result<Ipv4Addr, BoardError> {
    if credentials.ssid.is_empty() {
        return Err(BoardError::NoName);
    }
    let mac = wifi.mac().await?;
    let password = Secret::new(credentials.password.clone());
    let ip = wifi.join(&credentials.ssid, &password).await?;
    acknowledge(credentials, mac, ip, Ipv4Addr::BROADCAST)
        .await
        .map_err(BoardError::Acknowledge)?;
    Ok(ip)
}

#[cfg(test)]
mod tests {
    use roadstead_wire::airlink::{Mac, ack};
    use tokio::net::UdpSocket;

    use super::*;

    /// A driver in memory: one network, which gives an address of this machine.
    struct Fake;

    #[async_trait::async_trait]
    impl WifiControl for Fake {
        async fn join(&self, ssid: &[u8], password: &Secret) -> Result<Ipv4Addr, WifiError> {
            match (ssid, password.expose()) {
                (b"home", b"correct horse") => Ok(address(1)),
                (b"home", _) => Err(WifiError::WrongPassword),
                _ => Err(WifiError::NotFound),
            }
        }

        async fn start_ap(
            &self,
            _ssid: &[u8],
            _password: Option<&Secret>,
            _channel: u8,
        ) -> Result<Ipv4Addr, WifiError> {
            Err(WifiError::TimedOut)
        }

        async fn leave(&self) -> Result<(), WifiError> {
            Ok(())
        }

        async fn mac(&self) -> Result<Mac, WifiError> {
            Ok(Mac([2, 1, 2, 3, 4, 5]))
        }

        async fn networks(&self) -> Result<Vec<(Vec<u8>, i8)>, WifiError> {
            Ok(Vec::new())
        }
    }

    /// Addresses of this machine that no other process of the tests uses.
    fn address(last: u8) -> Ipv4Addr {
        let [.., high, low] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, high | 0x80, low, last)
    }

    fn credentials(ssid: &[u8], password: &[u8]) -> Credentials {
        Credentials {
            ssid: ssid.to_vec(),
            password: password.to_vec(),
            bssid: None,
            phone_ip: Some(address(2).octets()),
            extra: Vec::new(),
            ack: ack::Proof::SimpleConfig,
        }
    }

    #[tokio::test]
    async fn the_phone_is_told_that_the_board_is_on_the_network() {
        // The scheme's own port, at an address that nobody else uses.
        let phone = UdpSocket::bind((address(2), 8864)).await.expect("a port");
        let told = credentials(b"home", b"correct horse");
        let mut datagram = [0; 200];
        let (length, from) = tokio::select! {
            read = phone.recv_from(&mut datagram) => read.expect("an acknowledgement"),
            end = join(&Fake, &told) => panic!("nothing was heard before the end: {end:?}"),
        };
        assert_eq!(from.ip(), address(1));
        assert_eq!(datagram[3..9], [2, 1, 2, 3, 4, 5]);
        assert_eq!(datagram[12..16], address(1).octets());
        assert_eq!(length, 80);
    }

    #[tokio::test]
    async fn a_network_that_is_not_joined_is_not_acknowledged() {
        for (ssid, password, code) in [
            (&b"home"[..], &b"wrong horse"[..], "station.wrong_password"),
            (b"away", b"correct horse", "station.not_found"),
            (b"", b"correct horse", "station.bad_network"),
        ] {
            let error = join(&Fake, &credentials(ssid, password)).await.expect_err("not joined");
            assert_eq!(error.code(), code);
        }
    }
}
