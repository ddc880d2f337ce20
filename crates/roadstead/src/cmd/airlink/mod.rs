//! `roadstead airlink`: Wi-Fi credentials through the air, written and read on the command line.
//! Works without a server; only `listen --interface` needs a radio.

mod decode;
mod encode;
mod input;
mod listen;

use clap::Subcommand;
use roadstead_wire::airlink::{Keys, Scheme, airkiss};

use super::SecretArg;
use crate::failure::{Failure, Result};
use crate::output::Out;

/// Writes and reads credentials that travel through the air.
#[derive(Subcommand, Debug)]
pub(crate) enum Airlink {
    /// Prints the packets of one full round.
    Encode(encode::Encode),
    /// Finds the credentials in received frames: JSON in the shape of the vectors, a list, or a
    /// capture (pcap or pcapng).
    Decode(decode::Decode),
    /// Listens on an interface in monitor mode until somebody's credentials are whole.
    Listen(listen::Listen),
}

impl Airlink {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::Encode(command) => command.run(out),
            Self::Decode(command) => command.run(out),
            Self::Listen(command) => command.run(out),
        }
    }
}

/// Returns the bytes of an AES key: 32 hexadecimal digits, or text as it is.
fn key_bytes(key: &SecretArg) -> Vec<u8> {
    let text = key.text();
    match hex::decode(text) {
        Ok(bytes) if bytes.len() == 16 => bytes,
        Ok(_) | Err(_) => text.as_bytes().to_vec(),
    }
}

/// Returns the bytes a scheme takes for its key: AES keys may be hexadecimal, a PIN or product
/// secret is text.
fn key_for(scheme: Scheme, key: &SecretArg) -> Vec<u8> {
    match scheme {
        Scheme::AirKiss | Scheme::EspTouch | Scheme::EspTouch2 => key_bytes(key),
        Scheme::SimpleConfig | Scheme::SmartConfig => key.text().as_bytes().to_vec(),
    }
}

/// Returns what a device knows that was made with this key, whatever the scheme.
fn keys(key: Option<&SecretArg>, schemes: &[Scheme]) -> Result<Keys> {
    let Some(key) = key else { return Ok(Keys::default()) };
    let aes = key_bytes(key);
    let keys = Keys {
        airkiss: airkiss::pad_key(&aes).filter(|_| !aes.is_empty()),
        esptouch2: aes.as_slice().try_into().ok(),
        pin: Some(key.text().as_bytes().to_vec()),
        product_secret: Some(key.text().as_bytes().to_vec()),
    };
    let useless = |scheme: &Scheme| match scheme {
        Scheme::AirKiss => keys.airkiss.is_none(),
        Scheme::EspTouch2 => keys.esptouch2.is_none(),
        Scheme::EspTouch => true,
        Scheme::SimpleConfig | Scheme::SmartConfig => false,
    };
    if schemes.iter().all(useless) {
        let names: Vec<&str> = schemes.iter().map(|scheme| scheme.name()).collect();
        return Err(Failure::Usage(format!(
            "`--key` does not fit {}: AirKiss takes 1 to 16 bytes, ESPTouch v2 takes 16, ESPTouch \
             v1 none.",
            names.join(", ")
        )));
    }
    Ok(keys)
}
