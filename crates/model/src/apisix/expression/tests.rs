use serde_json::json;

use super::*;

fn parse(json: &Value) -> Expression {
    Expression::parse(json).unwrap()
}

fn refused(json: &Value) -> String {
    Expression::parse(json).unwrap_err().to_string()
}

fn equal(variable: &str, text: &str) -> Expression {
    let relation = Relation::Equal(Scalar::Text(text.to_owned()));
    Expression::Test { variable: variable.to_owned(), relation }
}

#[test]
fn a_list_of_conditions_is_all_of_them() {
    assert_eq!(parse(&json!([])), Expression::All(vec![]));
    let both = Expression::All(vec![equal("a", "1"), equal("b", "2")]);
    assert_eq!(parse(&json!([["a", "==", "1"], ["b", "==", "2"]])), both);
    assert_eq!(parse(&json!(["AND", ["a", "==", "1"], ["b", "==", "2"]])), both);
}

#[test]
fn logic_words_nest_in_any_case() {
    let read = parse(&json!([["!or", ["a", "==", "1"], ["and", ["b", "2"], [["c", "3"]]]]]));
    let inner = Expression::All(vec![equal("b", "2"), Expression::All(vec![equal("c", "3")])]);
    assert_eq!(read, Expression::All(vec![not(Expression::Any(vec![equal("a", "1"), inner]))]));
}

#[test]
fn what_negates_is_read_as_a_negation() {
    let Expression::All(read) =
        parse(&json!([["a", "~=", "1"], ["a", "!", "==", "1"], ["a", "!", "~=", "1"]]))
    else {
        panic!("a list")
    };
    assert_eq!(read, [not(equal("a", "1")), not(equal("a", "1")), equal("a", "1")]);
}

#[test]
fn every_operator_is_read() {
    for (condition, relation) in [
        (json!(["a", "==", null]), Relation::Equal(Scalar::Null)),
        (json!(["a", "==", true]), Relation::Equal(Scalar::Flag(true))),
        (json!(["a", ">", 1]), Relation::Above(1.0)),
        (json!(["a", ">=", "1.5"]), Relation::AtLeast(1.5)),
        (json!(["a", "<", "0x10"]), Relation::Below(16.0)),
        (json!(["a", "<=", -1]), Relation::AtMost(-1.0)),
        (json!(["a", "~~", "^x"]), Relation::Matches(Pattern::parse("^x", false).unwrap())),
        (json!(["a", "~*", "^x"]), Relation::Matches(Pattern::parse("^x", true).unwrap())),
        (json!(["a", "IN", ["x", 1]]), Relation::In(vec![Scalar::Text("x".to_owned()), Scalar::Number(1.0)])),
        (json!(["a", "has", "x"]), Relation::Has(Scalar::Text("x".to_owned()))),
        (json!(["a", "ipmatch", "::1"]), Relation::Within(vec!["::1".parse().unwrap()])),
        (json!(["a", "ipmatch", ["10.0.0.0/8"]]), Relation::Within(vec!["10.0.0.0/8".parse().unwrap()])),
    ] {
        let read = parse(&json!([condition]));
        let test = Expression::Test { variable: "a".to_owned(), relation };
        assert_eq!(read, Expression::All(vec![test]), "{condition}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (json, message) in [
        (json!("a"), "is a list"),
        (json!(["a", "==", "1"]), "is a list of conditions; put this one into brackets of its own"),
        (json!([["OR", ["a", "1"]]]), "property \"0\": OR joins two conditions or more; give them after it"),
        (json!([["a", "=", "1"]]), &format!("property \"0.1\": {UNKNOWN}")),
        (json!([["a", "?", "==", "1"]]), "property \"0.1\": of four parts the second is \"!\""),
        (
            json!([["a", "1"], ["OR", ["a", "1"], []]]),
            "property \"1.2\": is an empty list where a condition is wanted",
        ),
        (json!([["a", ">", "x"]]), "property \"0.2\": is a number, for this operator compares numbers"),
        (json!([["a", "in", ["x", null]]]), "property \"0.2.1\": is a text, a number, true or false"),
        (json!([["a", "in", "x"]]), "property \"0.2\": is a list"),
        (
            json!([["graphql_name", "==", "x"]]),
            "property \"0.0\": the variable graphql_name is not available: requests are not parsed as GraphQL",
        ),
        (
            json!([["a", "!", "~~", "(?=x)"]]),
            "property \"0.3\": this regular expression cannot be used: look-around, including look-ahead and \
             look-behind, is not supported",
        ),
    ] {
        assert_eq!(refused(&json), message, "{json}");
    }
    for json in [json!([1]), json!([["a"]]), json!([[1, "==", 1]]), json!([["a", "ipmatch", []]]), json!({})]
    {
        assert!(Expression::parse(&json).is_err(), "{json}");
    }
}

#[test]
fn a_regular_expression_that_would_take_too_much_memory_is_refused() {
    assert!(refused(&json!([["a", "~~", "(a{1000}){1000}"]])).contains("too large"));
}

#[test]
fn regular_expressions_ignore_the_case_only_where_told() {
    assert!(!Pattern::parse("ab", false).unwrap().is_in("xABx"));
    assert!(Pattern::parse("ab", true).unwrap().is_in("xABx"));
}

#[test]
fn numbers_are_read_as_lua_reads_them() {
    for (text, number) in [("1", 1.0), (" -2.5 ", -2.5), ("+0x1F", 31.0), ("1e3", 1000.0), (".5", 0.5)] {
        assert_eq!(lua_number(text), Some(number), "{text:?}");
    }
    for text in ["", "x", "1x", "--1", "+-1", "0x", "0x+1", "1 2"] {
        assert_eq!(lua_number(text), None, "{text:?}");
    }
}
