//! What can be wrong with any service that is spoken to over HTTP, and what each of it must become.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateward_testkit::{Authority, Canary, Double, Reply, nobody};
use gateward_vaults::MissKind;

use crate::world::{AUTHORITY, World};

/// What is wrong with a double at the moment.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<Reply>>>);

impl Fault {
    /// What to do instead of answering, if something is wrong.
    pub(crate) fn now(&self) -> Option<Reply> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn set(&self, reply: Option<Reply>) {
        *self.0.lock().unwrap() = reply;
    }
}

/// A service that is there, one that nobody answers for, and one that speaks no TLS: the world in which it is asked for
/// a secret there, given its address.
pub(crate) type Ask<'a> = &'a dyn Fn(&str) -> World;

/// Has everything go wrong with the service that `double` is, whose answers `fault` spoils, and asks for `secret` each time.
/// The answers hold `canary`, which must not come back; nor may any other of `canaries`.
pub(crate) async fn go_through(
    double: &Double,
    fault: &Fault,
    ask: Ask<'_>,
    secret: &str,
    canary: &Canary,
    canaries: &[&Canary],
) {
    let url = &double.url();
    let thief = Double::start(|_| Reply::text(200, "{}"));
    let text = canary.text();
    let named = format!("{{\"error\": \"{text}\", \"__type\": \"{text}\"}}");
    let cases = [
        (Reply::text(429, text).with_header("Retry-After", "7"), MissKind::Throttled, "fewer calls"),
        (Reply::text(500, text), MissKind::Unavailable, "out of order"),
        (Reply::text(503, text), MissKind::Unavailable, "out of order"),
        (Reply::Cut, MissKind::Unavailable, "answer"),
        (Reply::Close, MissKind::Unavailable, "answer"),
        (Reply::text(200, text), MissKind::Garbage, "answer"),
        (Reply::text(200, format!("\"{text}\"")), MissKind::Garbage, "answer"),
        (Reply::text(200, format!("[{{\"value\": \"{text}\"}}]")), MissKind::Garbage, "answer"),
        (Reply::text(200, format!("[\"{text}\",\"{text}\",3599]")), MissKind::Garbage, "answer"),
        (Reply::text(200, named.as_str()), MissKind::Garbage, "answer"),
        (Reply::text(404, format!("<html>{text}</html>")), MissKind::Garbage, "answer"),
        (Reply::text(200, text.repeat(20_000)), MissKind::Garbage, "larger than"),
        (Reply::text(302, text).with_header("Location", &thief.url()), MissKind::Garbage, ""),
        (Reply::text(307, text).with_header("Location", &thief.url()), MissKind::Garbage, ""),
    ];
    for (reply, kind, words) in cases {
        fault.set(Some(reply.clone()));
        let world = ask(url);
        let unresolved = world.get(secret).await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{unresolved} after {reply:?}");
        assert!(unresolved.problem.contains(words), "{unresolved} after {reply:?}");
        world.kept_to_itself(canaries.iter().copied().chain([canary]));
        // The service is itself again, and so is the vault.
        fault.set(None);
        world.clock.advance(Duration::from_secs(60));
        assert!(world.get(secret).await.is_ok(), "after {reply:?}");
        world.kept_to_itself(canaries.iter().copied());
    }
    assert_eq!(thief.asked().len(), 0, "a redirect was followed");

    // A service that says for how long is left alone for so long.
    fault.set(Some(Reply::text(429, "").with_header("Retry-After", "7")));
    let world = ask(url);
    assert_eq!(world.kind(secret).await, Err(MissKind::Throttled));
    fault.set(None);
    let asked = double.asked().len();
    world.clock.advance(Duration::from_secs(6));
    assert_eq!((world.kind(secret).await, double.asked().len()), (Err(MissKind::Throttled), asked));
    world.clock.advance(Duration::from_secs(1));
    assert!(world.get(secret).await.is_ok());

    fault.set(Some(Reply::Silence));
    let world = ask(url);
    // Nothing but the deadline comes to pass from here on, so it may come at once.
    tokio::time::pause();
    assert_eq!(world.kind(secret).await, Err(MissKind::Unavailable));
    tokio::time::resume();
    fault.set(None);
    drop(world);

    let gone = format!("http://{}", nobody());
    let no_tls = url.replace("http://", "https://");
    for address in [gone, no_tls] {
        let world = ask(&address);
        let unresolved = world.get(secret).await.unwrap_err();
        assert_eq!(unresolved.kind, MissKind::Unavailable, "{unresolved}");
        world.kept_to_itself(canaries.iter().copied());
    }

    // Over TLS it is spoken to only if whoever is trusted vouches for it, by this name, at this time. Nothing is asked
    // of anybody else.
    let here = "127.0.0.1";
    let strangers = [
        Authority::root("unknown").identity(here, &[]),
        AUTHORITY.identity("vault.example", &[]),
        AUTHORITY.expired(here),
    ];
    let over_tls = || double.asked().iter().filter(|asked| asked.over_tls).count();
    let before = over_tls();
    for stranger in &strangers {
        let address = double.over_tls(stranger);
        let world = ask(&address);
        let unresolved = world.get(secret).await.unwrap_err();
        assert_eq!(unresolved.kind, MissKind::Unavailable, "{unresolved}");
        assert!(unresolved.problem.contains("TLS"), "{unresolved}");
        assert_eq!(over_tls(), before, "a stranger was shown something");
        world.kept_to_itself(canaries.iter().copied());
    }
    let world = ask(&double.over_tls(&AUTHORITY.identity(here, &[])));
    assert!(world.get(secret).await.is_ok() && over_tls() > before);
    world.kept_to_itself(canaries.iter().copied());
}
