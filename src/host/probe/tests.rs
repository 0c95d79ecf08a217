use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

const HOST: &str = "wiki.example.org";

/// A server with its own certificate for `example.org` and below, that answers every request with the same bytes.
struct Server {
    address: SocketAddr,
    leaf: Vec<u8>,
    /// What it was asked, with the name that TLS asked for in front.
    requests: Arc<Mutex<Vec<String>>>,
}

async fn serve(response: impl Into<Vec<u8>>) -> Server {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["*.example.org".to_owned()]).unwrap();
    let leaf = params.self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server { address: listener.local_addr().unwrap(), leaf: leaf.to_vec(), requests: Arc::default() };
    let (requests, response) = (Arc::clone(&server.requests), response.into());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut tls) = acceptor.accept(stream).await else { continue };
            let mut buffer = vec![0; 4096];
            let length = tls.read(&mut buffer).await.unwrap_or(0);
            let sni = tls.get_ref().1.server_name().unwrap_or("none").to_owned();
            requests.lock().unwrap().push(format!("{sni} {}", String::from_utf8_lossy(&buffer[..length])));
            // A client that has read enough hangs up; the server does not mind.
            let _ = tls.write_all(&response).await;
            let _ = tls.shutdown().await;
        }
    });
    server
}

/// Accepts one connection and does with it what the test says.
async fn plain<F: Future<Output = ()> + Send>(then: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        then(stream).await;
    });
    address
}

async fn get(target: &Target, path: &str) -> Result<Answer, ProbeError> {
    Probe::new().get(target, path, Timeouts::default()).await
}

const OK: &str = "HTTP/1.1 200 OK\r\nX-App: Wiki\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn name_and_host_are_the_apps_while_the_address_is_pinned() {
    let server = serve(OK).await;
    let answer = get(&Target::https(server.address, HOST, Some(server.leaf)), "/page?q=1").await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
    assert!(answer.headers.contains(&("x-app".to_owned(), "Wiki".to_owned())));
    let request = server.requests.lock().unwrap()[0].to_lowercase();
    assert!(request.starts_with("wiki.example.org get /page?q=1 http/1.1"), "{request}");
    assert!(request.contains("host: wiki.example.org\r\n"), "{request}");
}

#[tokio::test]
async fn a_wrong_certificate_is_told_with_both_and_sees_no_request() {
    let (server, other) = (serve(OK).await, serve(OK).await);
    let mut target = Target::https(server.address, HOST, Some(other.leaf));
    target.auth = Some("me:hunter2".into());
    let error = get(&target, "/").await.unwrap_err();
    let ProbeError::WrongCertificate { served, declared, .. } = &error else { panic!("{error:?}") };
    assert!(served.starts_with("*.example.org, valid until") && declared != served, "{error}");
    assert!(server.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn any_certificate_will_do_where_none_is_declared() {
    let server = serve(OK).await;
    assert_eq!(get(&Target::https(server.address, "other.net", None), "/").await.unwrap().status, 200);
}

#[tokio::test]
async fn the_served_leaf_is_known_even_if_the_answer_is_rubbish() {
    let server = serve("rubbish\r\n\r\n").await;
    let leaf = Probe::new().served_leaf(server.address, HOST, Timeouts::default()).await;
    assert_eq!(leaf, Ok(server.leaf.clone()));
    let error = get(&Target::https(server.address, HOST, None), "/").await.unwrap_err();
    assert!(matches!(error, ProbeError::Reading { .. }), "{error:?}");
}

#[tokio::test]
async fn redirects_are_answers() {
    let server = serve("HTTP/1.1 302 Found\r\nLocation: https://elsewhere.net/\r\nContent-Length: 0\r\n\r\n").await;
    let answer = get(&Target::https(server.address, HOST, None), "/").await.unwrap();
    assert_eq!((answer.status, answer.location.as_deref()), (302, Some("https://elsewhere.net/")));
    assert_eq!(server.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 3 * BODY_LIMIT).into_bytes();
    response.resize(response.len() + 3 * BODY_LIMIT, b'x');
    let server = serve(response).await;
    assert_eq!(get(&Target::https(server.address, HOST, None), "/").await.unwrap().body.len(), BODY_LIMIT);
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let server = serve(OK).await;
    let mut target = Target::https(server.address, HOST, None);
    target.auth = Some("me:hunter2".into());
    get(&target, "/").await.unwrap();
    assert!(server.requests.lock().unwrap()[0].contains("Basic bWU6aHVudGVyMg=="));
    assert!(!format!("{target:?}").contains("hunter2"));
}

#[tokio::test]
async fn refused_silent_and_non_tls_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let refused = get(&Target::https(closed, HOST, None), "/").await.unwrap_err();
    assert_eq!(refused, ProbeError::Refused { address: closed });

    let short = Timeouts { connect: Duration::from_secs(5), total: Duration::from_millis(100) };
    let silent = plain(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let target = Target::http(silent.await, HOST);
    let error = Probe::new().get(&target, "/", short).await.unwrap_err();
    assert!(matches!(error, ProbeError::Timeout { after, .. } if after == short.total), "{error:?}");

    let no_tls = plain(|mut stream| async move { stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n").await.unwrap() });
    let error = get(&Target::https(no_tls.await, HOST, None), "/").await.unwrap_err();
    assert!(matches!(error, ProbeError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_reading_error() {
    let server = serve("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello").await;
    let error = get(&Target::https(server.address, HOST, None), "/").await.unwrap_err();
    assert!(matches!(error, ProbeError::Reading { .. }), "{error:?}");
}

#[tokio::test]
async fn plain_http_works_and_ports_are_probed() {
    let address = plain(|mut stream| async move {
        let mut request = [0; 1024];
        let length = stream.read(&mut request).await.unwrap();
        assert!(length > 0);
        stream.write_all(OK.as_bytes()).await.unwrap();
    });
    assert_eq!(get(&Target::http(address.await, HOST), "/").await.unwrap().status, 200);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap();
    assert_eq!(Probe::new().tcp(open, Duration::from_secs(5)).await, Ok(()));
    drop(listener);
    assert_eq!(Probe::new().tcp(open, Duration::from_secs(5)).await, Err(ProbeError::Refused { address: open }));
}

#[test]
fn random_hosts_are_below_the_base_domain_and_differ() {
    let base: Domain = "example.org".parse().unwrap();
    let (a, b) = (random_host(&base), random_host(&base));
    assert!(a != b && a.parse::<Domain>().unwrap().is_covered_by("*.example.org"));
}

#[tokio::test]
async fn names_that_would_lead_past_the_pinned_address_are_refused() {
    let server = serve(OK).await;
    for host in ["Wiki.example.org", "127.0.0.1", "a.b:1", "me@a.b", "a.b/c", "", "ä.example.org"] {
        let error = get(&Target::https(server.address, host, None), "/").await.unwrap_err();
        assert!(matches!(error, ProbeError::Request { .. }), "{host:?}: {error:?}");
    }
    assert!(server.requests.lock().unwrap().is_empty());
}
