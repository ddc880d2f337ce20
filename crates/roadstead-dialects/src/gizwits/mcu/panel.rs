//! The data points of a virtual MCU: a block of status bytes and names for parts of it.
//!
//! Only fixed-length products; the block is `dev_status` of GizWits §4.3, a control is §4.4.
//! Values are those of the wire; names, ratios and enums are a matter of the cloud.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use roadstead_core::{Map, Value};

/// Where a data point is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// Bits of a segment; bit 0 is the lowest of its last byte.
    Bits {
        /// The segment's bytes.
        segment: Range<usize>,
        /// First bit.
        bit: u8,
        /// Number of bits, 1 to 16.
        len: u8,
    },
    /// Whole bytes, big-endian.
    Bytes(Range<usize>),
}

/// A data point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// Where it is.
    pub at: At,
    /// Whether phones may set it; the order of these is the order of the flags.
    pub is_writable: bool,
}

/// The block and its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    fields: Vec<Field>,
    status: Vec<u8>,
    /// Bytes at the front that a control carries.
    writable: usize,
}

impl Panel {
    /// Returns a panel; fields beyond the block are dropped.
    pub fn new(fields: Vec<Field>, status: Vec<u8>, writable: usize) -> Self {
        let len = status.len();
        let inside = |range: &Range<usize>| range.start < range.end && range.end <= len;
        let fields = fields.into_iter().filter(|field| match &field.at {
            At::Bits { segment, .. } => inside(segment),
            At::Bytes(range) => inside(range) && range.len() <= 8,
        });
        Self { fields: fields.collect(), status, writable: writable.min(len) }
    }

    /// Returns a block without names: it is read, never set.
    pub fn raw(status: &[u8]) -> Self {
        Self::new(Vec::new(), status.to_vec(), 0)
    }

    /// Returns the vendor's example product: a pet's house with LED, motor and sensors.
    pub fn pet_house() -> Self {
        let bits = |name: &str, segment: Range<usize>, bit, len, is_writable| Field {
            name: name.into(),
            at: At::Bits { segment, bit, len },
            is_writable,
        };
        let byte = |name: &str, at: usize, is_writable| Field {
            name: name.into(),
            at: At::Bytes(at..at + 1),
            is_writable,
        };
        let fields = Vec::from([
            bits("LED_OnOff", 0..1, 0, 1, true),
            bits("LED_Color", 0..1, 1, 2, true),
            byte("LED_R", 1, true),
            byte("LED_G", 2, true),
            byte("LED_B", 3, true),
            byte("Motor_Speed", 4, true),
            bits("Infrared", 5..6, 0, 1, false),
            byte("Temperature", 6, false),
            byte("Humidity", 7, false),
            bits("Alert_1", 8..9, 0, 1, false),
            bits("Alert_2", 8..9, 1, 1, false),
            bits("Fault_LED", 9..10, 0, 1, false),
            bits("Fault_Motor", 9..10, 1, 1, false),
            bits("Fault_TemHum", 9..10, 2, 1, false),
            bits("Fault_IR", 9..10, 3, 1, false),
        ]);
        Self::new(fields, Vec::from([0, 0, 0, 0, 5, 0, 33, 45, 0, 0]), 5)
    }

    /// Returns the block.
    pub fn status(&self) -> &[u8] {
        &self.status
    }

    /// Returns every data point by name.
    pub fn values(&self) -> Map<String, Value> {
        let value = |field: &Field| (String::from(&*field.name), self.get(&field.at).into());
        self.fields.iter().map(value).collect()
    }

    /// Sets values by name: those a phone may set, or all of them. True when something changed.
    pub fn change(&mut self, values: &Map<String, Value>, all: bool) -> bool {
        let before = self.status.clone();
        for (name, value) in values {
            let field = self.fields.iter().find(|field| *field.name == **name);
            let Some(field) = field.filter(|field| all || field.is_writable) else { continue };
            let number = value.as_u64().or_else(|| value.as_bool().map(u64::from));
            if let Some(number) = number {
                let at = field.at.clone();
                put(&mut self.status, &at, number);
            }
        }
        self.status != before
    }

    /// Obeys a control: flags, then the writable part of the block. Returns what was set; a body
    /// of the wrong size sets nothing.
    pub fn control(&mut self, body: &[u8]) -> Map<String, Value> {
        let writable: Vec<Field> =
            self.fields.iter().filter(|field| field.is_writable).cloned().collect();
        let mut set = Map::new();
        let Some((flags, values)) = body.split_at_checked(writable.len().div_ceil(8)) else {
            return set;
        };
        if values.len() != self.writable {
            return set;
        }
        for (n, field) in writable.iter().enumerate() {
            let byte = flags.len().checked_sub(1 + n / 8).and_then(|at| flags.get(at));
            if byte.is_some_and(|byte| byte >> (n % 8) & 1 == 1) {
                let number = get(values, &field.at);
                put(&mut self.status, &field.at, number);
                set.insert(String::from(&*field.name), number.into());
            }
        }
        set
    }

    fn get(&self, at: &At) -> u64 {
        get(&self.status, at)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn get(block: &[u8], at: &At) -> u64 {
    match at {
        At::Bytes(range) => number(block.get(range.clone()).unwrap_or_default()),
        At::Bits { segment, bit, len } => {
            number(block.get(segment.clone()).unwrap_or_default()) >> bit & mask(*len)
        }
    }
}

fn put(block: &mut [u8], at: &At, value: u64) {
    let (range, value) = match at {
        At::Bytes(range) => (range, value),
        At::Bits { segment, bit, len } => {
            let old = number(block.get(segment.clone()).unwrap_or_default());
            let mask = mask(*len);
            (segment, old & !(mask << bit) | (value & mask) << bit)
        }
    };
    let Some(bytes) = block.get_mut(range.clone()) else { return };
    for (n, byte) in bytes.iter_mut().rev().enumerate() {
        *byte = (value >> (8 * n)) as u8;
    }
}

fn mask(len: u8) -> u64 {
    (1 << len.min(16)) - 1
}
