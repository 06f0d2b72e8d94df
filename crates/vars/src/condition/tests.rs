use serde_json::{Value, json};

use super::*;
use crate::testing::Request;

fn condition(json: &Value) -> Condition {
    Condition::compile(&Expression::parse(json).unwrap())
}

/// Whether the one condition holds for a request with two arguments, a cookie and a header.
fn holds(json: &Value) -> bool {
    let request =
        Request::get("/orders/%37?n=07&t=Text&ip=10.1.2.3").header("x-a", "v").header("cookie", "c=1");
    condition(&json!([json])).holds(&request.facts())
}

#[test]
fn every_operator_does_what_it_says() {
    for yes in [
        json!(["arg_t", "==", "Text"]),
        json!(["arg_n", "==", 7]),
        json!(["arg_n", "~=", "7"]),
        json!(["arg_n", "~=", 8]),
        json!(["arg_n", ">", 6]),
        json!(["arg_n", ">=", "7"]),
        json!(["arg_n", "<", 7.5]),
        json!(["arg_n", "<=", 7]),
        json!(["arg_t", "~~", "^T.x"]),
        json!(["arg_t", "~*", "^t.x"]),
        json!(["arg_t", "in", ["a", "Text"]]),
        json!(["arg_n", "in", [1, 7]]),
        json!(["remote_addr", "ipmatch", ["10.0.0.0/8", "203.0.113.0/24"]]),
        json!(["arg_ip", "ipmatch", "10.0.0.0/8"]),
        json!(["uri", "==", "/orders/7"]),
        json!(["http_x_a", "!", "==", "w"]),
        json!(["cookie_c", "==", "1"]),
        json!(["host", "==", "www.example.com"]),
    ] {
        assert!(holds(&yes), "{yes}");
        let mut negated = yes.as_array().unwrap().clone();
        match negated.len() {
            4 => drop(negated.remove(1)),
            _ => negated.insert(1, json!("!")),
        }
        assert!(!holds(&Value::Array(negated)), "not {yes}");
    }
}

#[test]
fn what_does_not_fit_does_not_hold() {
    for no in [
        json!(["arg_t", "==", "text"]),
        json!(["arg_n", "==", "7"]),
        json!(["arg_t", "==", 7]),
        json!(["arg_t", ">", 0]),
        json!(["arg_t", "<", 0]),
        json!(["arg_t", "~~", "^t"]),
        json!(["arg_t", "has", "Text"]),
        json!(["arg_t", "ipmatch", "0.0.0.0/0"]),
        json!(["arg_t", "==", null]),
        json!(["remote_addr", "ipmatch", "203.0.113.8"]),
    ] {
        assert!(!holds(&no), "{no}");
    }
}

#[test]
fn an_absent_variable_has_no_relation_to_anything_but_null() {
    for no in [
        json!(["arg_x", "==", ""]),
        json!(["arg_x", "==", 0]),
        json!(["arg_x", "<", 1]),
        json!(["arg_x", ">=", 0]),
        json!(["arg_x", "~~", ".*"]),
        json!(["arg_x", "in", ["", 0]]),
        json!(["arg_x", "has", ""]),
        json!(["arg_x", "ipmatch", "0.0.0.0/0"]),
        json!(["arg_x", "~=", null]),
        json!(["nonsense", "==", ""]),
    ] {
        assert!(!holds(&no), "{no}");
    }
    for yes in [
        json!(["arg_x", "~=", ""]),
        json!(["arg_x", "~=", 0]),
        json!(["arg_x", "==", null]),
        json!(["arg_x", "!", "~~", ".*"]),
        json!(["arg_x", "!", "in", ["a"]]),
        json!(["arg_x", "!", "ipmatch", "0.0.0.0/0"]),
    ] {
        assert!(holds(&yes), "{yes}");
    }
}

#[test]
fn conditions_are_joined_as_their_words_say() {
    let (yes, no) = (json!(["arg_n", "==", 7]), json!(["arg_n", "==", 8]));
    for (json, expected) in [
        (json!([]), true),
        (json!([yes, yes]), true),
        (json!([yes, no]), false),
        (json!(["AND", yes, no]), false),
        (json!(["OR", no, yes]), true),
        (json!(["OR", no, no]), false),
        (json!(["!AND", yes, no]), true),
        (json!(["!AND", yes, yes]), false),
        (json!(["!OR", no, no]), true),
        (json!(["!OR", no, yes]), false),
        (json!([yes, ["OR", no, ["!AND", yes, no]]]), true),
    ] {
        assert_eq!(condition(&json).holds(&Request::get("/?n=7").facts()), expected, "{json}");
    }
}

#[test]
fn a_body_has_values_once_it_is_there() {
    let request = Request::get("/").json(r#"{"model": "m", "stream": true, "n": 3, "tags": ["a"]}"#);
    for (json, expected) in [
        (json!(["post_arg.model", "==", "m"]), true),
        (json!(["post_arg.stream", "==", true]), true),
        (json!(["post_arg.n", ">", 2]), true),
        (json!(["post_arg.tags", "has", "a"]), true),
        (json!(["post_arg.tags", "has", "b"]), false),
        (json!(["post_arg_model", "==", "m"]), false),
    ] {
        let condition = condition(&json!([json]));
        assert!(condition.needs_body());
        assert_eq!(condition.holds(&request.facts()), expected, "{json}");
        assert!(!condition.holds(&Request::get("/").facts()), "{json}");
    }
    assert!(!condition(&json!([["arg_x", "==", "1"]])).needs_body());
}

#[test]
fn two_conditions_are_equal_that_are_written_alike() {
    let one = condition(&json!([["a", "~=", "1"]]));
    assert_eq!(one, condition(&json!([["a", "!", "==", "1"]])));
    assert_ne!(one, condition(&json!([["a", "~=", 1]])));
}
