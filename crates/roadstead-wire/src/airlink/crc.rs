//! CRC-8/MAXIM (Dallas): polynomial 0x31 reflected, initial value 0, no final XOR. AirKiss and
//! both ESPTouch versions share it (Airlink §1.5).

const TABLE: [u8; 256] = table();

const fn table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x8C } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// Returns the CRC-8/MAXIM of `bytes`.
pub fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| TABLE[usize::from(crc ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The catalogue's check value and two values that the AirKiss guide prints.
    #[test]
    fn known_values() {
        assert_eq!(crc8(b"123456789"), 0xA1);
        assert_eq!(crc8(b"D-Link_DIR_616"), 0x0C);
        assert_eq!(crc8(&[0x10]), 0x9D);
        assert_eq!(crc8(&[]), 0);
    }
}
