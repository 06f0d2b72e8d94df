//! What a function asks others for at its start, it asks for at once.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use gateward_testkit::{Authority, Deadline, Double, Moto, RuntimeApi};

use crate::gateway::PATIENCE;
use crate::lambda;
use crate::one_at_a_time::pass_on;
use crate::plot::Plot;

const REGION: &str = "eu-west-1";

#[test]
fn the_table_and_the_key_are_asked_before_either_has_answered() {
    let plot = Plot::new();
    let moto = Moto::start();
    moto.create_table(REGION, "gateward");
    let (kms_key, secret) = (moto.create_kms_key(REGION), plot.plant("awssecret"));
    let meeting = Arc::new(Meeting::default());

    let (url, at_table) = (moto.url().to_owned(), Arc::clone(&meeting));
    let table = Double::start(move |asked| {
        at_table.meet("the table", "the key");
        pass_on(&url, asked)
    });
    let url = moto.url().to_owned();
    let kms = Double::start(move |asked| pass_on(&url, asked));
    let root = Authority::root("aws");
    let ca = plot.folder().join("ca.pem");
    std::fs::write(&ca, &root.pem).expect("a file can be written");
    let at_key = Arc::clone(&meeting);
    let over_tls = kms.over_tls(&root.identity("127.0.0.1", &[]));
    let port = slow_to_shake_hands(over_tls.trim_start_matches("https://"), move || {
        at_key.meet("the key", "the table");
    });

    let lambda_api = RuntimeApi::start();
    let kms_url = format!("https://127.0.0.1:{port}");
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDINIT"),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL_DYNAMODB", &table.url()),
        ("AWS_ENDPOINT_URL_KMS", &kms_url),
        ("GATEWARD_TLS_CA", ca.to_str().expect("the path is text")),
        ("GATEWARD_STORE", "dynamodb"),
        ("GATEWARD_ROOT_KEY", ""),
        ("GATEWARD_ROOT_KEY_KMS", &kms_key),
    ];
    let mut process = lambda::start_with(&plot, &lambda_api, &variables);
    lambda_api.wait_until_asked(PATIENCE * 3);
    assert_eq!(meeting.missed(), BTreeSet::new(), "who waited for the other in vain");
    assert!(kms.count("POST /") > 0 && table.count("POST /") > 0);
    process.terminate();
    assert!(process.wait(PATIENCE).success());
    plot.hear("what the function printed", process.text());
    plot.end();
}

/// Where two meet before either goes on.
#[derive(Default)]
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    come: BTreeSet<&'static str>,
    missed: BTreeSet<&'static str>,
}

impl Meeting {
    /// `who` has come, and waits until `other` has, too. Whoever waits in vain goes on, so that the test ends.
    fn meet(&self, who: &'static str, other: &'static str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.come.insert(who);
        self.changed.notify_all();
        let deadline = Deadline::after(PATIENCE);
        while !state.come.contains(other) {
            let Some(left) = deadline.left() else {
                state.missed.insert(who);
                state.come.insert(other);
                return;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn missed(&self) -> BTreeSet<&'static str> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).missed.clone()
    }
}

/// The port of what passes everything on to `address`, once `first` has returned for a connection.
fn slow_to_shake_hands(address: &str, first: impl Fn() + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    let address = address.to_owned();
    std::thread::spawn(move || {
        for here in listener.incoming().map_while(Result::ok) {
            let (address, first) = (address.clone(), first.clone());
            std::thread::spawn(move || {
                first();
                // A connection that breaks is the function's affair.
                let _ = splice(&here, &address);
            });
        }
    });
    port
}

fn splice(here: &TcpStream, address: &str) -> io::Result<()> {
    let there = TcpStream::connect(address)?;
    let (mut from, mut to) = (there.try_clone()?, here.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    io::copy(&mut &*here, &mut &there)?;
    there.shutdown(Shutdown::Write)
}
