//! The two LEDs.
//!
//! Source: seed §4.1, GizWits §7.2.

use core::time::Duration;

/// What one LED does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Led {
    /// Dark.
    #[default]
    Off,
    /// Lit.
    On,
    /// Blinks every 100 ms.
    Fast,
    /// Blinks every 2 s.
    Slow,
    /// Blinks every 2 s, dark when the other one is lit.
    SlowOther,
}

impl Led {
    /// Returns the name for records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Fast => "blink 100 ms",
            Self::Slow => "blink 2 s",
            Self::SlowOther => "blink 2 s, alternating",
        }
    }

    /// Returns whether it is lit this long after the pattern began.
    pub fn is_lit(self, since: Duration) -> bool {
        let phase = |period_ms: u128| (since.as_millis() / period_ms).is_multiple_of(2);
        match self {
            Self::Off => false,
            Self::On => true,
            Self::Fast => phase(100),
            Self::Slow => phase(2000),
            Self::SlowOther => !phase(2000),
        }
    }
}

/// Both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leds {
    /// Red.
    pub red: Led,
    /// Green.
    pub green: Led,
}

/// What the LEDs tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The own access point is open.
    SoftAp,
    /// Listening for a phone through the air.
    AirLink,
    /// The MCU does not answer.
    NoMcu,
    /// Has a network, is not connected.
    Searching,
    /// Has no network.
    NoNetwork,
    /// Connected to the router, not to the cloud.
    NoCloud,
    /// Connected to the cloud.
    Cloud,
    /// Connected for long enough.
    Dark,
}

impl Sign {
    /// Returns the LEDs of the table.
    pub fn leds(self) -> Leds {
        let (red, green) = match self {
            Self::SoftAp => (Led::Fast, Led::Off),
            Self::AirLink => (Led::Off, Led::Fast),
            Self::NoMcu => (Led::Fast, Led::Fast),
            Self::Searching => (Led::Off, Led::On),
            Self::NoNetwork => (Led::On, Led::Slow),
            Self::NoCloud => (Led::On, Led::On),
            Self::Cloud => (Led::Slow, Led::SlowOther),
            Self::Dark => (Led::Off, Led::Off),
        };
        Leds { red, green }
    }
}
