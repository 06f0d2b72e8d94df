use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use http::Request;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::*;
use crate::testing::{Scripted, Then, on_a_data_thread, until};
use crate::{Body, Connector, ConnectorSettings, Peer, Pool, PoolSettings, Scheme, Timeouts};

const PATIENT: Timeouts =
    Timeouts { connect: Duration::from_secs(5), send: Duration::from_secs(5), read: Duration::from_secs(5) };

/// A DNS server that says the same of every name, until told to say something else.
struct Server {
    address: SocketAddr,
    says: Rc<RefCell<Says>>,
    /// How often it was asked for addresses of IPv4.
    asked: Rc<Cell<usize>>,
}

#[derive(Clone)]
enum Says {
    Addresses(Vec<Ipv4Addr>, u32),
    NoSuchName,
    Broken,
}

impl Server {
    async fn start(says: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let this = Self {
            address: socket.local_addr().unwrap(),
            says: Rc::new(RefCell::new(says)),
            asked: Rc::default(),
        };
        let (says, asked) = (Rc::clone(&this.says), Rc::clone(&this.asked));
        tokio::task::spawn_local(async move {
            let mut query = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut query).await.unwrap();
                let says = says.borrow().clone();
                let (answer, of_ipv4) = answer(&query[..length], &says);
                asked.set(asked.get() + usize::from(of_ipv4));
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        this
    }

    fn say(&self, says: Says) {
        *self.says.borrow_mut() = says;
    }

    fn dns(&self) -> Dns {
        Dns::new(vec![self.address])
    }
}

/// The answer to `query`, and whether that asked for addresses of IPv4 (RFC 1035, part 4).
fn answer(query: &[u8], says: &Says) -> (Vec<u8>, bool) {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let of_ipv4 = query[end - 4..end] == [0, 1, 0, 1];
    let (code, addresses, ttl) = match says {
        Says::Addresses(addresses, ttl) if of_ipv4 => (0, addresses.as_slice(), *ttl),
        Says::Addresses(..) => (0, &[][..], 0),
        Says::NoSuchName => (3, &[][..], 0),
        Says::Broken => (2, &[][..], 0),
    };
    let mut answer = query[..2].to_vec();
    // An answer, with recursion; one question, the addresses, nothing else.
    answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).unwrap(), 0, 0, 0, 0]);
    answer.extend(&query[12..end]);
    for address in addresses {
        // The name of the question, an address of IPv4.
        answer.extend([0xc0, 12, 0, 1, 0, 1]);
        answer.extend(ttl.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    (answer, of_ipv4)
}

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn addresses(dns: &Dns) -> Result<Vec<IpAddr>, FetchError> {
    dns.addresses("api.test").await
}

#[tokio::test(flavor = "current_thread")]
async fn a_name_is_asked_for_once_and_its_addresses_are_taken_in_turn() {
    on_a_data_thread(async {
        let server = Server::start(Says::Addresses(vec![TWO, ONE], 60)).await;
        let dns = server.dns();
        let (first, second, third) = tokio::join!(addresses(&dns), addresses(&dns), addresses(&dns));
        let mut turns = [first.unwrap(), second.unwrap(), third.unwrap(), addresses(&dns).await.unwrap()];
        turns.sort_unstable();
        let (one, two) = ([IpAddr::from(ONE), TWO.into()], [IpAddr::from(TWO), ONE.into()]);
        assert_eq!(turns, [one, one, two, two]);
        assert_eq!(server.asked.get(), 1);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_name_is_asked_for_again_when_its_ttl_has_run_out() {
    on_a_data_thread(async {
        let server = Server::start(Says::Addresses(vec![ONE], 1)).await;
        let dns = server.dns();
        assert_eq!(addresses(&dns).await.unwrap(), [ONE]);
        server.say(Says::Addresses(vec![TWO], 60));
        assert_eq!(addresses(&dns).await.unwrap(), [ONE]);
        let expired = Instant::now() + Duration::from_secs(1);
        until(|| Instant::now() >= expired).await;
        assert_eq!(addresses(&dns).await.unwrap(), [TWO]);
        assert_eq!(server.asked.get(), 2);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_old_answer_stands_while_the_server_is_broken_and_falls_when_the_name_is_gone() {
    on_a_data_thread(async {
        let server = Server::start(Says::Addresses(vec![ONE], 0)).await;
        let dns = server.dns();
        let name = dns.name("api.test").unwrap();
        assert_eq!(addresses(&dns).await.unwrap(), [ONE]);
        let later = async || {
            let due = Instant::now() + Duration::from_millis(2_100);
            until(|| Instant::now() >= due).await;
        };
        let version = name.version();
        server.say(Says::Broken);
        later().await;
        assert_eq!(addresses(&dns).await.unwrap(), [ONE]);
        assert_eq!(name.version(), version);
        server.say(Says::NoSuchName);
        later().await;
        let error = addresses(&dns).await.unwrap_err();
        assert!(matches!(error, FetchError::Resolve(_)), "{error:?}");
        assert!(name.version() > version && !name.has(ONE.into()));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn addresses_and_the_names_of_this_machine_are_not_asked_for() {
    on_a_data_thread(async {
        let server = Server::start(Says::Broken).await;
        let dns = server.dns();
        for (host, address) in [
            ("127.0.0.9", "127.0.0.9"),
            ("::2", "::2"),
            ("localhost", "127.0.0.1"),
            ("a.localhost.", "127.0.0.1"),
        ] {
            assert_eq!(dns.addresses(host).await.unwrap()[0], address.parse::<IpAddr>().unwrap());
            assert!(dns.name(host).is_none());
        }
        assert_eq!(server.asked.get(), 0);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_kept_connection_to_an_address_that_the_name_has_no_longer_is_not_used() {
    on_a_data_thread(async {
        let server = Server::start(Says::Addresses(vec![ONE], 1)).await;
        let upstream =
            Scripted::start(|_, _| Then::Answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
        let settings =
            ConnectorSettings { dns_servers: vec![server.address], ..ConnectorSettings::default() };
        let pool = Pool::new(Arc::new(Connector::new(settings).unwrap()), PoolSettings::default());
        let peer = Peer::new(Scheme::Http, "api.test", upstream.peer.port(), true);
        let fetch = async || {
            let request = Request::get("/").header("host", "test").body(Body::empty()).unwrap();
            pool.fetch(&peer, request, &PATIENT).await
        };
        for _ in 0..3 {
            fetch().await.unwrap();
        }
        assert_eq!((upstream.connections.get(), server.asked.get()), (1, 1));
        let name = pool.connector().name(&peer).unwrap();
        assert_eq!(name.version(), 1);
        // The second address leads to nobody.
        server.say(Says::Addresses(vec![TWO], 60));
        let expired = Instant::now() + Duration::from_secs(1);
        until(|| Instant::now() >= expired).await;
        // The one who notices does not wait for the answer.
        fetch().await.unwrap();
        until(|| name.version() == 2).await;
        let error = fetch().await.unwrap_err();
        assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
        until(|| upstream.ended.get() == 1).await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_name_that_leads_to_a_metadata_address_is_refused() {
    on_a_data_thread(async {
        let server = Server::start(Says::Addresses(vec![ONE, Ipv4Addr::new(169, 254, 169, 254)], 60)).await;
        let settings =
            ConnectorSettings { dns_servers: vec![server.address], ..ConnectorSettings::default() };
        let connector = Connector::new(settings).unwrap();
        let error = connector.connect(&Peer::new(Scheme::Http, "evil.test", 80, true)).await.unwrap_err();
        assert!(matches!(error, FetchError::Forbidden), "{error:?}");
    })
    .await;
}
