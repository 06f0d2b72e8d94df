//! CRC-32C (Castagnoli), by which Google lets callers see that a payload has arrived whole.
//!
//! Bit by bit: a secret has at most 64 KiB, and one is read when a network call has ended.

/// The checksum of `bytes`.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (REVERSED & (crc & 1).wrapping_neg()))
    })
}

/// The polynomial 0x1EDC6F41, its bits in reverse.
const REVERSED: u32 = 0x82f6_3b78;

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn published_checksums_come_out() {
        // RFC 3720, appendix B.4, and the catalogues' check value.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn a_payload_of_secret_manager_has_the_checksum_that_came_with_it() {
        assert_eq!(crc32c(b"not-a-secret"), 679_015_127);
    }
}
