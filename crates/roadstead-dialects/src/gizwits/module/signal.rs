//! The router's signal in seven levels, with hysteresis.
//!
//! Source: seed §4.3; GizWits §7.3, transcript rssi.

/// Smallest change that is classified again.
const STEP: u8 = 10;

/// The level as it was last classified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    level: u8,
    /// Strength at the last classification.
    value: Option<u8>,
}

impl Signal {
    /// Returns the level, 0 to 7.
    pub fn level(self) -> u8 {
        self.level
    }

    /// Takes a strength of 0 to 100. With `falls` the levels of the document (0 to 6); without,
    /// those of 04020006, which collects the bits of all levels it ever had.
    pub fn hear(&mut self, strength: u8, falls: bool) {
        let strength = strength.min(100);
        if self.value.is_some_and(|value| value.abs_diff(strength) < STEP) {
            return;
        }
        self.value = Some(strength);
        self.level = if falls { document(strength) } else { self.level | firmware(strength) };
    }

    /// Returns the strength people are shown for a level of the document.
    pub fn shown(level: u8) -> u8 {
        match level {
            0 => 0,
            1 => 20,
            2 => 40,
            3 => 50,
            4 => 60,
            5 => 70,
            _ => 80,
        }
    }
}

fn document(strength: u8) -> u8 {
    match strength {
        0 => 0,
        1..=20 => 1,
        21..=40 => 2,
        41..=50 => 3,
        51..=60 => 4,
        61..=70 => 5,
        _ => 6,
    }
}

fn firmware(strength: u8) -> u8 {
    match strength {
        0..20 => 1,
        20..40 => 2,
        40..50 => 3,
        50..60 => 4,
        60..70 => 5,
        70..80 => 6,
        _ => 7,
    }
}
