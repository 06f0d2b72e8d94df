//! Conditions on variables: whatever is taken can be asked, and a condition and its negation never agree.

use gateward_model::apisix::Expression;
use gateward_vars::Condition;
use http::Uri;
use serde_json::Value;

use crate::request::facts;

pub(crate) fn run(input: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(input) else { return };
    let Ok(expression) = Expression::parse(&json) else { return };
    let negated = Condition::compile(&Expression::Not(Box::new(expression.clone())));
    let condition = Condition::compile(&expression);
    facts(&Uri::from_static("/a/b?a=1&b=x%20y&n=07"), "h", |facts| {
        assert_ne!(condition.holds(facts), negated.holds(facts));
    });
}
