//! Restarts and reloads under load, with the real binary: no request fails.

mod files;
mod gateway;
mod load;
mod upstream;

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use gateward_testkit::{eventually, http};

use gateway::{Gateway, PATIENCE};
use load::Load;
use upstream::Upstream;

#[test]
fn five_restarts_and_twenty_reloads_under_load_fail_no_request() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(&[]);
    gateway.put_route("loaded", &route("/loaded", &upstream));
    let load = Load::start(&gateway.traffic, "/loaded");
    load.goes_on();
    for restart in 0..5 {
        for reload in 0..4 {
            let id = format!("r{restart}-{reload}");
            gateway.put_route(&id, &route(&format!("/{id}"), &upstream));
            assert_eq!(gateway.get(&format!("/{id}")), 200);
            load.goes_on();
        }
        gateway.restart();
        load.goes_on();
        // The new one has what the old one was told.
        assert_eq!(gateway.get(&format!("/r{restart}-3")), 200);
    }
    let told = load.end();
    assert_eq!(told.failures, Vec::<String>::new(), "{told:?}");
    assert!(told.reused > 1000 && told.fresh > 100, "{told:?}");
    gateway.ends();
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(&[]);
    gateway.put_route("1", &route("/a", &upstream));
    let settings = gateway.folder().join("gateward.yaml");
    let load = Load::start(&gateway.traffic, "/a");
    std::fs::write(&settings, "no_such_setting: 1\n").expect("a file");
    gateway.signal_restart();
    gateway.says("the successor did not come up; serving on");
    load.goes_on();
    gateway.put_route("2", &route("/b", &upstream));
    assert_eq!(gateway.get("/b"), 200);

    // This one comes up until it has the store, and then finds its port taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!("control_listen: ['{}']\n", taken.local_addr().expect("an address"));
    std::fs::write(&settings, listen).expect("a file");
    gateway.signal_restart();
    gateway.says("the successor did not take over; taking everything back");
    gateway.says_again("serving pid=");
    load.goes_on();
    gateway.put_route("3", &route("/c", &upstream));
    assert_eq!(gateway.get("/c"), 200);

    std::fs::write(&settings, gateway::CONTROL).expect("a file");
    gateway.restart();
    assert_eq!((gateway.get("/b"), gateway.get("/c")), (200, 200));
    let told = load.end();
    assert_eq!(told.failures, Vec::<String>::new(), "{told:?}");
    gateway.ends();
}

#[test]
fn a_stop_is_heard_while_a_successor_is_waited_for() {
    let gateway = Gateway::start(&[]);
    // A successor that never gets to read its settings.
    let settings = gateway.folder().join("gateward.yaml");
    std::fs::remove_file(&settings).expect("it is there");
    assert!(Command::new("mkfifo").arg(&settings).status().expect("it runs").success());
    gateway.signal_restart();
    gateway.says("restarting");
    gateway.signal_stop();
    gateway.ends_within(PATIENCE / 4);
}

#[test]
fn there_is_one_deadline_for_all_that_is_under_way_and_nobody_is_told_to_come_meanwhile() {
    let gateway = Gateway::start(&[("GATEWARD_DRAIN_SECONDS", "4")]);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let node = silent.local_addr().expect("an address");
    let silent_route = format!(r#"{{"uri": "/silent", "upstream": {{"nodes": {{"{node}": 1}}}}}}"#);
    gateway.put_route("silent", &silent_route);
    let send = |to: &str, request: &str| {
        let mut stream = TcpStream::connect(to).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it is sent");
        stream
    };
    let traffic = gateway.traffic.trim_start_matches("http://").to_owned();
    let _busy = send(&traffic, "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_asked, _) = silent.accept().expect("the request is on its way");
    let head = "POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
    let _half = send(gateway.control(), head);
    assert_eq!(gateway.ready()["status"], "ready");
    gateway.signal_stop();
    wait_until("it says that it ends", || gateway.ready()["status"] == "draining");
    gateway.ends_within(Duration::from_secs(6));
}

#[test]
fn what_is_in_memory_alone_is_not_lost_by_a_restart() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&[("GATEWARD_STORE", "memory")]);
    gateway.put_route("1", &route("/a", &upstream));
    gateway.signal_restart();
    gateway.says("serving on without a restart");
    assert_eq!(gateway.get("/a"), 200);
    gateway.ends();
}

#[test]
fn a_service_manager_is_told_who_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let mut gateway = Gateway::start(&[("NOTIFY_SOCKET", path.to_str().expect("text"))]);
    let hear = || {
        let mut heard = [0; 128];
        let length = manager.recv(&mut heard).expect("it is told");
        String::from_utf8_lossy(&heard[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    gateway.restart();
    let (first, second) = (hear(), hear());
    let mut told = [first.as_str(), second.as_str()];
    told.sort_unstable();
    assert_eq!(told, [format!("MAINPID={}", gateway.pid()).as_str(), "READY=1"]);
    gateway.ends();
}

#[test]
fn a_socket_of_a_service_manager_is_taken_and_goes_on_to_the_successor() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    // The shell is the service manager: it is given the socket as its input, and moves it to where systemd puts it.
    let mut command = Command::new("sh");
    let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    command.args(["-c", script, gateway::GATEWARD]);
    let input = OwnedFd::from(socket.try_clone().expect("a second handle"));
    let mut gateway = Gateway::start_by(command, Stdio::from(input), &address, &[]);
    assert_eq!(gateway.traffic, format!("http://{address}"));
    // Only whoever holds the one socket that there is can answer here: nobody else may listen on the address.
    assert_eq!(gateway.get("/nothing"), 404);
    gateway.restart();
    assert_eq!(gateway.get("/nothing"), 404);
    gateway.ends();
    drop(socket);
}

fn route(uri: &str, upstream: &Upstream) -> String {
    format!(
        r#"{{"uri": "{uri}", "upstream": {{"type": "roundrobin", "nodes": {{"{}": 1}}}}}}"#,
        upstream.address
    )
}

/// Waits until `look` is true.
#[track_caller]
fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    assert!(eventually(PATIENCE, || look().then_some(())).is_some(), "{what}");
}

/// How a GET of `url` is answered.
fn status(url: &str) -> u16 {
    http::try_request(Duration::from_secs(10), "GET", url, &[], b"").map_or(0, |answer| answer.status)
}
