//! Calls through a forward proxy.

use gateward_model::ErrorStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

/// A forward proxy that opens one tunnel, to `port` whatever it is asked for; without a port it refuses. Gives its own port,
/// and what it was asked.
async fn proxy(port: Option<u16>) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let asked = tokio::task::spawn_local(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(client.read_buf(&mut head).await.unwrap(), 0, "half a request");
        }
        match port {
            None => client.write_all(b"HTTP/1.1 403 Canary\r\ncontent-length: 0\r\n\r\n").await.unwrap(),
            Some(port) => {
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                tokio::task::spawn_local(async move {
                    let mut function = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::io::copy_bidirectional(&mut client, &mut function).await.ok();
                });
            }
        }
        String::from_utf8(head).unwrap()
    });
    (own, asked)
}

#[tokio::test(flavor = "current_thread")]
async fn a_call_goes_through_the_tunnel_that_the_proxy_opens() {
    on_a_data_thread(async {
        let double = Double::answering(lambda(200, "", "\"hi\"")).await;
        let (port, asked) = proxy(Some(double.port())).await;
        let more = json!({
            "host": "lambda.example",
            "port": 8443,
            "proxy_url": format!("http://ada:c%40nary@127.0.0.1:{port}"),
        });
        let call = Call::to(double, &more);
        let received = call.send(get("/aws")).await;
        assert_eq!(received.header("host"), Some("lambda.example:8443"));
        assert_eq!(received.header("proxy-authorization"), None, "it is for the proxy alone");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("CONNECT lambda.example:8443 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("\r\nproxy-authorization: Basic YWRhOmNAbmFyeQ==\r\n"), "{asked}");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_proxy_that_opens_no_tunnel_has_an_error_of_its_own() {
    on_a_data_thread(async {
        let (port, _asked) = proxy(None).await;
        let double = Double::answering(lambda(200, "", "\"hi\"")).await;
        let call = Call::to(double, &json!({"proxy_url": format!("http://ada:canary@127.0.0.1:{port}/")}));
        let failure = call.failure(get("/aws")).await;
        assert_eq!((failure.status, failure.code), (ErrorStatus::BAD_GATEWAY, "function_proxy_refused"));
        let all = format!("{failure:?}");
        assert!(!all.to_lowercase().contains("canary"), "{all}");
    })
    .await;
}
