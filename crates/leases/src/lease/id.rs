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
        write!(formatter, "l-{:032x}", u128::from_be_bytes(self.0))
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

const DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_nothing_else_is_one() {
        let id = LeaseId::random();
        assert_eq!(LeaseId::parse(&id.to_string()), Some(id));
        for text in
            ["", "l-", "l-7", "7", "l-+0000000000000000000000000000000", "L-00000000000000000000000000000000"]
        {
            assert_eq!(LeaseId::parse(text), None, "{text}");
        }
    }
}
