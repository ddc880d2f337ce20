//! The commands of the serial line.
//!
//! Source: GizWits §2.2.

/// A command with its answer; answers carry the next number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// Module asks the MCU who it is.
    DeviceInfo = 0x01,
    /// Module hands on a control or read; the answer may carry status.
    Control = 0x03,
    /// MCU reports.
    Report = 0x05,
    /// Module asks whether the MCU lives.
    Heartbeat = 0x07,
    /// MCU starts configuration.
    Configure = 0x09,
    /// MCU clears configuration.
    Reset = 0x0B,
    /// Module says how it is.
    Status = 0x0D,
    /// Module asks the MCU to restart.
    RestartMcu = 0x0F,
    /// A frame was not understood.
    Illegal = 0x11,
    /// MCU starts the production test.
    Test = 0x13,
    /// MCU opens the bindable window.
    Bindable = 0x15,
    /// MCU asks for the date.
    NetworkTime = 0x17,
    /// A file is on offer, either way.
    FileOffer = 0x19,
    /// The receiver of a file is ready.
    FileReady = 0x1B,
    /// A piece of the file.
    FilePiece = 0x1D,
    /// The sender of a file gives up.
    SenderCancels = 0x1F,
    /// MCU asks who the module is.
    ModuleInfo = 0x21,
    /// MCU asks about firmware of its own.
    McuTransaction = 0x23,
    /// Module answers about firmware of the MCU.
    ModuleTransaction = 0x25,
    /// The receiver of a file gives up.
    ReceiverCancels = 0x27,
    /// MCU restarts the module.
    RestartModule = 0x29,
}

impl Command {
    /// Every command.
    pub const ALL: [Self; 21] = [
        Self::DeviceInfo,
        Self::Control,
        Self::Report,
        Self::Heartbeat,
        Self::Configure,
        Self::Reset,
        Self::Status,
        Self::RestartMcu,
        Self::Illegal,
        Self::Test,
        Self::Bindable,
        Self::NetworkTime,
        Self::FileOffer,
        Self::FileReady,
        Self::FilePiece,
        Self::SenderCancels,
        Self::ModuleInfo,
        Self::McuTransaction,
        Self::ModuleTransaction,
        Self::ReceiverCancels,
        Self::RestartModule,
    ];

    /// Returns the command of a byte; `None` for answers and what does not exist.
    pub fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|command| *command as u8 == byte)
    }

    /// Returns the command that a byte answers.
    pub fn answered_by(byte: u8) -> Option<Self> {
        byte.checked_sub(1).and_then(Self::of)
    }

    /// Returns the byte of the answer.
    pub fn answer(self) -> u8 {
        self as u8 + 1
    }
}

/// Why a frame was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Illegal {
    /// Wrong checksum.
    Checksum = 1,
    /// No such command.
    Command = 2,
    /// Anything else.
    Other = 3,
    /// The file on offer is of another type.
    FileType = 4,
}

/// How the MCU wants to be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigMode<'a> {
    /// An access point of the module's own, with the page.
    SoftAp,
    /// Through the air.
    AirLink,
    /// The network itself.
    Direct {
        /// Its name.
        ssid: &'a [u8],
        /// Its password.
        password: &'a [u8],
    },
}

impl<'a> ConfigMode<'a> {
    /// Reads the payload of [`Command::Configure`]; an unknown mode means AirLink, as in MCU code
    /// of the vendor. `None` when a direct write is cut short.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        match payload.split_first() {
            Some((1, _)) => Some(Self::SoftAp),
            Some((4, rest)) => {
                let (ssid, rest) = short(rest)?;
                let (password, _) = short(rest)?;
                Some(Self::Direct { ssid, password })
            }
            Some(_) => Some(Self::AirLink),
            None => None,
        }
    }
}

fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}
