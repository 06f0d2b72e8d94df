use serde_json::json;

use super::*;

fn upstream(json: &Value) -> Result<Upstream, Invalid> {
    Upstream::parse(json)
}

#[test]
fn what_is_not_said_is_as_in_apisix_but_for_certificates_which_are_verified() {
    let read = upstream(&json!({"nodes": []})).unwrap();
    assert_eq!(read, Upstream::default());
    assert!(read.tls.verify);
    assert_eq!((read.balancing, read.pass_host), (Balancing::RoundRobin, PassHost::Pass));
    let read = upstream(&json!({"nodes": {}, "keepalive_pool": {}, "checks": {"active": {}}})).unwrap();
    assert_eq!(read.keepalive_pool, Some(KeepalivePool::default()));
    let active = read.checks.unwrap().active;
    assert_eq!((active.timeout, active.concurrency), (Duration::from_secs(1), 10));
    assert_eq!((active.healthy.http_statuses, active.healthy.successes), (vec![200, 302], 2));
    assert_eq!(
        (active.unhealthy.http_failures, active.unhealthy.tcp_failures, active.unhealthy.timeouts),
        (5, 2, 3)
    );
    assert_eq!(active.http_path, "/");
}

#[test]
fn all_that_may_be_said_is_read() {
    let read = upstream(&json!({
        "id": 1, "name": "n", "desc": "d", "labels": {"a": "b"}, "create_time": 1, "update_time": 2,
        "type": "chash", "hash_on": "header", "key": "X-Tenant", "scheme": "grpcs",
        "nodes": [
            {"host": "a.example", "port": 8443, "weight": 3, "priority": -1, "metadata": {"zone": "x"}},
            {"host": "[::1]", "weight": 0},
        ],
        "timeout": {"connect": 0.5, "send": 1, "read": 2}, "retries": 0, "retry_timeout": 1.5,
        "pass_host": "rewrite", "upstream_host": "inner.example:8080",
        "keepalive_pool": {"size": 1, "idle_timeout": 0, "requests": 10},
        "tls": {"client_cert": "c", "client_key": "{vault://env/key}", "verify": true, "ca": "p"},
        "checks": {
            "active": {
                "type": "https", "timeout": 0.3, "concurrency": 2, "host": "h.example", "port": 9000,
                "http_method": "POST", "http_path": "/status?x", "http_req_body": "ping",
                "https_verify_certificate": false, "req_headers": ["User-Agent: probe", "X: {vault://env/x}"],
                "healthy": {"interval": 5, "http_statuses": [204, 200], "successes": 1},
                "unhealthy": {"interval": 6, "http_statuses": [500], "http_failures": 1, "tcp_failures": 3, "timeouts": 4},
            },
            "passive": {"type": "tcp", "healthy": {"successes": 0}, "unhealthy": {"timeouts": 0}},
        },
    }))
    .unwrap();
    assert_eq!(read.balancing, Balancing::ConsistentHash(HashOn::Header("X-Tenant".to_owned())));
    assert_eq!(read.nodes[0], Node { host: "a.example".to_owned(), port: 8443, weight: 3, priority: -1 });
    assert_eq!((read.nodes[1].host.as_str(), read.nodes[1].port), ("::1", 443));
    assert_eq!((read.retries, read.retry_timeout), (Some(0), Some(Duration::from_millis(1500))));
    assert_eq!(read.pass_host, PassHost::Rewrite("inner.example:8080".to_owned()));
    assert_eq!(read.keepalive_pool.unwrap().idle_timeout, None);
    assert!(read.scheme.is_grpc() && read.scheme.transport() == Scheme::Https);
    let checks = read.checks.unwrap();
    assert_eq!(checks.active.healthy.http_statuses, [200, 204]);
    assert_eq!(checks.active.req_headers[1], ("X".to_owned(), "{vault://env/x}".to_owned()));
    let passive = checks.passive.unwrap();
    assert_eq!(
        (passive.healthy.successes, passive.unhealthy.timeouts, passive.unhealthy.http_failures),
        (0, 0, 5)
    );
}

#[test]
fn what_is_wrong_is_named_by_its_field() {
    let cases = [
        (json!({}), "nodes"),
        (json!({"nodes": 1}), "nodes"),
        (json!({"nodes": {"h:x": 1}}), "nodes.h:x"),
        (json!({"nodes": {"h:0": 1}}), "nodes.h:0"),
        (json!({"nodes": {"h:1": -1}}), "nodes.h:1"),
        (json!({"nodes": [{"host": "a"}]}), "nodes[0]"),
        (json!({"nodes": [{"host": "a", "weight": 1}, {"host": "", "weight": 1}]}), "nodes[1].host"),
        (json!({"nodes": [{"host": "a", "weight": 1, "wieght": 1}]}), "nodes[0].wieght"),
        (json!({"nodes": [], "type": "random"}), "type"),
        (json!({"nodes": [], "type": "chash"}), "key"),
        (json!({"nodes": [], "type": "chash", "key": "http_x"}), "key"),
        (json!({"nodes": [], "type": "chash", "hash_on": "header", "key": "a b"}), "key"),
        (json!({"nodes": [], "hash_on": "moon"}), "hash_on"),
        (json!({"nodes": [], "scheme": "kafka"}), "scheme"),
        (json!({"nodes": [], "retries": -1}), "retries"),
        (json!({"nodes": [], "retry_timeout": -1}), "retry_timeout"),
        (json!({"nodes": [], "pass_host": "rewrite"}), "upstream_host"),
        (json!({"nodes": [], "upstream_host": "a b"}), "upstream_host"),
        (json!({"nodes": [], "pass_host": "other"}), "pass_host"),
        (json!({"nodes": [], "keepalive_pool": {"size": 0}}), "keepalive_pool.size"),
        (json!({"nodes": [], "keepalive_pool": {"idle": 0}}), "keepalive_pool.idle"),
        (json!({"nodes": [], "tls": {"client_cert": "c"}}), "tls.client_key"),
        (
            json!({"nodes": [], "tls": {"client_cert": "c", "client_key": "k", "client_cert_id": 1}}),
            "tls.client_cert_id",
        ),
        (json!({"nodes": [], "tls": {"ca": "c", "verify": false}}), "tls.ca"),
        (json!({"service_name": "s", "discovery_type": "dns"}), "service_name"),
        (json!({"nodes": [], "checks": {}}), "checks.active"),
        (json!({"nodes": [], "checks": {"passive": {}}}), "checks.active"),
        (json!({"nodes": [], "checks": {"active": {"timeout": 0}}}), "checks.active.timeout"),
        (json!({"nodes": [], "checks": {"active": {"http_path": "x"}}}), "checks.active.http_path"),
        (json!({"nodes": [], "checks": {"active": {"req_headers": ["x"]}}}), "checks.active.req_headers[0]"),
        (
            json!({"nodes": [], "checks": {"active": {"req_headers": ["x: a\r\nb: c"]}}}),
            "checks.active.req_headers[0]",
        ),
        (
            json!({"nodes": [], "checks": {"active": {"healthy": {"successes": 0}}}}),
            "checks.active.healthy.successes",
        ),
        (
            json!({"nodes": [], "checks": {"active": {"unhealthy": {"interval": 0}}}}),
            "checks.active.unhealthy.interval",
        ),
        (
            json!({"nodes": [], "checks": {"active": {"healthy": {"http_statuses": [200, 200]}}}}),
            "checks.active.healthy.http_statuses",
        ),
        (json!({"nodes": [], "checks": {"active": {"healthly": {}}}}), "checks.active.healthly"),
        (
            json!({"nodes": [], "checks": {"active": {}, "passive": {"healthy": {"interval": 1}}}}),
            "checks.passive.healthy.interval",
        ),
    ];
    for (json, field) in cases {
        assert_eq!(upstream(&json).unwrap_err().field, field, "{json}");
    }
}

#[test]
fn a_node_that_stands_twice_is_one_with_its_last_weight() {
    let json =
        json!({"nodes": [{"host": "A", "port": 1, "weight": 1}, {"host": "a", "port": 1, "weight": 7}]});
    let nodes = upstream(&json).unwrap().nodes;
    assert_eq!(nodes, [Node { host: "A".to_owned(), port: 1, weight: 7, priority: 0 }]);
}

#[test]
fn a_client_key_is_never_printed() {
    let json = json!({"nodes": [], "tls": {"client_cert": "c", "client_key": "canary"}});
    assert!(!format!("{:?}", upstream(&json).unwrap()).contains("canary"));
}
