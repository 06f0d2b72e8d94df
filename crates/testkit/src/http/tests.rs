use std::io::Cursor;
use std::net::TcpListener;

use super::*;

fn read(bytes: &str) -> io::Result<Response> {
    read_response(&mut Cursor::new(bytes.as_bytes()), false)
}

#[test]
fn an_answer_is_read_however_its_length_is_told() {
    for answer in [
        "HTTP/1.1 201 Created\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhellomore",
        "HTTP/1.1 201 Created\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: 1\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nX-A: 1\r\n\r\nhello",
    ] {
        let response = read(answer).unwrap();
        assert_eq!(
            (response.status, response.text().as_str(), response.header("x-A")),
            (201, "hello", Some("1"))
        );
    }
    assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\nnot a body").unwrap().body, b"");
}

#[test]
fn an_answer_that_is_cut_off_is_an_error() {
    assert!(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell").is_err());
    assert!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell").is_err());
    assert!(read("HTTP/1.1 200 OK\r\n").is_err());
    assert!(read("").is_err());
}

#[test]
fn a_server_that_does_not_answer_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    assert!(try_request(Duration::from_millis(50), "GET", &url, &[], b"").is_err());
}

#[test]
fn nothing_but_loopback_is_called() {
    let refused = try_request(Duration::from_secs(1), "GET", "http://192.0.2.1:9/", &[], b"").unwrap_err();
    assert_eq!(refused.to_string(), "tests talk to loopback only");
}
