//! A serial port: 9600 8N1, raw, without flow control (seed §3_5).
//!
//! Plain termios over the file and one thread that reads: a port needs no more, and
//! `tokio-serial` would bring five crates.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use roadstead_dialects::gizwits::serial::BAUD;
use rustix::termios::{ControlModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

/// A read returns after this many tenths of a second without bytes, so that its thread can end.
const READ_TENTHS: u8 = 5;

/// The port cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("serial port `{}`", path.display())]
pub struct SerialError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// An open port.
pub struct SerialPort(File);

impl SerialPort {
    /// Opens a port and sets it up.
    ///
    /// # Errors
    ///
    /// It does not exist, is not ours, or is no terminal.
    pub fn open(path: &Path) -> Result<Self, SerialError> {
        let failed = |cause| SerialError { path: path.into(), cause };
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(rustix::fs::OFlags::NOCTTY.bits() as i32);
        let file = options.open(path).map_err(failed)?;
        let set_up = || -> rustix::io::Result<()> {
            let mut termios = tcgetattr(&file)?;
            termios.make_raw();
            termios.set_speed(BAUD)?;
            termios.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
            termios.control_modes -=
                ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CRTSCTS;
            termios.special_codes[SpecialCodeIndex::VMIN] = 0;
            termios.special_codes[SpecialCodeIndex::VTIME] = READ_TENTHS;
            tcsetattr(&file, OptionalActions::Now, &termios)
        };
        set_up().map_err(|error| failed(error.into()))?;
        Ok(Self(file))
    }

    /// Waits for bytes, blocking; none came in half a second when it returns 0.
    ///
    /// # Errors
    ///
    /// The port is gone.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }

    /// Writes; the port's buffer holds seconds of frames at 9600 baud, and what is lost is
    /// repeated by the protocol.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }
}
