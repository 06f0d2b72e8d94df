use super::*;

fn read(returned: &str) -> Result<Integrated, String> {
    Integrated::read(&Bytes::from(returned.to_owned()), false).map_err(Cow::into_owned)
}

fn all<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn status_headers_and_body_are_the_functions() {
    let answer = read(
        r#"{"statusCode": 418, "headers": {"X-One": "1", "X-Number": 12345678901234567890, "X-Bool": true, "X-Null": null},
            "multiValueHeaders": {"x-many": ["a", "b"]}, "cookies": ["c=1", "d=2"], "body": "t\u00e9\u0061"}"#,
    )
    .unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (418, "téa".as_bytes()));
    assert_eq!(all(&answer.headers, "x-one"), ["1"]);
    assert_eq!(all(&answer.headers, "x-number"), ["12345678901234567890"]);
    assert_eq!(all(&answer.headers, "x-bool"), ["true"]);
    assert_eq!(all(&answer.headers, "x-null"), [""; 0]);
    assert_eq!(all(&answer.headers, "x-many"), ["a", "b"]);
    assert_eq!(all(&answer.headers, "set-cookie"), ["c=1", "d=2"]);
}

#[test]
fn a_name_in_both_maps_has_the_values_of_the_list() {
    let answer =
        read(r#"{"statusCode": 200, "headers": {"A": "x"}, "multiValueHeaders": {"a": ["y", "z"]}}"#)
            .unwrap();
    assert_eq!(all(&answer.headers, "a"), ["y", "z"]);
}

#[test]
fn what_is_about_a_connection_is_not_the_functions_to_say() {
    let answer = read(
        r#"{"statusCode": 200, "headers": {"Content-Length": "5", "Transfer-Encoding": "chunked", "Connection": "x-a", "x-a": "1"}}"#,
    )
    .unwrap();
    assert!(answer.headers.is_empty(), "{:?}", answer.headers);
}

#[test]
fn bytes_come_in_base64() {
    let answer = read(r#"{"statusCode": "201", "body": "/wA=", "isBase64Encoded": true}"#).unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"\xff\x00"[..]));
    let answer =
        read(r#"{"statusCode": 200.0, "body": null, "headers": null, "isBase64Encoded": null}"#).unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b""[..]));
}

#[test]
fn what_is_wrong_is_named_and_never_repeated() {
    let wrong = [
        "",
        "{canary",
        "\"canary\"",
        "[]",
        "{}",
        r#"{"errorMessage": "canary"}"#,
        r#"{"statusCode": "canary"}"#,
        r#"{"statusCode": 99}"#,
        r#"{"statusCode": 100}"#,
        r#"{"statusCode": 600}"#,
        r#"{"statusCode": 200.5}"#,
        r#"{"statusCode": 200, "headers": "canary"}"#,
        r#"{"statusCode": 200, "headers": {"a": {"canary": 1}}}"#,
        r#"{"statusCode": 200, "headers": {"a": [["canary"]]}}"#,
        r#"{"statusCode": 200, "headers": {"can ary": "x"}}"#,
        r#"{"statusCode": 200, "headers": {"a": "canary\r\nb: c"}}"#,
        r#"{"statusCode": 200, "multiValueHeaders": ["canary"]}"#,
        r#"{"statusCode": 200, "cookies": "canary"}"#,
        r#"{"statusCode": 200, "body": {"canary": 1}}"#,
        r#"{"statusCode": 200, "isBase64Encoded": "canary"}"#,
        r#"{"statusCode": 200, "body": "canary", "isBase64Encoded": true}"#,
    ];
    insta::assert_snapshot!(wrong.map(|returned| read(returned).unwrap_err()).join("\n"), @r#"
    not JSON at line 1 column 0
    not JSON at line 1 column 2
    proxy response must be json format
    proxy response must be json format
    statusCode validation failed
    statusCode validation failed
    statusCode validation failed
    statusCode validation failed
    statusCode validation failed
    statusCode validation failed
    statusCode validation failed
    headers must be a table
    a header is not valid
    a header is not valid
    a header is not valid
    a header is not valid
    multiValueHeaders must be a table
    cookies must be a list of strings
    body must be a string
    isBase64Encoded must be a boolean
    body is not base64, though isBase64Encoded says so
    "#);
}

#[test]
fn an_http_api_takes_what_has_no_status_for_the_body() {
    for (returned, body) in [
        (r#"{"a": 12345678901234567890}"#, r#"{"a": 12345678901234567890}"#),
        (r#""t\u00e9xt""#, "téxt"),
        ("[1]", "[1]"),
        ("null", "null"),
    ] {
        let answer = Integrated::read(&Bytes::from(returned), true).unwrap();
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, body.as_bytes()));
    }
    assert!(Integrated::read(&Bytes::from("{\"a\""), true).is_err());
    assert!(Integrated::read(&Bytes::from("{\"statusCode\": 700}"), true).is_err());
}
