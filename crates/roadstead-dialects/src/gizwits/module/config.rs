//! What is burnt into a module: its versions, its address, whom it calls.

use alloc::boxed::Box;

/// One module.
#[derive(Clone, Debug)]
pub struct Config {
    /// MAC address.
    pub mac: [u8; 6],
    /// Hardware version, eight letters or digits, the first two the vendor's (seed §2.2.1).
    pub hardware: [u8; 8],
    /// Software version `XXYYZZZZ` (seed §2.2.2).
    pub software: [u8; 8],
    /// Name of the HTTP API.
    pub api_host: Box<str>,
    /// Its port.
    pub api_port: u16,
    /// Key of AirKiss, for phones that encrypt.
    pub airkiss_key: Option<[u8; 16]>,
    /// Where files of the MCU are published; `{did}` is replaced. UNVERIFIED: no source names it.
    pub file_topic: Box<str>,
}

/// Why a configuration is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not eight letters or digits.
    #[error("a version has eight letters or digits")]
    Version,
    /// No host name.
    #[error("the API host is not a host name")]
    Host,
}

impl Config {
    /// Returns a module of this project's own make that calls the vendor's API.
    pub fn new(mac: [u8; 6]) -> Self {
        Self {
            mac,
            hardware: *b"RSVIRT01",
            software: *b"04000001",
            api_host: "api.gizwits.com".into(),
            api_port: 80,
            airkiss_key: None,
            file_topic: "dev2ser/{did}".into(),
        }
    }

    /// Checks the seed's rules of versions.
    ///
    /// # Errors
    ///
    /// Which part breaks which rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        let alphanumeric = |field: &[u8; 8]| field.iter().all(u8::is_ascii_alphanumeric);
        if !alphanumeric(&self.hardware) || !self.software.iter().all(u8::is_ascii_digit) {
            return Err(ConfigError::Version);
        }
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if self.api_host.is_empty() || !self.api_host.bytes().all(name) {
            return Err(ConfigError::Host);
        }
        Ok(())
    }

    /// Returns the name of the own access point: the last four digits of the MAC, upper case
    /// (seed §6.2_1).
    pub fn softap_ssid(&self) -> alloc::string::String {
        let [.., high, low] = self.mac;
        alloc::format!("{}{high:02X}{low:02X}", super::super::lan::SOFTAP_PREFIX)
    }
}
