//! Cloud ids as the vendor's packages make them, and hostile ones.

use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// What the Python package writes, two spaces and all, changed by `change`.
fn cloud_id(change: impl FnOnce(&mut Value, &mut Value, &mut String)) -> String {
    let date = NOW.iso8601_basic();
    let signature = "ab".repeat(32);
    let mut headers = json!({
        "Authorization": [format!(
            "AWS4-HMAC-SHA256 Credential=AKID/{}/us-east-1/sts/aws4_request,  \
             SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-security-token, Signature={signature}",
            &date[..8]
        )],
        "Content-Length": ["43"],
        "Content-Type": ["application/x-www-form-urlencoded; charset=utf-8"],
        "User-Agent": ["aws-sdk-python"],
        "X-Amz-Date": [date],
        "X-Amz-Security-Token": ["canary"],
    });
    let mut outer = json!({"sts_request_method": "POST", "body": BODY});
    let mut url = "https://sts.amazonaws.com/".to_owned();
    change(&mut headers, &mut outer, &mut url);
    let body = outer["body"].as_str().unwrap();
    let whole = json!({
        "sts_request_method": outer["sts_request_method"],
        "sts_request_url": STANDARD.encode(&url),
        "sts_request_body": STANDARD.encode(body),
        "sts_request_headers": STANDARD.encode(headers.to_string()),
    });
    STANDARD.encode(whole.to_string())
}

fn parse(cloud_id: &str) -> Result<SignedRequest, NoCloudId> {
    SignedRequest::parse(cloud_id, Verifier { own_host: Some("sts.test:4566"), server_id: None }, NOW)
}

#[test]
fn what_the_vendors_package_writes_is_read() {
    let request = parse(&cloud_id(|_, _, _| {})).unwrap();
    assert_eq!((request.host.as_str(), request.signed), ("sts.amazonaws.com", NOW));
    let names: Vec<_> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["authorization", "content-type", "x-amz-date", "x-amz-security-token"]);
    assert!(!format!("{request:?}").contains("canary"));
}

#[test]
fn other_clients_ways_are_read_too() {
    parse(&cloud_id(|headers, _, _| headers["Host"] = json!("sts.amazonaws.com"))).unwrap();
    parse(&cloud_id(|headers, _, _| headers["X-Amz-Date"] = json!(NOW.iso8601_basic()))).unwrap();
    parse(&cloud_id(|_, _, url| *url = "https://sts.amazonaws.com".to_owned())).unwrap();
    parse(&cloud_id(|_, _, url| *url = "https://sts.test:4566/".to_owned())).unwrap();
    let regional = |headers: &mut Value, _: &mut Value, url: &mut String| {
        *url = "https://sts.eu-west-1.amazonaws.com/".to_owned();
        let text = headers["Authorization"][0].as_str().unwrap().replace("us-east-1", "eu-west-1");
        headers["Authorization"] = json!([text]);
    };
    parse(&cloud_id(regional)).unwrap();
}

#[test]
fn each_hostile_variant_is_refused() {
    type Change = fn(&mut Value, &mut Value, &mut String);
    fn authorization(headers: &mut Value, from: &str, to: &str) {
        let text = headers["Authorization"][0].as_str().unwrap().replace(from, to);
        headers["Authorization"] = json!([text]);
    }
    let cases: [(&str, Change); 57] = [
        ("method", |_, outer, _| outer["sts_request_method"] = json!("GET")),
        ("method", |_, outer, _| outer["sts_request_method"] = json!("post")),
        ("body", |_, outer, _| {
            outer["body"] = json!("Action=GetCallerIdentity&Version=2011-06-15&Action=AssumeRole");
        }),
        ("body", |_, outer, _| outer["body"] = json!("Version=2011-06-15&Action=GetCallerIdentity")),
        ("body", |_, outer, _| outer["body"] = json!("")),
        ("URL", |_, _, url| *url = "http://sts.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.amazonaws.com.evil.example/".to_owned()),
        ("URL", |_, _, url| *url = "https://evil.example/sts.amazonaws.com".to_owned()),
        ("URL", |_, _, url| *url = "https://u@sts.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.amazonaws.com/?x".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.amazonaws.com:8443/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.amazonaws.com/path".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.evil.example#.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://169.254.169.254/".to_owned()),
        ("Host", |headers, _, _| headers["Host"] = json!(["evil.example"])),
        ("Content-Length", |headers, _, _| headers["Content-Length"] = json!(["44"])),
        ("one text", |headers, _, _| headers["X-Amz-Security-Token"] = json!([null])),
        ("one text", |headers, _, _| headers["X-Amz-Date"] = json!(["a", "b"])),
        ("one text", |headers, _, _| headers["X-Amz-Date"] = json!(7)),
        ("twice", |headers, _, _| headers["x-amz-date"] = headers["X-Amz-Date"].clone()),
        ("valid value", |headers, _, _| headers["X-Amz-Target"] = json!("a\r\nHost: evil.example")),
        ("valid name", |headers, _, _| headers["X-Amz-A\r\nHost"] = json!("a")),
        ("no Authorization", |headers, _, _| headers["Authorization"] = json!([])),
        ("X-Amz-Date", |headers, _, _| drop(headers.as_object_mut().unwrap().remove("X-Amz-Date"))),
        ("X-Amz-Date", |headers, _, _| headers["X-Amz-Date"] = json!(["yesterday"])),
        ("another service", |headers, _, _| authorization(headers, "/sts/", "/s3/")),
        ("another region", |headers, _, _| authorization(headers, "us-east-1", "eu-west-1")),
        ("covers", |headers, _, _| authorization(headers, "host;", "")),
        ("covers", |headers, _, _| authorization(headers, "x-amz-date;", "")),
        ("signature", |headers, _, _| authorization(headers, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
        ("signature", |headers, _, _| authorization(headers, "abab", "ABAB")),
        ("signature", |headers, _, _| authorization(headers, "Signature=", "Signature=ab, Signature=")),
        // A name of S3, which is whoever's that took it; other services; regions that are none.
        ("URL", |_, _, url| *url = "https://sts.s3.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.s3-website-us-east-1.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.eu-west-1.amazonaws.com.cn/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.elastic-beanstalk-1.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.us-east-ab.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.cn-north-1.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts..amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.eu-west-1.evil.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://STS.amazonaws.com/".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.amazonaws.com./".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.amazonaws.com//".to_owned()),
        ("URL", |_, _, url| *url = "https://sts.test/".to_owned()),
        // What a presigned request would have.
        ("URL", |_, _, url| {
            *url =
                "https://sts.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Signature=ab"
                    .to_owned();
        }),
        ("one text", |headers, _, _| headers["X-Amz-Date"] = json!({"0": "x"})),
        ("does not cover", |headers, _, _| headers["X-Amz-Expires"] = json!(["900"])),
        ("does not cover", |headers, _, _| {
            headers["X-Amz-Target"] = json!(["AWSSecurityTokenServiceV20110615.AssumeRole"]);
        }),
        ("does not cover", |headers, _, _| authorization(headers, ";x-amz-security-token", "")),
        ("does not cover", |headers, _, _| headers["X-Gateward-Server-Id"] = json!(["ours"])),
        ("Content-Type", |headers, _, _| headers["Content-Type"] = json!(["application/x-amz-json-1.1"])),
        ("Content-Type", |headers, _, _| {
            headers["Content-Type"] = json!(["application/x-www-form-urlencodedx"]);
        }),
        ("signature", |headers, _, _| {
            authorization(headers, "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Nonce=1, ");
        }),
        ("signature", |headers, _, _| authorization(headers, "Signature=ab", "Signature=")),
        ("signature", |headers, _, _| authorization(headers, "AKID/", "AKID/x/")),
        ("another service", |headers, _, _| authorization(headers, "Credential=AKID", "Credential=")),
        ("another day", |headers, _, _| authorization(headers, "AKID/2", "AKID/3")),
    ];
    for (place, (says, change)) in cases.into_iter().enumerate() {
        let refusal = parse(&cloud_id(change)).map(|request| request.host).unwrap_err();
        let expected = if says == "no Authorization" { "one text" } else { says };
        assert!(refusal.to_string().contains(expected), "{place} {says}: {refusal}");
    }
}

#[test]
fn it_is_taken_while_it_is_fresh() {
    for (seconds, is_taken) in [(0, true), (299, true), (301, false), (86_400, false)] {
        for now in [NOW.secs() + seconds, NOW.secs() - seconds] {
            let read =
                SignedRequest::parse(&cloud_id(|_, _, _| {}), Verifier::default(), Timestamp::from_secs(now));
            assert_eq!(read.is_ok(), is_taken, "{seconds}");
        }
    }
}

#[test]
fn what_is_no_base64_and_what_is_too_long_is_refused() {
    for text in ["", "canary!", "e30=", &"A".repeat(LONGEST + 4)] {
        assert!(parse(text).is_err(), "{}", text.len());
    }
    // All of it would be right, but for what nobody reads.
    let padded =
        |length: usize| cloud_id(|headers, _, _| headers["User-Agent"] = json!(["x".repeat(length)]));
    assert!(parse(&padded(1000)).is_ok());
    assert_eq!(parse(&padded(LONGEST)).map(|_| ()), Err(NoCloudId("it is longer than 16 KiB")));
    let whole = cloud_id(|_, _, _| {});
    for length in 0..whole.len() {
        assert!(parse(&whole[..length]).is_err(), "{length}");
    }
}

#[test]
fn what_the_signature_does_not_cover_is_not_sent_on() {
    let uncovered = cloud_id(|headers, _, _| {
        let text = headers["Authorization"][0].as_str().unwrap().replace("content-type;", "");
        headers["Authorization"] = json!([text]);
        headers["Accept"] = json!(["application/json"]);
        headers["Cookie"] = json!(["a=b"]);
    });
    let request = parse(&uncovered).unwrap();
    let names: Vec<_> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["authorization", "x-amz-date", "x-amz-security-token"]);
}

#[test]
fn where_a_server_id_is_set_it_must_be_signed_for() {
    let signed_for = |id: Option<&str>, covered: bool| {
        cloud_id(|headers, _, _| {
            if let Some(id) = id {
                headers["X-Gateward-Server-Id"] = json!([id]);
            }
            if covered {
                let text = headers["Authorization"][0].as_str().unwrap();
                let text =
                    text.replace("x-amz-security-token,", "x-amz-security-token;x-gateward-server-id,");
                headers["Authorization"] = json!([text]);
            }
        })
    };
    let read = |cloud_id: &str, server_id| {
        SignedRequest::parse(cloud_id, Verifier { own_host: None, server_id }, NOW).map(|_| ())
    };
    assert_eq!(read(&signed_for(Some("ours"), true), Some("ours")), Ok(()));
    assert_eq!(read(&signed_for(Some("ours"), true), None), Ok(()));
    for (id, covered) in
        [(Some("ours"), false), (Some("theirs"), true), (Some("Ours"), true), (None, true), (None, false)]
    {
        assert!(read(&signed_for(id, covered), Some("ours")).is_err(), "{id:?} {covered}");
    }
}
