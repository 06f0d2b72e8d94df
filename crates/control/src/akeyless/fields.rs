//! Fields as client libraries send them: booleans as text, numbers as text.

use serde::{Deserialize, Deserializer};

/// `true`, `"true"`, `false`, `"false"` or `""`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "true or false")]
    enum Sent {
        Flag(bool),
        Text(Text),
    }
    #[derive(Deserialize)]
    enum Text {
        #[serde(rename = "true")]
        True,
        #[serde(rename = "false", alias = "")]
        False,
    }
    Ok(matches!(Sent::deserialize(deserializer)?, Sent::Flag(true) | Sent::Text(Text::True)))
}

/// A whole number, or one in quotes.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a whole number")]
    enum Sent {
        Number(u64),
        Text(String),
    }
    match Sent::deserialize(deserializer)? {
        Sent::Number(number) => Ok(number),
        Sent::Text(text) => text.parse().map_err(|_| serde::de::Error::custom("expected a whole number")),
    }
}

/// Text that is not there when it is empty.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}
