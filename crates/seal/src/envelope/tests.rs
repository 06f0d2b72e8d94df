//! What opens, and everything that does not.

use proptest::prelude::*;

use super::*;

const PLACE: Place<'static> = Place { table: "leases", key: "tmp.1", version: 3 };

#[test]
fn what_was_sealed_opens_for_the_same_purpose_at_the_same_place() {
    let record = sealer().seal("payload", &PLACE, b"canary");
    assert_eq!(*sealer().open("payload", &PLACE, &record).expect("what was sealed"), b"canary");
    assert!(!record.windows(6).any(|window| window == b"canary"));
    assert_eq!(record.len(), HEADER_BYTES + 6 + TAG_BYTES);
}

#[test]
fn the_same_value_is_never_sealed_to_the_same_bytes() {
    let sealer = sealer();
    let [first, second] = [(); 2].map(|()| sealer.seal("payload", &PLACE, b"canary"));
    let key_and_nonce = 1 + KEY_ID_BYTES..HEADER_BYTES;
    assert_ne!(first[key_and_nonce.clone()], second[key_and_nonce]);
    assert_ne!(first[HEADER_BYTES..], second[HEADER_BYTES..]);
}

#[test]
fn a_record_with_any_bit_flipped_does_not_open() {
    let sealer = sealer();
    let record = sealer.seal("payload", &PLACE, b"canary");
    for at in 0..record.len() {
        for bit in 0..8 {
            let mut altered = record.clone();
            altered[at] ^= 1 << bit;
            let error = sealer.open("payload", &PLACE, &altered).expect_err("an altered record");
            match at {
                0 => assert_eq!(error, OpenError::Format),
                1..=KEY_ID_BYTES => assert!(matches!(error, OpenError::OtherRootKey { .. })),
                _ => assert_eq!(error, OpenError::Altered),
            }
        }
    }
}

#[test]
fn a_record_that_is_cut_or_longer_does_not_open() {
    let sealer = sealer();
    let mut record = sealer.seal("payload", &PLACE, b"");
    for length in 0..record.len() {
        assert_eq!(sealer.open("payload", &PLACE, &record[..length]).err(), Some(OpenError::Format));
    }
    record.push(0);
    assert_eq!(sealer.open("payload", &PLACE, &record).err(), Some(OpenError::Altered));
}

#[test]
fn a_record_opens_at_no_other_place_and_for_no_other_purpose() {
    let sealer = sealer();
    let record = sealer.seal("payload", &PLACE, b"canary");
    let elsewhere = [
        Place { table: "items", ..PLACE },
        Place { key: "tmp.2", ..PLACE },
        Place { version: 2, ..PLACE },
        // The same bytes with the border elsewhere.
        Place { table: "leasest", key: "mp.1", ..PLACE },
    ];
    for place in elsewhere {
        assert_eq!(sealer.open("payload", &place, &record).err(), Some(OpenError::Altered), "{place:?}");
    }
    assert_eq!(sealer.open("payloads", &PLACE, &record).err(), Some(OpenError::Altered));
}

#[test]
fn another_root_key_is_named() {
    let record = sealer().seal("payload", &PLACE, b"canary");
    let other = Sealer::new(RootKey::from_text(&"11".repeat(32)).expect("a key"));
    let error = other.open("payload", &PLACE, &record).expect_err("a record of another key");
    assert_eq!(error, OpenError::OtherRootKey { sealed_with: sealer().key_id(), ours: other.key_id() });
    assert!(error.to_string().contains(&format!("another root key (id {})", sealer().key_id())), "{error}");
}

#[test]
fn each_purpose_has_a_key_of_its_own_and_always_the_same() {
    let sealer = sealer();
    assert_eq!(
        sealer.derive("access token"),
        Sealer::new(RootKey::from_text(&"2a".repeat(32)).expect("a key")).derive("access token")
    );
    let other = Sealer::new(RootKey::from_text(&"11".repeat(32)).expect("a key"));
    let keys = [sealer.derive("access token"), sealer.derive("access tokens"), other.derive("access token")];
    assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
}

/// Computed with another implementation of HKDF; records and tokens of today must open tomorrow.
#[test]
fn derivation_stays_as_it_is() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(sealer().key_id().to_string(), "4086b97fdea97e4b");
    assert_eq!(
        hex(&*sealer().derive("access token")),
        "ed0a55b66a8f668c8acda24513b50cd9f67f1db50f6c555d20ce6280ad4c6fe3"
    );
}

/// A record of format 1, sealed by another implementation of AES-GCM.
#[test]
fn a_record_of_the_past_opens() {
    let record = "014086b97fdea97e4b000102030405060708090a0b0c0d0e0f6465666768696a6b6c6d6e6f57cd830a6e8294da6768e1d220385e1090b569868273";
    let record: Vec<u8> = (0..record.len() / 2)
        .map(|at| u8::from_str_radix(&record[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect();
    assert_eq!(*sealer().open("payload", &PLACE, &record).expect("what was sealed"), b"canary");
}

#[test]
fn a_sealer_prints_its_id_and_no_key() {
    let printed = format!("{:?}", sealer());
    assert_eq!(printed, format!("Sealer {{ key_id: {}, .. }}", sealer().key_id()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_comes_back_from_any_place(
        purpose in ".*", table in ".*", key in ".*", version: u64, plaintext in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let place = Place { table: &table, key: &key, version };
        let record = sealer().seal(&purpose, &place, &plaintext);
        prop_assert_eq!(&*sealer().open(&purpose, &place, &record).expect("what was sealed"), &plaintext);
    }

    #[test]
    fn no_bytes_make_it_panic(record in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(sealer().open("payload", &PLACE, &record).is_err());
    }
}

fn sealer() -> Sealer {
    Sealer::new(RootKey::from_text(&"2a".repeat(32)).expect("a key"))
}
