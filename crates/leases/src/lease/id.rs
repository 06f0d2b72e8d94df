//! The name of a lease.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a lease: `l-` and 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId([u8; 16]);

impl LeaseId {
    /// A name that no other lease has.
    pub fn random() -> Self {
        // Not a secret: whoever acts on a lease is asked who they are.
        Self(fastrand::u128(..).to_be_bytes())
    }

    /// The lease that `text` names; `None` if it can be the name of none.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("l-")?;
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (digits.len() == DIGITS && digits.bytes().all(lower))
            .then(|| u128::from_str_radix(digits, 16).ok().map(|number| Self(number.to_be_bytes())))?
    }

    /// Spreads leases over `parts`, for keys that many write.
    pub(crate) fn part(self, parts: u8) -> u8 {
        self.0[15] % parts.max(1)
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"l-00000000000000000000000000000000";
        text[2..].copy_from_slice(&hexadecimal(self.0));
        formatter.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for LeaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeaseId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("this is no name of a lease"))
    }
}

/// The digits of `bytes`. Each write of a lease spells some ids, and the formatter of numbers takes ten times as long.
pub(crate) fn hexadecimal(bytes: [u8; 16]) -> [u8; DIGITS] {
    let mut digits = [0; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    digits
}

const DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_nothing_else_is_one() {
        let id = LeaseId::random();
        assert_eq!(LeaseId::parse(&id.to_string()), Some(id));
        let bytes: [u8; 16] = std::array::from_fn(|place| 0x0f + 0x10 * place as u8);
        assert_eq!(LeaseId(bytes).to_string(), "l-0f1f2f3f4f5f6f7f8f9fafbfcfdfefff");
        for text in
            ["", "l-", "l-7", "7", "l-+0000000000000000000000000000000", "L-00000000000000000000000000000000"]
        {
            assert_eq!(LeaseId::parse(text), None, "{text}");
        }
    }
}
