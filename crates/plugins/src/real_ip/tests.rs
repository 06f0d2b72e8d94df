use gateward_net::Body;
use http::Request;

use super::*;
use crate::testing::Bench;

/// Whom a request from `peer` counts as coming from.
async fn client(settings: Value, peer: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut bench = Bench::new();
    bench.conn.client = (peer.parse::<IpAddr>().unwrap(), 1).into();
    let plugin = bench.build(&KIND, &settings);
    let mut request = Request::get(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    bench.try_request(&*plugin, request, |exchange, _| exchange.client.to_string()).await
}

async fn forwarded(settings: Value, peer: &str, lists: &[&str]) -> String {
    let headers: Vec<_> = lists.iter().map(|list| ("x-forwarded-for", *list)).collect();
    client(settings, peer, "/", &headers).await
}

#[tokio::test]
async fn the_address_can_stand_in_any_variable() {
    let headers = [("x-real-ip", "192.0.2.7")];
    assert_eq!(client(json!({"source": "http_x_real_ip"}), "127.0.0.1", "/", &headers).await, "192.0.2.7");
    for (written, address) in [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:1234", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("nobody", "127.0.0.1"),
        ("192.0.2.7:0", "127.0.0.1"),
        ("", "127.0.0.1"),
    ] {
        let target = format!("/?ip={written}");
        assert_eq!(
            client(json!({"source": "arg_ip"}), "127.0.0.1", &target, &[]).await,
            address,
            "{written}"
        );
    }
    assert_eq!(client(json!({"source": "arg_none"}), "127.0.0.1", "/", &[]).await, "127.0.0.1");
}

#[tokio::test]
async fn only_trusted_peers_are_believed() {
    let settings =
        json!({"source": "http_x_forwarded_for", "trusted_addresses": ["192.0.2.0/24", "2001:db8::1"]});
    for (peer, believed) in
        [("192.0.2.9", true), ("2001:db8::1", true), ("192.0.3.1", false), ("127.0.0.1", false)]
    {
        let client = forwarded(settings.clone(), peer, &["198.51.100.1"]).await;
        assert_eq!(client == "198.51.100.1", believed, "{peer}");
    }
}

#[tokio::test]
async fn without_a_list_private_networks_are_trusted_and_the_internet_is_not() {
    let settings = json!({"source": "http_x_forwarded_for"});
    for peer in ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "::1", "fd00::1"] {
        assert_eq!(forwarded(settings.clone(), peer, &["198.51.100.1"]).await, "198.51.100.1", "{peer}");
    }
    for peer in ["8.8.8.8", "172.32.0.1", "2001:4860::1"] {
        assert_eq!(forwarded(settings.clone(), peer, &["198.51.100.1"]).await, peer);
    }
    let all = json!({"source": "http_x_forwarded_for", "trusted_addresses": ["0.0.0.0/0", "::/0"]});
    assert_eq!(forwarded(all, "8.8.8.8", &["198.51.100.1"]).await, "198.51.100.1");
}

#[tokio::test]
async fn of_several_addresses_the_last_one_counts() {
    let settings = json!({"source": "http_x_forwarded_for"});
    assert_eq!(forwarded(settings.clone(), "127.0.0.1", &["1.1.1.1, 2.2.2.2,10.0.0.1"]).await, "10.0.0.1");
    assert_eq!(forwarded(settings.clone(), "127.0.0.1", &["1.1.1.1", "2.2.2.2"]).await, "2.2.2.2");
    assert_eq!(forwarded(settings, "127.0.0.1", &["1.1.1.1, forged"]).await, "127.0.0.1");
}

#[tokio::test]
async fn recursively_the_last_one_counts_that_is_not_trusted() {
    let settings = json!({
        "source": "http_x_forwarded_for", "recursive": true, "trusted_addresses": ["127.0.0.1", "10.0.0.0/8"],
    });
    for (lists, client) in [
        (&["1.1.1.1, 2.2.2.2, 10.0.0.1, 10.0.0.2"][..], "2.2.2.2"),
        (&["1.1.1.1, 2.2.2.2", "10.0.0.1"], "2.2.2.2"),
        (&["10.0.0.3, 10.0.0.1"], "10.0.0.3"),
        (&["1.1.1.1, junk, 10.0.0.1"], "10.0.0.1"),
    ] {
        assert_eq!(forwarded(settings.clone(), "127.0.0.1", lists).await, client, "{lists:?}");
    }
}

#[test]
fn wrong_settings_are_refused() {
    for (settings, field) in [
        (json!({}), ""),
        (json!({"source": ""}), "source"),
        (json!({"source": "arg_ip", "trusted_addresses": []}), "trusted_addresses"),
        (json!({"source": "arg_ip", "trusted_addresses": ["10.0.0.1", "x"]}), "trusted_addresses[1]"),
        (json!({"source": "arg_ip", "recursive": "yes"}), "recursive"),
    ] {
        assert_eq!((KIND.check)(&settings).unwrap_err().field, field, "{settings}");
    }
}
