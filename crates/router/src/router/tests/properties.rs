//! The router against a search that applies the rules as literally as possible, over random routes and requests.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

/// What a route asks for besides host, path and method, said in a way that needs no variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    Nothing,
    Argument,
    NoArgument,
    Parameter,
}

#[derive(Clone, Debug)]
struct Described {
    route: Arc<RouteMatch>,
    demand: Demand,
}

#[derive(Clone, Debug)]
struct Question {
    host: &'static str,
    path: String,
    method: Method,
    argument: bool,
    inside: bool,
}

impl Question {
    fn ask(&self) -> Asked {
        let query = if self.argument { "?v=1" } else { "" };
        let client = if self.inside { "10.0.0.1" } else { "192.0.2.1" };
        let target = format!("{}{query}", self.path);
        Asked { method: self.method.clone(), client: client.parse().unwrap(), ..at(self.host, &target) }
    }
}

/// The route that should serve, and by which of its uris and hosts.
fn naive(routes: &[Described], question: &Question) -> Option<(String, String, Option<String>)> {
    let mut fitting = Vec::new();
    for Described { route, demand } in routes {
        let named = |method: &HttpMethod| method.as_str() == question.method.as_str();
        let takes_method = route.methods.is_empty() || route.methods.iter().any(named);
        let takes_address = route.remote_addrs.is_empty() || question.inside;
        if !takes_method || !takes_address {
            continue;
        }
        let hosts: Vec<Option<&String>> = match route.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(Some).collect(),
        };
        for (host, uri) in hosts.iter().flat_map(|host| route.uris.iter().map(move |uri| (host, uri))) {
            let host_rank = match host {
                None => Some(0),
                Some(host) => host_rank(host, question.host),
            };
            let (Some(host_rank), Some((path_rank, parameter))) = (host_rank, fit(uri, &question.path))
            else {
                continue;
            };
            let holds = match demand {
                Demand::Nothing => true,
                Demand::Argument => question.argument,
                Demand::NoArgument => !question.argument,
                Demand::Parameter => parameter.as_deref() == Some("a"),
            };
            if holds {
                let id = route.id.as_str();
                let number = id.parse::<u64>().unwrap_or(u64::MAX);
                let order = (host_rank, path_rank, route.priority, Reverse((number, id.to_owned())));
                fitting.push((order, uri.clone(), host.cloned()));
            }
        }
    }
    // Of equal ones the first that was said.
    fitting.reverse();
    let (order, uri, host) = fitting.into_iter().max_by(|one, other| one.0.cmp(&other.0))?;
    Some((order.3.0.1, uri, host))
}

fn host_rank(pattern: &str, host: &str) -> Option<usize> {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix).then_some(suffix.len() + 1),
        None => (pattern == host).then_some(usize::MAX),
    }
}

/// How specifically `uri` takes `path`, position by position, and what the parameter `x` stands for.
fn fit(uri: &str, path: &str) -> Option<(Vec<u8>, Option<String>)> {
    let (mut uri, mut path) = (uri, path);
    let (mut rank, mut parameter) = (Vec::new(), None);
    let mut after_slash = false;
    loop {
        if uri.is_empty() {
            rank.push(4);
            return path.is_empty().then_some((rank, parameter));
        }
        if let Some(name) = uri.strip_prefix('*') {
            rank.push(1);
            if name == "x" {
                parameter = Some(path.to_owned());
            }
            return Some((rank, parameter));
        }
        if after_slash && let Some(rest) = uri.strip_prefix(':') {
            let (name, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let (segment, left) = path.split_at(path.find('/').unwrap_or(path.len()));
            if segment.is_empty() {
                return None;
            }
            if name == "x" {
                parameter = Some(segment.to_owned());
            }
            rank.push(2);
            (uri, path, after_slash) = (rest, left, false);
            continue;
        }
        let byte = uri.chars().next()?;
        path = path.strip_prefix(byte)?;
        uri = &uri[1..];
        rank.push(3);
        after_slash = byte == '/';
    }
}

fn described() -> impl Strategy<Value = Described> {
    let segment = proptest::sample::select(vec!["a", "b", "ab", ":x"]);
    let tail = proptest::sample::select(vec!["", "", "*", "/", "/*", "/*x"]);
    let uri = (proptest::collection::vec(segment, 0..3), tail).prop_map(|(segments, tail)| {
        let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        match (path.as_str(), tail) {
            ("", "" | "/") => "/".to_owned(),
            ("", "*") => "/*".to_owned(),
            (path, "*") if path.ends_with(":x") => path.to_owned(),
            (path, tail) => format!("{path}{tail}"),
        }
    });
    let hosts = proptest::sample::subsequence(vec!["x.y", "y", "*.y", "*y", "*", "a.x.y"], 0..=2);
    let methods = proptest::sample::subsequence(vec![HttpMethod::Get, HttpMethod::Put], 0..=2);
    let demand = proptest::sample::select(vec![
        Demand::Nothing,
        Demand::Nothing,
        Demand::Argument,
        Demand::NoArgument,
        Demand::Parameter,
    ]);
    let id = proptest::sample::select(vec!["1", "2", "3", "10", "11", "a", "b", "B", "c1", "7", "8", "9"]);
    let uris = proptest::collection::vec(uri, 1..3);
    (id, uris, hosts, methods, any::<bool>(), demand, -1..2_i32, any::<bool>()).prop_map(
        |(id, uris, hosts, methods, other_name, demand, priority, inside)| {
            // One route calls its parameters by one name, so that which of two equal uris counts does not matter.
            let uris = uris.iter().map(|uri| if other_name { uri.replace('x', "z") } else { uri.clone() });
            let mut route = uri_of(id, uris.collect());
            route.hosts = hosts.iter().map(ToString::to_string).collect();
            route.methods = methods;
            route.priority = priority;
            let route = match demand {
                Demand::Nothing => route,
                Demand::Argument => route.vars(&json!([["arg_v", "==", "1"]])),
                Demand::NoArgument => route.vars(&json!([["arg_v", "==", null]])),
                Demand::Parameter => route.vars(&json!([["uri_param_x", "==", "a"]])),
            };
            let route = if inside { route.from("10.0.0.0/8") } else { route };
            Described { route: Arc::new(route), demand }
        },
    )
}

fn uri_of(id: &str, uris: Vec<String>) -> RouteMatch {
    RouteMatch { uris, ..uri(id, "/") }
}

/// Routes of which no two have the same id.
fn routes() -> impl Strategy<Value = Vec<Described>> {
    proptest::collection::vec(described(), 0..12).prop_map(|routes| {
        let mut distinct: Vec<Described> = Vec::new();
        for described in routes {
            if distinct.iter().all(|other| other.route.id != described.route.id) {
                distinct.push(described);
            }
        }
        distinct
    })
}

fn question() -> impl Strategy<Value = Question> {
    let host = proptest::sample::select(vec!["x.y", "y", "a.x.y", "b.y", "zy", "z"]);
    let segment = proptest::sample::select(vec!["a", "b", "ab", "aba"]);
    let path = (proptest::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, slash)| {
        let path = segments.iter().map(|segment| format!("/{segment}")).collect::<String>();
        if slash || path.is_empty() { format!("{path}/") } else { path }
    });
    let method = proptest::sample::select(vec![Method::GET, Method::PUT, Method::DELETE]);
    (host, path, method, any::<bool>(), any::<bool>())
        .prop_map(|(host, path, method, argument, inside)| Question { host, path, method, argument, inside })
}

fn compiled(routes: &[Described]) -> (Router<String>, Vec<Hidden>) {
    Router::compile(
        routes.iter().map(|described| (Arc::clone(&described.route), described.route.id.to_string())),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_finds_what_a_naive_search_finds(
        routes in routes(),
        questions in proptest::collection::vec(question(), 8),
    ) {
        let (router, hidden) = compiled(&routes);
        for question in &questions {
            let expected = naive(&routes, question);
            let found = question.ask().taken_by(&router);
            prop_assert_eq!(&found, &expected.as_ref().map(|(id, ..)| id.clone()), "{:?}", question);
            if let Some((id, uri, host)) = expected {
                let hidden = hidden.iter().find(|hidden| {
                    hidden.route.as_str() == id && hidden.uri == uri && hidden.host == host
                });
                prop_assert!(hidden.is_none(), "what serves was said to be hidden: {:?}", hidden);
            }
        }
    }

    /// Whatever came and went, the router is the one that the routes that stand make; and the clones that were taken on
    /// the way still are what they were.
    #[test]
    fn changes_lead_to_what_a_fresh_compilation_makes(
        changes in proptest::collection::vec(described(), 1..24),
        question in question(),
    ) {
        let mut router = Router::default();
        let mut standing: Vec<Described> = Vec::new();
        let mut history = Vec::new();
        for described in changes {
            let id = &described.route.id;
            // A second word about a route takes it away; a third brings it back, changed.
            match standing.iter().position(|other| other.route.id == *id) {
                Some(place) => router.remove(&standing.remove(place).route),
                None => {
                    let newly_hidden = router.insert(&described.route, id.to_string());
                    standing.push(described);
                    let hidden = compiled(&standing).1;
                    for new in newly_hidden {
                        let known = hidden.iter().any(|hidden| {
                            (&hidden.route, &hidden.uri, &hidden.host) == (&new.route, &new.uri, &new.host)
                        });
                        prop_assert!(known, "only the insertion says that this is hidden: {}", new);
                    }
                }
            }
            history.push((router.clone(), standing.clone()));
        }
        for (router, standing) in history {
            prop_assert_eq!(format!("{router:?}"), format!("{:?}", compiled(&standing).0));
            let expected = naive(&standing, &question).map(|(id, ..)| id);
            prop_assert_eq!(question.ask().taken_by(&router), expected);
        }
    }
}
