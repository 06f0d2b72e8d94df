//! What stands after the `?`.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::Query;
use http::Uri;

use super::problem::Problem;

/// The arguments of a request.
#[derive(Debug)]
pub(super) struct Arguments(HashMap<String, String>);

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) skipped: usize,
    pub(super) size: usize,
}

impl Arguments {
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        let Query(arguments) =
            Query::try_from_uri(uri).map_err(|_| Problem::bad("the query cannot be read"))?;
        Ok(Self(arguments))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether a deletion is to happen although something refers to what goes.
    pub(super) fn forced(&self) -> bool {
        self.get("force") == Some("true")
    }

    /// For how long what is written is to stand.
    pub(super) fn ttl(&self) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.get("ttl") else { return Ok(None) };
        let seconds: f64 =
            text.parse().map_err(|_| Problem::bad("invalid argument ttl: should be a number"))?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(ttl) if !ttl.is_zero() && ttl <= LONGEST_TTL => Ok(Some(ttl)),
            _ => Err(Problem::bad("invalid argument ttl: should be seconds, more than 0")),
        }
    }

    /// Which part of a list is asked for; all of it, unless both `page` and `page_size` are numbers.
    pub(super) fn window(&self) -> Result<Option<Window>, Problem> {
        let number = |name: &str| self.get(name)?.parse::<i64>().ok();
        let (Some(page), Some(size)) = (number("page"), number("page_size")) else { return Ok(None) };
        if !(10..=500).contains(&size) {
            return Err(Problem::plain("page_size must be between 10 and 500"));
        }
        let (page, size) = (usize::try_from(page.max(1)), usize::try_from(size));
        let (page, size) = (page.unwrap_or(usize::MAX), size.unwrap_or(500));
        Ok(Some(Window { skipped: (page - 1).saturating_mul(size), size }))
    }
}

/// Ten years: etcd's leases know no limit, but a clock does.
const LONGEST_TTL: Duration = Duration::from_secs(10 * 366 * 86_400);
