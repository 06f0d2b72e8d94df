//! What a router of many routes costs: `cargo run --release -p gateward-router --example scale`.
//!
//! Three figures for each mix: the compilation of all routes, one match (the best of five runs over requests that all
//! find their route), and the change of one route while the router from before still serves.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateward_model::apisix::{Expression, HttpMethod, ResourceId};
use gateward_net::Conn;
use gateward_router::{RouteMatch, RoutePath, Router};
use gateward_vars::{Condition, Facts};
use http::Request;
use serde_json::json;

const ROUTES: usize = 100_000;
const REQUESTS: usize = 20_000;
const CHANGES: usize = 1_000;

type Failure = Box<dyn std::error::Error>;

/// A number of routes of one kind, and requests for them.
struct Mix {
    name: &'static str,
    route: fn(usize) -> Result<RouteMatch, Failure>,
    /// The host and the target of a request that the route of that number takes.
    request: fn(usize) -> (String, String),
}

const MIXES: &[Mix] = &[
    Mix {
        name: "exact paths",
        route: |number| route(number, &format!("/api/v1/{}/items/{number}", number % 100)),
        request: |number| ("h".to_owned(), format!("/api/v1/{}/items/{number}", number % 100)),
    },
    Mix {
        name: "prefixes",
        route: |number| route(number, &format!("/api/{}/{number}/*", number % 100)),
        request: |number| ("h".to_owned(), format!("/api/{}/{number}/some/file.json", number % 100)),
    },
    Mix {
        name: "parameters",
        route: |number| route(number, &format!("/api/:tenant/{number}/:item")),
        request: |number| ("h".to_owned(), format!("/api/acme/{number}/4711")),
    },
    Mix {
        name: "1 000 hosts",
        route: |number| {
            let route = route(number, &format!("/api/{}/*", number / 1_000))?;
            Ok(RouteMatch { hosts: vec![format!("host-{}.example.com", number % 1_000)], ..route })
        },
        request: |number| {
            (format!("host-{}.example.com", number % 1_000), format!("/api/{}/file", number / 1_000))
        },
    },
    Mix {
        name: "1 000 wildcard hosts",
        route: |number| {
            let route = route(number, &format!("/api/{}/*", number / 1_000))?;
            Ok(RouteMatch { hosts: vec![format!("*.tenant-{}.example.com", number % 1_000)], ..route })
        },
        request: |number| {
            (format!("www.tenant-{}.example.com", number % 1_000), format!("/api/{}/file", number / 1_000))
        },
    },
    Mix {
        name: "vars, two routes a path",
        route: |number| {
            let route = route(number, &format!("/api/v1/items/{}", number / 2))?;
            if number % 2 == 1 {
                return Ok(route);
            }
            let condition = Condition::compile(&Expression::parse(&json!([["http_x_canary", "==", "yes"]]))?);
            Ok(RouteMatch { condition: Some(Arc::new(condition)), priority: 1, ..route })
        },
        request: |number| ("h".to_owned(), format!("/api/v1/items/{}", (number | 1) / 2)),
    },
    Mix {
        name: "vars, ten routes a path",
        route: |number| {
            let vars = json!([["arg_version", "==", (number % 10).to_string()]]);
            let condition = Condition::compile(&Expression::parse(&vars)?);
            let route = route(number, &format!("/api/v1/items/{}", number / 10))?;
            Ok(RouteMatch { condition: Some(Arc::new(condition)), ..route })
        },
        request: |number| {
            ("h".to_owned(), format!("/api/v1/items/{}?a=b&version={}", number / 10, number % 10))
        },
    },
    Mix {
        name: "one path, told apart by vars",
        route: |number| {
            let vars = json!([["arg_version", "==", number.to_string()]]);
            let condition = Condition::compile(&Expression::parse(&vars)?);
            Ok(RouteMatch { condition: Some(Arc::new(condition)), ..route(number, "/*")? })
        },
        // The first ones, for they are asked in order.
        request: |number| ("h".to_owned(), format!("/x?version={}", number % 10 + 1)),
    },
];

fn main() -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "{ROUTES} routes                    compiled    a match   a change")?;
    for mix in MIXES {
        let Figures { compiled, found, changed } = measure(mix)?;
        let (compiled, changed) = (compiled.as_secs_f64(), changed.as_secs_f64() * 1e6);
        let found = found.as_secs_f64() * 1e9;
        writeln!(out, "{:<32} {compiled:>6.2} s  {found:>6.0} ns  {changed:>6.1} µs", mix.name)?;
    }
    Ok(())
}

/// What one mix costs.
struct Figures {
    compiled: Duration,
    found: Duration,
    changed: Duration,
}

fn measure(mix: &Mix) -> Result<Figures, Failure> {
    let mut routes = Vec::with_capacity(ROUTES);
    for number in 1..=ROUTES {
        routes.push(Arc::new((mix.route)(number)?));
    }
    let started = now();
    let (mut router, hidden) =
        Router::compile(routes.iter().map(|route| (Arc::clone(route), Arc::clone(route))));
    let compiled = started.elapsed();
    if let Some(hidden) = hidden.first() {
        return Err(hidden.to_string().into());
    }

    let mut requests = Vec::with_capacity(REQUESTS);
    for request in 0..REQUESTS {
        // Far from each other, as requests are.
        let (host, target) = (mix.request)(request * 7_919 % ROUTES + 1);
        requests.push((host, Request::get(target).body(())?));
    }
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let started = now();
        let found = requests.iter().filter(|(host, request)| is_found(&router, host, request)).count();
        best = best.min(started.elapsed());
        if found != REQUESTS {
            return Err(format!("{}: only {found} of {REQUESTS} requests found a route", mix.name).into());
        }
    }

    let mut serving = router.clone();
    let mut changed = Duration::ZERO;
    for change in 0..CHANGES {
        let route = &routes[change * 97 % ROUTES];
        let started = now();
        router.remove(route);
        router.insert(route, Arc::clone(route));
        let before = std::mem::replace(&mut serving, router.clone());
        changed += started.elapsed();
        drop(before);
    }
    Ok(Figures {
        compiled,
        found: best / u32::try_from(REQUESTS)?,
        changed: changed / u32::try_from(CHANGES)?,
    })
}

/// What a request costs here: its path is normalised, its facts are put together, its route is found.
fn is_found(router: &Router<Arc<RouteMatch>>, host: &str, request: &Request<()>) -> bool {
    let end = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);
    let conn = Conn::plain(end, end);
    let facts = Facts::of(request, host, &conn);
    let Ok(path) = RoutePath::new(request.uri().path()) else { return false };
    router.find(host, &path, facts.method, &facts).is_some()
}

fn route(number: usize, uri: &str) -> Result<RouteMatch, Failure> {
    Ok(RouteMatch {
        id: ResourceId::parse(&number.to_string())?,
        uris: vec![uri.to_owned()],
        hosts: Vec::new(),
        methods: vec![HttpMethod::Get],
        remote_addrs: Vec::new(),
        condition: None,
        priority: 0,
    })
}

#[expect(clippy::disallowed_methods, reason = "a measurement of real time is what this example is for")]
fn now() -> Instant {
    Instant::now()
}
