//! The key that signs for one day, region and service.

use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use ring::hmac;
use zeroize::Zeroizing;

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// A key derived from a secret, good for one scope.
pub(super) struct SigningKey {
    /// What it was derived from, to notice another secret.
    secret: SecretValue,
    /// Days since 1970.
    day: u64,
    /// `20150830/us-east-1/service/aws4_request`.
    scope: Box<[u8]>,
    key: hmac::Key,
}

impl SigningKey {
    /// Derives the key of `secret` for the day of `now`.
    pub(super) fn derive(secret: &SecretValue, now: Timestamp, region: &str, service: &str) -> Self {
        let date_time = now.iso8601_basic();
        let date = &date_time[..date_time.find('T').unwrap_or(date_time.len())];
        let first = Zeroizing::new([b"AWS4", secret.expose().as_bytes()].concat());
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, &first);
        for step in [date, region, service, "aws4_request"] {
            let derived = hmac::sign(&key, step.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        }
        let scope = format!("{date}/{region}/{service}/aws4_request").into_bytes().into();
        Self { secret: secret.clone(), day: now.secs() / SECONDS_A_DAY, scope, key }
    }

    /// Whether this is the key of `secret` for the day of `now`.
    pub(super) fn is_for(&self, secret: &SecretValue, now: Timestamp) -> bool {
        // Both are ours, so nobody learns anything from the time that it takes to compare them.
        self.day == now.secs() / SECONDS_A_DAY && self.secret.expose() == secret.expose()
    }

    /// Date, region, service and a fixed word.
    pub(super) fn scope(&self) -> &[u8] {
        &self.scope
    }

    pub(super) fn hmac(&self) -> &hmac::Key {
        &self.key
    }

    /// `20150830T123600Z` for `now`, which is a moment of this key's day: only the clock's digits need reckoning.
    pub(super) fn date_time(&self, now: Timestamp) -> [u8; 16] {
        let of_day = now.secs() % SECONDS_A_DAY;
        let mut text = *b"00000000T000000Z";
        text[..8].copy_from_slice(&self.scope[..8]);
        for (at, number) in [(9, of_day / 3600), (11, of_day / 60 % 60), (13, of_day % 60)] {
            text[at] = b'0' + (number / 10) as u8;
            text[at + 1] = b'0' + (number % 10) as u8;
        }
        text
    }
}
