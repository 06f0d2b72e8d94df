//! An expression, ready to be asked about requests.
//!
//! An absent variable is what `nil` is in APISIX: unequal to everything but null, in no list, matched by no regular
//! expression, neither above nor below any number.

use std::borrow::Cow;

use gateward_model::apisix::{Expression, Relation, Scalar, lua_number};

use crate::{Facts, Variable};

/// An expression, ready to be asked about requests.
#[derive(Clone, Debug)]
pub struct Condition {
    root: Node,
    needs_body: bool,
    /// What it was compiled from: two that are written alike hold for the same requests.
    source: Box<str>,
}

#[derive(Clone, Debug)]
enum Node {
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Not(Box<Node>),
    Test(Variable, Relation),
}

impl Condition {
    /// Makes `expression` ready.
    pub fn compile(expression: &Expression) -> Self {
        let root = Node::compile(expression);
        Self { needs_body: root.needs_body(), root, source: format!("{expression:?}").into() }
    }

    /// Whether it holds for the request that `facts` are about.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        self.root.holds(facts)
    }

    /// Whether it asks for something in the request's body.
    pub fn needs_body(&self) -> bool {
        self.needs_body
    }

    /// A text that two conditions share only if they hold for the same requests.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Node {
    fn compile(expression: &Expression) -> Self {
        let all = |members: &[Expression]| members.iter().map(Self::compile).collect();
        match expression {
            // Most have one member, which needs no list around it.
            Expression::All(members) | Expression::Any(members) if members.len() == 1 => {
                Self::compile(&members[0])
            }
            Expression::All(members) => Self::All(all(members)),
            Expression::Any(members) => Self::Any(all(members)),
            Expression::Not(member) => Self::Not(Box::new(Self::compile(member))),
            Expression::Test { variable, relation } => {
                Self::Test(Variable::parse(variable), relation.clone())
            }
        }
    }

    fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::All(members) => members.iter().all(|member| member.holds(facts)),
            Self::Any(members) => members.iter().any(|member| member.holds(facts)),
            Self::Not(member) => !member.holds(facts),
            Self::Test(variable, relation) => has_relation(facts, variable, relation),
        }
    }

    fn needs_body(&self) -> bool {
        match self {
            Self::All(members) | Self::Any(members) => members.iter().any(Self::needs_body),
            Self::Not(member) => member.needs_body(),
            Self::Test(variable, _) => variable.needs_body(),
        }
    }
}

fn has_relation(facts: &Facts<'_>, variable: &Variable, relation: &Relation) -> bool {
    let text = || facts.get(variable);
    let number = || text().as_deref().and_then(lua_number);
    match relation {
        Relation::Equal(scalar) => equals(text(), scalar),
        Relation::Above(bound) => number().is_some_and(|number| number > *bound),
        Relation::AtLeast(bound) => number().is_some_and(|number| number >= *bound),
        Relation::Below(bound) => number().is_some_and(|number| number < *bound),
        Relation::AtMost(bound) => number().is_some_and(|number| number <= *bound),
        Relation::Matches(pattern) => text().is_some_and(|text| pattern.is_in(&text)),
        Relation::In(choices) => {
            text().is_some_and(|text| choices.iter().any(|choice| equals(Some(Cow::Borrowed(&text)), choice)))
        }
        Relation::Has(scalar) => facts.has(variable, scalar),
        Relation::Within(ranges) => {
            facts.address(variable).is_some_and(|address| ranges.iter().any(|range| range.contains(address)))
        }
    }
}

/// Where the operand is a number, numbers are compared: `07` is 7.
fn equals(text: Option<Cow<'_, str>>, scalar: &Scalar) -> bool {
    match (text, scalar) {
        (None, Scalar::Null) => true,
        (None, _) | (Some(_), Scalar::Null) => false,
        (Some(text), Scalar::Text(wanted)) => text == *wanted,
        (Some(text), Scalar::Number(wanted)) => lua_number(&text) == Some(*wanted),
        (Some(text), Scalar::Flag(wanted)) => text == if *wanted { "true" } else { "false" },
    }
}

#[cfg(test)]
mod tests;
