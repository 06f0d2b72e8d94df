use http::Method;

use super::*;
use crate::testing::{Scripted, Then, connector, on_a_data_thread, until};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_body: 5, verify: true };

fn request(server: &Scripted, method: Method) -> Request<Bytes> {
    let uri = format!("http://{}/a%20b?c=d", server.peer.authority());
    Request::builder().method(method).uri(uri).body(Bytes::new()).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn a_whole_answer_comes_back_and_the_connection_is_kept() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let client = Client::new(connector());
        for _ in 0..3 {
            let response = client.fetch(request(&server, Method::PUT), LIMITS).await.unwrap();
            assert_eq!(response.body(), "hello");
            // On a runtime of several threads nobody waits for the connection to be ready again; here a test does.
            until(|| client.0.idle.lock().unwrap()[&server.peer][0].sender.is_ready()).await;
        }
        assert_eq!(server.connections.get(), 1);
        let host = format!("host: {}\r\n", server.peer.authority());
        assert!(server.requests.borrow().iter().all(|request| {
            request.starts_with("PUT /a%20b?c=d HTTP/1.1\r\n") && request.contains(&host)
        }));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_that_was_opened_before_carries_the_first_call() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let client = Client::new(connector());
        client.warm(request(&server, Method::GET).uri()).await;
        until(|| client.0.idle.lock().unwrap()[&server.peer][0].sender.is_ready()).await;
        client.fetch(request(&server, Method::GET), LIMITS).await.unwrap();
        assert_eq!(server.connections.get(), 1);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_is_not_used_when_it_was_kept_for_its_time() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let client = Client::keeping(connector(), Duration::ZERO);
        for _ in 0..2 {
            client.fetch(request(&server, Method::GET), LIMITS).await.unwrap();
        }
        assert_eq!(server.connections.get(), 2);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_larger_than_allowed_is_refused() {
    on_a_data_thread(async {
        for answer in [OK, CHUNKED] {
            let server = Scripted::start(move |_, _| Then::Answer(answer)).await;
            let client = Client::new(connector());
            let limits = Limits { max_body: 4, ..LIMITS };
            let error = client.fetch(request(&server, Method::GET), limits).await.unwrap_err();
            assert!(matches!(error, FetchError::TooLarge { limit: 4 }), "{error:?}");
            assert!(client.0.idle.lock().unwrap().is_empty());
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_time_limit_covers_the_whole_answer() {
    on_a_data_thread(async {
        for silence in ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"] {
            let server = Scripted::start(move |_, _| Then::Hang(silence)).await;
            let limits = Limits { timeout: Duration::from_millis(50), ..LIMITS };
            let error =
                Client::new(connector()).fetch(request(&server, Method::GET), limits).await.unwrap_err();
            assert!(matches!(error, FetchError::ReadTimeout), "{error:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_post_that_may_go_over_a_kept_connection_is_sent_once_and_its_death_is_told() {
    on_a_data_thread(async {
        let server =
            Scripted::start(|_, request| if request == 1 { Then::Answer(OK) } else { Then::Close }).await;
        let client = Client::new(connector());
        let post = || {
            let mut request = request(&server, Method::POST);
            request.extensions_mut().insert(OverKept);
            request
        };
        client.fetch(post(), LIMITS).await.unwrap();
        until(|| client.0.idle.lock().unwrap()[&server.peer][0].sender.is_ready()).await;
        let died = client.fetch(post(), LIMITS).await.unwrap_err();
        assert!(matches!(died, FetchError::Closed(_)), "{died:?}");
        assert_eq!((server.connections.get(), server.requests.borrow().len()), (1, 2));
        client.fetch(post(), LIMITS).await.unwrap();
        assert_eq!((server.connections.get(), server.requests.borrow().len()), (2, 3));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_kept_connection_that_died_costs_a_get_nothing_and_a_post_is_sent_over_none() {
    on_a_data_thread(async {
        let server =
            Scripted::start(|_, request| if request == 1 { Then::Answer(OK) } else { Then::Close }).await;
        let client = Client::new(connector());
        client.fetch(request(&server, Method::GET), LIMITS).await.unwrap();
        client.fetch(request(&server, Method::GET), LIMITS).await.unwrap();
        let connections = server.connections.get();
        client.fetch(request(&server, Method::POST), LIMITS).await.unwrap();
        assert_eq!(server.connections.get(), connections + 1);
        assert_eq!(server.requests.borrow().iter().filter(|request| request.starts_with("POST")).count(), 1);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_address_that_cannot_be_called_says_so() {
    for address in ["/path", "ftp://127.0.0.1/", "http://127.0.0.1:0/"] {
        let request = Request::get(address).body(Bytes::new()).unwrap();
        let error = Client::new(connector()).fetch(request, LIMITS).await.unwrap_err();
        assert!(matches!(error, FetchError::Address), "{address}: {error:?}");
    }
}

#[test]
fn a_client_and_its_calls_may_move_between_threads() {
    fn sends<T: Send>(_: &T) {}
    let client = Client::new(connector());
    sends(&client.fetch(Request::default(), LIMITS));
}
