//! What a signature takes of the allocator does not grow with the number of headers, but for the one buffer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use allocation_counter::{AllocationInfo, measure};
use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Signer};
use gateward_clock::Timestamp;
use http::HeaderName;
use http::Request;

/// One signature of a request with `more` headers that it covers, the second one of its signer.
fn signature(more: usize, value: &str, query: &str) -> AllocationInfo {
    let signer = Signer::new("eu-west-1", "lambda");
    let credentials = Credentials {
        access_key: "AKIA".to_owned(),
        secret_key: "secret".into(),
        session_token: Some("token".into()),
    };
    let now = Timestamp::from_secs(1_700_000_000);
    let mut heads = [(); 2].map(|()| {
        let mut request =
            Request::get(format!("http://example.com/a/b{query}")).header("host", "example.com");
        for number in 0..more {
            let name = HeaderName::try_from(format!("x-amz-meta-{number}")).unwrap();
            request = request.header(name, value);
        }
        let mut head = request.body(()).unwrap();
        // The map grows when headers are added to it, whoever adds them.
        head.headers_mut().reserve(8);
        head
    });
    let [first, second] = &mut heads;
    signer.sign(&credentials, first, PayloadHash::Bytes(b""), now).unwrap();
    measure(|| signer.sign(&credentials, second, PayloadHash::Bytes(b""), now).unwrap())
}

#[test]
fn it_is_as_many_allocations_for_fifty_headers_as_for_one() {
    let one = signature(1, "v", "");
    let fifty = signature(50, "v", "");
    let usual = signature(5, "application/json; charset=utf-8", "");
    assert_eq!(one.count_total, usual.count_total);
    // The buffer itself has room for a kilobyte; what is longer has it grow, ever more rarely.
    assert!(fifty.count_total <= one.count_total + 2, "{} and {}", one.count_total, fifty.count_total);
    assert!(one.count_total <= 8, "{}", one.count_total);
}

#[test]
fn what_was_taken_is_given_back_but_for_the_headers_that_are_added() {
    let fifty = signature(50, "v", "?a=b&c=d");
    assert!(fifty.count_current <= 4, "{}", fifty.count_current);
}
