//! The routes that share one pattern, in the order in which they are asked.

use std::collections::HashMap;
use std::sync::Arc;

use gateward_model::apisix::AddressRange;
use gateward_vars::{Condition, Facts, Params};

use crate::route_match::RouteMatch;

/// The routes that share one pattern. Never empty.
#[derive(Debug)]
pub(crate) struct Candidates<T>(Arc<Vec<Candidate<T>>>);

/// One route at one pattern.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<T> {
    pub(crate) methods: u16,
    /// Whether there is more to ask than the method.
    pub(crate) is_picky: bool,
    pub(crate) has_addresses: bool,
    /// The route's, at hand.
    pub(crate) condition: Option<Arc<Condition>>,
    pub(crate) has_rest: bool,
    /// Which of the route's uris this is.
    pub(crate) uri: usize,
    /// Which of the route's hosts this is at, if it has any.
    pub(crate) host: Option<usize>,
    /// What this uri calls the segments that the pattern leaves open.
    pub(crate) names: Option<Arc<[Arc<str>]>>,
    pub(crate) route: Arc<RouteMatch>,
    pub(crate) payload: T,
}

impl<T> Clone for Candidates<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Candidates<T> {
    /// All of them, in the order in which they are asked.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Candidate<T>> {
        self.0.iter()
    }

    /// The one at `place`.
    pub(crate) fn at(&self, place: usize) -> &Candidate<T> {
        &self.0[place]
    }

    /// The candidates that no request can reach, by their places, each with that of one that takes its requests.
    ///
    /// It names only what is certain. A candidate that asks for no more than the method takes whatever has one of its
    /// methods; one that asks for more is sure to take only what another lets pass that asks for the very same.
    pub(crate) fn hidden(&self) -> Vec<(usize, usize)> {
        let candidates = &*self.0;
        let mut hidden = Vec::new();
        if candidates.len() < 2 {
            return hidden;
        }
        let mut taken_by_all = 0;
        let mut taken_by_picky: HashMap<Demands<'_>, u16> = HashMap::new();
        for (place, candidate) in candidates.iter().enumerate() {
            let demands = candidate.is_picky.then(|| Demands::of(candidate));
            let by_picky = demands.as_ref().and_then(|demands| taken_by_picky.get(demands)).copied();
            if candidate.methods & !(taken_by_all | by_picky.unwrap_or_default()) == 0 {
                hidden.extend(self.first_before(place).map(|by| (place, by)));
            }
            match demands {
                None => taken_by_all |= candidate.methods,
                Some(demands) => *taken_by_picky.entry(demands).or_default() |= candidate.methods,
            }
        }
        hidden
    }

    /// The same, of those only that are hidden since there is a candidate at `new`, and in one pass.
    pub(crate) fn hidden_since(&self, new: usize) -> Vec<(usize, usize)> {
        let candidates = &*self.0;
        let candidate = &candidates[new];
        let mut hidden = Vec::new();
        // The methods of those that come before what is looked at, and take what `candidate` would take.
        let mut taken = 0;
        for (place, other) in candidates.iter().enumerate() {
            if place == new {
                if candidate.methods & !taken == 0 {
                    hidden.extend(self.first_before(new).map(|by| (new, by)));
                }
                continue;
            }
            let (left, left_now) = (other.methods & !taken, other.methods & !(taken | candidate.methods));
            if place > new && left != 0 && left_now == 0 && candidate.goes_before(other) {
                hidden.push((place, new));
            }
            if other.goes_before(candidate) {
                taken |= other.methods;
            }
        }
        hidden
    }

    /// The first that takes something of what the one at `place` would take.
    fn first_before(&self, place: usize) -> Option<usize> {
        let candidate = &self.0[place];
        let before = self.0[..place].iter();
        before
            .into_iter()
            .position(|other| other.methods & candidate.methods != 0 && other.goes_before(candidate))
    }
}

impl<T: Clone> Candidates<T> {
    /// Adds `candidate` to those at `place`; not if its route is there already by the same names, which says nothing new.
    /// Tells where it is.
    pub(crate) fn insert(place: &mut Option<Self>, candidate: Candidate<T>) -> Option<usize> {
        let Some(Self(candidates)) = place else {
            *place = Some(Self(Arc::new(vec![candidate])));
            return Some(0);
        };
        let (start, end) = range(candidates, &candidate.route);
        let own = &candidates[start..end];
        if own.iter().any(|other| other.names == candidate.names) {
            return None;
        }
        let at = start + own.partition_point(|other| other.uri < candidate.uri);
        Arc::make_mut(candidates).insert(at, candidate);
        Some(at)
    }

    /// Removes what is of `route` from those at `place`. Tells how many that were.
    pub(crate) fn remove(place: &mut Option<Self>, route: &RouteMatch) -> usize {
        let Some(Self(candidates)) = place else { return 0 };
        let (start, end) = range(candidates, route);
        if end - start == candidates.len() {
            *place = None;
        } else if start < end {
            Arc::make_mut(candidates).drain(start..end);
        }
        end - start
    }
}

impl<T> Candidate<T> {
    /// Whether the client may be where it is.
    pub(crate) fn takes_address(&self, facts: &Facts<'_>) -> bool {
        match self.has_addresses {
            true => self.route.remote_addrs.iter().any(|range| range.contains(facts.client)),
            false => true,
        }
    }

    pub(crate) fn needs_body(&self) -> bool {
        self.condition.as_ref().is_some_and(|condition| condition.needs_body())
    }

    /// Whether it takes, of the requests that `later` would take, all that have one of its own methods. A route that
    /// writes one pattern in two ways takes nothing from itself.
    fn goes_before(&self, later: &Self) -> bool {
        let asks_no_more = !self.is_picky || (later.is_picky && Demands::of(self) == Demands::of(later));
        asks_no_more && self.route.id != later.route.id
    }

    /// Whether its route takes the request, the method apart.
    pub(crate) fn takes(&self, facts: &Facts<'_>, params: &Params) -> bool {
        let holds = || match &self.condition {
            None => true,
            Some(condition) if params.is_empty() => condition.holds(facts),
            Some(condition) => condition.holds(&Facts { params: Some(params), ..*facts }),
        };
        !self.is_picky || (self.takes_address(facts) && holds())
    }
}

/// Where those of `route` stand or would stand: one, or several that write the pattern by different names.
fn range<T>(candidates: &[Candidate<T>], route: &RouteMatch) -> (usize, usize) {
    let rank = route.rank();
    let start = candidates.partition_point(|other| other.route.rank() < rank);
    let length = candidates[start..].iter().take_while(|other| other.route.rank() == rank).count();
    (start, start + length)
}

/// What a candidate asks for besides the method. Two that ask for the same let the same requests pass.
#[derive(PartialEq, Eq, Hash)]
struct Demands<'c> {
    addresses: &'c [AddressRange],
    condition: Option<&'c str>,
    /// A condition may ask for a segment by its name.
    names: Option<&'c [Arc<str>]>,
}

impl<'c> Demands<'c> {
    fn of<T>(candidate: &'c Candidate<T>) -> Self {
        Self {
            addresses: &candidate.route.remote_addrs,
            condition: candidate.condition.as_ref().map(|condition| condition.source()),
            names: candidate.names.as_deref(),
        }
    }
}
