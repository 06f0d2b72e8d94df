//! Passwords, and what a server keeps of them.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateward_seal::SecretValue;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

/// A password of `length` characters, with a small and a capital letter and a digit among them; `None` if there are no
/// random numbers.
pub(super) fn random(length: u8) -> Option<SecretValue> {
    loop {
        let mut bytes = zeroize::Zeroizing::new(vec![0; usize::from(length)]);
        SystemRandom::new().fill(&mut bytes).ok()?;
        let password: String =
            bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect();
        let has = |is: fn(&char) -> bool| password.chars().any(|c| is(&c));
        if has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit) {
            return Some(SecretValue::new(password));
        }
    }
}

/// What PostgreSQL keeps of `password`: the verifier of SCRAM-SHA-256 (RFC 5803), which it takes in a statement in place
/// of the password.
pub(super) fn as_kept(password: &SecretValue) -> Option<String> {
    let mut salt = [0; 16];
    SystemRandom::new().fill(&mut salt).ok()?;
    Some(verifier(password, &salt))
}

fn verifier(password: &SecretValue, salt: &[u8]) -> String {
    let mut salted = zeroize::Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, password.expose().as_bytes(), &mut *salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored = STANDARD.encode(digest::digest(&digest::SHA256, client_key.as_ref()));
    let server = STANDARD.encode(hmac::sign(&key, b"Server Key"));
    format!("SCRAM-SHA-256${ROUNDS}:{}${stored}:{server}", STANDARD.encode(salt))
}

/// What PostgreSQL itself does.
const ROUNDS: NonZeroU32 = NonZeroU32::new(4096).expect("it is not zero");

/// Sixty-four characters, so that a byte chooses one without favour; none of them means anything in SQL, in a URL or in a
/// shell.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_their_length_and_all_sorts_and_differ() {
        let (one, other) = (random(12).unwrap(), random(12).unwrap());
        assert_eq!(one.expose().len(), 12);
        assert_ne!(one, other);
        for _ in 0..200 {
            let password = random(12).unwrap();
            assert!(password.expose().bytes().all(|byte| ALPHABET.contains(&byte)));
            assert!(password.expose().bytes().any(|byte| byte.is_ascii_digit()));
        }
    }
}
