//! What operators of leases send and read.

use super::*;

const LEASE: &str = "l-00000000000000000000000000000007";

#[tokio::test]
async fn a_report_says_in_words_what_needs_somebody() {
    let parked = json!({
        "id": LEASE, "item_name": "/db", "access_id": "p-1", "attempts": 41, "last_error": "the producer answered 500",
    });
    let none = json!({"count": 0, "leases": [], "unreadable": [], "next": null});
    let answer = json!({
        "at": "2026-01-01T00:00:00Z", "live": 7, "active": 5, "due": 1, "due_since": "2026-01-01T00:00:00Z",
        "held": {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T01:00:00Z", "reason": "the clock jumped"},
        "failing": none, "unknown": none,
        "parked": {"count": 2, "leases": [parked], "unreadable": [], "next": "7/l-7"},
        "quarantined": {"count": 1, "leases": [], "unreadable": ["7/l-8"], "next": null},
        "producers": [
            {"item_name": "/db", "can_list": true, "listed": 3, "unknown_to_us": ["user-9"], "in_the_making": 1, "error": null},
            {"item_name": "/old", "can_list": false, "listed": 0, "unknown_to_us": [], "in_the_making": 0, "error": "no answer"},
        ],
    });
    let (asked, printed) = asked_for(&["leases", "report"], &answer.to_string()).await;
    assert_eq!(asked.line, "POST /api/v2/lease-report HTTP/1.1");
    assert_eq!(asked.body, json!({"json": false, "token": "t-123", "ask-producers": true}));
    insta::assert_snapshot!("a-report-of-leases", printed);
    let (asked, _) = asked_for(&["leases", "report", "--without-producers"], &answer.to_string()).await;
    assert_eq!(asked.body["ask-producers"], false);
    let (asked, printed) =
        asked_for(&["leases", "list", "parked", "--limit", "1"], &answer.to_string()).await;
    assert_eq!((&asked.body["list"], &asked.body["limit"]), (&json!("parked"), &json!(1)));
    assert!(printed.ends_with("more: gateward leases list parked --after 7/l-7"), "{printed}");
    let (_, printed) = asked_for(&["leases", "list", "unknown"], &answer.to_string()).await;
    assert_eq!(printed, "No lease is unknown.");
}

#[tokio::test]
async fn a_decision_is_one_call_with_its_reason() {
    let reason = ["--reason", "looked"];
    let cases: [(&[&str], &str, Value); 4] = [
        (&["leases", "abandon", LEASE], "lease-abandon", json!({"id": LEASE})),
        (
            &["leases", "settle", LEASE, "--credential", "user-9"],
            "lease-settle",
            json!({"id": LEASE, "credential": "user-9"}),
        ),
        (
            &["leases", "settle", LEASE, "--no-credential"],
            "lease-settle",
            json!({"id": LEASE, "no-credential": true}),
        ),
        (&["leases", "let-go"], "lease-let-go", json!({})),
    ];
    for (words, operation, mut expected) in cases {
        let answer = r#"{"id":"x","was_held":true}"#;
        let (asked, printed) = asked_for(&[words, &reason].concat(), answer).await;
        assert_eq!(asked.line, format!("POST /api/v2/{operation} HTTP/1.1"));
        for (field, value) in [("json", json!(false)), ("token", json!("t-123")), ("reason", json!("looked"))]
        {
            expected[field] = value;
        }
        assert_eq!(asked.body, expected);
        assert!(printed.ends_with('.'), "{printed}");
    }
}

#[test]
fn a_decision_without_a_reason_or_without_a_finding_is_wrong_usage() {
    for words in [
        &["gateward", "leases", "abandon", LEASE][..],
        &["gateward", "leases", "settle", LEASE, "--reason", "x"],
        &["gateward", "leases", "settle", LEASE, "--reason", "x", "--no-credential", "--credential", "u"],
        &["gateward", "leases", "let-go"],
        &["gateward", "leases", "list", "active"],
    ] {
        let stop = arguments::parse(words.iter().map(Into::into), &surroundings(&[])).unwrap_err();
        assert!(!stop.is_result, "{words:?}");
    }
}

#[tokio::test]
async fn a_credential_is_printed_alone_and_its_lease_is_told_beside_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut head = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while head.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nX-Gateward-Lease-Id: {LEASE}\r\nX-Gateward-Lease-Expires: 2026-01-01T00:00:00Z\r\n\
             Content-Length: 12\r\nConnection: close\r\n\r\n{{\"user\":\"a\"}}"
        )
        .unwrap();
    });
    let words = ["gateward", "get-dynamic-secret-value", "-n", "/x", "--json", "--token", "t-1", "-u", &url];
    let understood = arguments::parse(words.map(Into::into), &surroundings(&[])).unwrap();
    let Command::Ask(ask) = understood.command else { panic!("it asks") };
    let told = super::super::ask(&ask, &surroundings(&[])).await.unwrap();
    server.join().unwrap();
    assert_eq!(told.result, r#"{"user":"a"}"#);
    let note = told.note.unwrap();
    assert!(note.contains(LEASE) && note.contains("2026-01-01T00:00:00Z"), "{note}");
}
