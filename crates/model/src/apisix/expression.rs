//! A condition on a request's variables, as `vars` of a route and `_meta.filter` of a plugin write it.
//!
//! It is what APISIX's expression library takes: `[["arg_v", "==", "2"], ["OR", […], […]]]`. The operators that only
//! negate another one (`~=`, `!`, `!AND`, `!OR`) are read as the negation that they are, so that whoever evaluates an
//! expression has four cases to think about.

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use super::AddressRange;
use crate::Invalid;

/// A condition on a request's variables.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// Holds if all of these do; so does an empty one.
    All(Vec<Expression>),
    /// Holds if one of these does.
    Any(Vec<Expression>),
    /// Holds if this does not.
    Not(Box<Expression>),
    /// Holds if the variable has this relation to what stands beside it.
    Test {
        /// The variable's name.
        variable: String,
        /// What must be true of its value.
        relation: Relation,
    },
}

/// What must be true of a variable's value. An absent variable has none of these relations, but equality with null.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    /// `==`
    Equal(Scalar),
    /// `>`
    Above(f64),
    /// `>=`
    AtLeast(f64),
    /// `<`
    Below(f64),
    /// `<=`
    AtMost(f64),
    /// `~~`, and `~*`
    Matches(Pattern),
    /// `in`
    In(Vec<Scalar>),
    /// `has`
    Has(Scalar),
    /// `ipmatch`
    Within(Vec<AddressRange>),
}

/// What a variable is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// The absence of a value.
    Null,
    /// A text.
    Text(String),
    /// A number; the variable's text is compared as one.
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
}

/// A regular expression, searched for anywhere in a value. Two are equal that are written alike.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    ignore_case: bool,
    regex: Regex,
}

impl Expression {
    /// Reads an expression: a list of conditions that must all hold, or one list that begins with `AND`, `OR`, `!AND`
    /// or `!OR`.
    pub fn parse(json: &Value) -> Result<Self, Invalid> {
        let items = list(json)?;
        match items.first() {
            None => Ok(Self::All(Vec::new())),
            Some(Value::String(word)) if logic(word).is_none() => {
                Err(Invalid::new("", "is a list of conditions; put this one into brackets of its own"))
            }
            Some(_) => nested(items),
        }
    }
}

impl Pattern {
    /// The regular expression that `source` is.
    ///
    /// Like nginx's it sees bytes, and letters are those of ASCII. Unlike nginx's it takes no time to speak of on any
    /// input, and pays with what would need such time: no look-around, no back-references.
    pub fn parse(source: &str, ignore_case: bool) -> Result<Self, Invalid> {
        let built = RegexBuilder::new(source)
            .unicode(false)
            .case_insensitive(ignore_case)
            .size_limit(LARGEST_PATTERN)
            .build();
        match built {
            Ok(regex) => Ok(Self { source: source.to_owned(), ignore_case, regex }),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err(Invalid::new("", "this regular expression is too large"))
            }
            Err(error) => {
                // The library's text draws the expression over several lines; the last one says what is wrong.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Err(Invalid::new("", format!("this regular expression cannot be used: {reason}")))
            }
        }
    }

    /// Whether it is found in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.ignore_case == other.ignore_case
    }
}

/// A list inside an expression, and the whole of it.
fn nested(items: &[Value]) -> Result<Expression, Invalid> {
    match items.first() {
        None => Err(Invalid::new("", "is an empty list where a condition is wanted")),
        Some(Value::Array(_)) => members(items, 0).map(Expression::All),
        Some(Value::String(word)) => match logic(word) {
            Some(_) if items.len() < 3 => {
                Err(Invalid::new("", format!("{word} joins two conditions or more; give them after it")))
            }
            Some((join, negated)) => {
                let joined = join(members(items, 1)?);
                Ok(if negated { not(joined) } else { joined })
            }
            None => test(word, items),
        },
        Some(_) => Err(Invalid::new("0", "is the name of a variable, AND, OR, !AND, !OR, or a condition")),
    }
}

fn members(items: &[Value], first: usize) -> Result<Vec<Expression>, Invalid> {
    let mut members = Vec::with_capacity(items.len() - first);
    for (place, item) in items.iter().enumerate().skip(first) {
        let member = list(item).and_then(nested);
        members.push(member.map_err(|error| error.within(&place.to_string()))?);
    }
    Ok(members)
}

type Join = fn(Vec<Expression>) -> Expression;

fn logic(word: &str) -> Option<(Join, bool)> {
    match word.to_ascii_uppercase().as_str() {
        "AND" => Some((Expression::All, false)),
        "OR" => Some((Expression::Any, false)),
        "!AND" => Some((Expression::All, true)),
        "!OR" => Some((Expression::Any, true)),
        _ => None,
    }
}

/// `[name, operator, value]`, `[name, "!", operator, value]`, and `[name, value]` for `==`.
fn test(variable: &str, items: &[Value]) -> Result<Expression, Invalid> {
    check_variable(variable).map_err(|problem| Invalid::new("0", problem))?;
    let (operator, value, place) = match items {
        [_, value] => ("==", value, 1),
        [_, operator, value] => (word(operator, 1)?, value, 2),
        [_, bang, operator, value] if bang == "!" => (word(operator, 2)?, value, 3),
        [_, _, _, _] => return Err(Invalid::new("1", "of four parts the second is \"!\"")),
        _ => return Err(Invalid::new("", "a condition is a variable, an operator and a value")),
    };
    let operator = operator.to_ascii_lowercase();
    let (relation, negated) = relation(&operator, value).map_err(|error| {
        match error.field.is_empty() && error.problem == UNKNOWN {
            true => Invalid::new((place - 1).to_string(), UNKNOWN),
            false => error.within(&place.to_string()),
        }
    })?;
    let test = Expression::Test { variable: variable.to_owned(), relation };
    // `!` before `~=` takes the negation back.
    Ok(if negated != (items.len() == 4) { not(test) } else { test })
}

fn relation(operator: &str, value: &Value) -> Result<(Relation, bool), Invalid> {
    let relation = match operator {
        "==" => Relation::Equal(scalar(value)?),
        "~=" => return Ok((Relation::Equal(scalar(value)?), true)),
        ">" => Relation::Above(number(value)?),
        ">=" => Relation::AtLeast(number(value)?),
        "<" => Relation::Below(number(value)?),
        "<=" => Relation::AtMost(number(value)?),
        "~~" => Relation::Matches(pattern(value, false)?),
        "~*" => Relation::Matches(pattern(value, true)?),
        "in" => Relation::In(choices(value)?),
        "has" => Relation::Has(scalar(value)?),
        "ipmatch" => Relation::Within(ranges(value)?),
        _ => return Err(Invalid::new("", UNKNOWN)),
    };
    Ok((relation, false))
}

fn list(json: &Value) -> Result<&[Value], Invalid> {
    json.as_array().map(Vec::as_slice).ok_or_else(|| Invalid::new("", "is a list"))
}

fn word(json: &Value, place: usize) -> Result<&str, Invalid> {
    json.as_str().ok_or_else(|| Invalid::new(place.to_string(), UNKNOWN))
}

fn scalar(value: &Value) -> Result<Scalar, Invalid> {
    match value {
        Value::Null => Ok(Scalar::Null),
        Value::String(text) => Ok(Scalar::Text(text.clone())),
        Value::Number(number) => Ok(Scalar::Number(number.as_f64().unwrap_or(f64::NAN))),
        Value::Bool(flag) => Ok(Scalar::Flag(*flag)),
        _ => Err(Invalid::new("", "is a text, a number, true, false, or null for the absence of a value")),
    }
}

fn number(value: &Value) -> Result<f64, Invalid> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => lua_number(text),
        _ => None,
    };
    number.ok_or_else(|| Invalid::new("", "is a number, for this operator compares numbers"))
}

fn pattern(value: &Value, ignore_case: bool) -> Result<Pattern, Invalid> {
    match value {
        Value::String(source) => Pattern::parse(source, ignore_case),
        Value::Number(number) => Pattern::parse(&number.to_string(), ignore_case),
        _ => Err(Invalid::new("", "is a regular expression")),
    }
}

fn choices(value: &Value) -> Result<Vec<Scalar>, Invalid> {
    let mut choices = Vec::new();
    for (place, choice) in list(value)?.iter().enumerate() {
        match scalar(choice) {
            Ok(Scalar::Null) | Err(_) => {
                return Err(Invalid::new(place.to_string(), "is a text, a number, true or false"));
            }
            Ok(choice) => choices.push(choice),
        }
    }
    Ok(choices)
}

fn ranges(value: &Value) -> Result<Vec<AddressRange>, Invalid> {
    let texts = match value {
        Value::Array(texts) if !texts.is_empty() => texts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut ranges = Vec::new();
    for text in texts {
        let text = text.as_str().ok_or_else(|| Invalid::new("", "is a list of addresses and CIDR ranges"))?;
        ranges.push(text.parse()?);
    }
    Ok(ranges)
}

/// What can never be known, or only by a parser that is not there, must not look as if it were absent.
fn check_variable(name: &str) -> Result<(), String> {
    let path = name.strip_prefix("post_arg.");
    if name.starts_with("graphql_") {
        return Err(format!("the variable {name} is not available: requests are not parsed as GraphQL"));
    }
    if path.is_some_and(|path| path.contains("..")) {
        return Err(format!(
            "the variable {name} is not available: its path may have names, [n] and [*], no .."
        ));
    }
    Ok(())
}

fn not(expression: Expression) -> Expression {
    Expression::Not(Box::new(expression))
}

/// The number that Lua would read in `text`: decimal or hexadecimal, with white space around it.
pub fn lua_number(text: &str) -> Option<f64> {
    let text = text.trim_matches(|character: char| character.is_ascii_whitespace() || character == '\x0b');
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        #[expect(clippy::cast_precision_loss, reason = "Lua's numbers are such too")]
        Some(hexadecimal) if !hexadecimal.starts_with('+') => {
            u64::from_str_radix(hexadecimal, 16).ok().map(|number| sign * number as f64)
        }
        Some(_) => None,
        // What follows the sign is no second one.
        None if digits.starts_with(['+', '-']) => None,
        None => digits.parse::<f64>().ok().map(|number| sign * number),
    }
}

const UNKNOWN: &str = "is one of ==, ~=, >, >=, <, <=, ~~, ~*, in, has, ipmatch";

/// How much memory a compiled regular expression may take.
const LARGEST_PATTERN: usize = 1 << 20;

#[cfg(test)]
mod tests;
