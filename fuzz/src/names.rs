//! Short texts that mean something: ids, names, addresses, spans of time. What is taken reads the same when it is
//! written out and read again.

use std::fmt::{Debug, Display};

use gateward_access::AccessId;
use gateward_model::apisix::{AddressRange, ResourceId};
use gateward_model::{GoDuration, ItemName, ProducerUrl};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    round_trip(text, |text| text.parse::<AccessId>().ok());
    round_trip(text, |text| text.parse::<AddressRange>().ok());
    round_trip(text, |text| ResourceId::parse(text).ok());
    round_trip(text, |text| GoDuration::parse(text).ok());
    round_trip(text, |text| ItemName::parse(text).ok());
    round_trip(text, |text| ProducerUrl::parse(text).ok());
    if let Ok(range) = text.parse::<AddressRange>() {
        let network = range.to_string();
        let (address, _) = network.split_once('/').expect("a range is written with its length");
        assert!(range.contains(address.parse().expect("and begins with an address")));
    }
}

fn round_trip<T: Debug + Display + PartialEq>(text: &str, parse: impl Fn(&str) -> Option<T>) {
    let Some(parsed) = parse(text) else { return };
    assert_eq!(parse(&parsed.to_string()).as_ref(), Some(&parsed), "{text:?}");
}
