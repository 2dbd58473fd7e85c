//! CRC-64/Jones, the checksum at the end of a `DUMP` payload.
//!
//! Polynomial 0xad93d23594c935a9, reflected in and out, initial value 0, no final xor; check
//! value of `123456789` is 0xe9c6d914c4b8d9ca. Parameters as stated at the head of the server's
//! own `crc64.c`: <https://github.com/redis/redis/blob/7.0/src/crc64.c>. Eight tables let eight
//! bytes be taken per step.

/// The polynomial with its bits reversed, as a reflected CRC shifts to the right.
const POLYNOMIAL: u64 = 0xad93_d235_94c9_35a9_u64.reverse_bits();

static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0u64; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let previous = tables[k - 1][byte];
            tables[k][byte] = (previous >> 8) ^ tables[0][(previous & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// The checksum of `bytes`, continuing from `crc` (0 to begin).
pub(crate) fn crc64(mut crc: u64, bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        let word = crc ^ u64::from_le_bytes(*eight);
        crc = 0;
        for (k, table) in TABLES.iter().rev().enumerate() {
            crc ^= table[((word >> (8 * k)) & 0xff) as usize];
        }
    }
    for byte in rest {
        crc = (crc >> 8) ^ TABLES[0][((crc ^ u64::from(*byte)) & 0xff) as usize];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn continues() {
        let text = b"This is a test of the emergency broadcast system.";
        for cut in 0..text.len() {
            assert_eq!(crc64(crc64(0, &text[..cut]), &text[cut..]), crc64(0, text));
        }
    }
}
