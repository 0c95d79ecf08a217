//! Servers of every temper, on real sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::host::probe::dial::Stream;

pub const HOST: &str = "wiki.example.org";
pub const OK: &str = "HTTP/1.1 200 OK\r\nX-App: Wiki\r\nX-App: Notes\r\nContent-Length: 5\r\n\r\nhello";

/// What a server does with a request.
#[derive(Clone, Copy)]
pub enum Then {
    Say(&'static str),
    /// Says that and then nothing more, for ever.
    SayAndHold(&'static str),
    /// Says the first once and the second until nobody listens.
    Repeat(&'static str, &'static str),
}

/// A server's certificate.
pub struct Shown {
    pub name: &'static str,
    pub from: i32,
    pub to: i32,
    pub stolen: bool,
}

impl Shown {
    pub fn named(name: &'static str) -> Self {
        Self { name, from: 2000, to: 2190, stolen: false }
    }

    pub fn dated(from: i32, to: i32) -> Self {
        Self { from, to, ..Self::named("*.example.org") }
    }

    /// A certificate that anyone can have, without the key that belongs to it.
    pub fn stolen() -> Self {
        Self { stolen: true, ..Self::named("*.example.org") }
    }

    fn made(&self) -> (Vec<Vec<u8>>, TlsAcceptor) {
        let [key, other] = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
        let mut params = rcgen::CertificateParams::new(vec![self.name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(self.from, 1, 1);
        params.not_after = rcgen::date_time_ymd(self.to, 1, 1);
        let leaf = params.self_signed(&key).unwrap().der().clone();
        let held = if self.stolen { other } else { key };
        let held = PrivateKeyDer::try_from(held.serialize_der()).unwrap();
        let held = CertifiedKey::new(vec![leaf.clone()], ring::sign::any_supported_type(&held).unwrap());
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(held)));
        (vec![leaf.to_vec()], TlsAcceptor::from(Arc::new(config)))
    }
}

/// Answers every request on a connection of its own, until the test ends.
pub struct Server {
    pub address: SocketAddr,
    pub chain: Vec<Vec<u8>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Good for `example.org`'s subdomains.
    pub async fn secure(then: Then) -> Self {
        Self::start(Some(Shown::named("*.example.org")), then).await
    }

    pub async fn start(shown: Option<Shown>, then: Then) -> Self {
        Self::answering(shown, move |_| then).await
    }

    pub async fn by_host(shown: Option<Shown>, hosts: Vec<(&'static str, Then)>) -> Self {
        let named = |request: &str, host: &str| request.to_lowercase().contains(&format!("host: {host}\r\n"));
        Self::answering(shown, move |request| {
            hosts.iter().find(|(host, _)| named(request, host)).map_or(Then::Say(""), |(_, then)| *then)
        })
        .await
    }

    pub async fn answering(
        shown: Option<Shown>,
        answer: impl Fn(&str) -> Then + Clone + Send + Sync + 'static,
    ) -> Self {
        let (chain, acceptor) = shown.map(|shown| shown.made()).unzip();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(one(stream, acceptor.clone(), answer.clone(), Arc::clone(&seen)));
            }
        });
        Self { address, chain: chain.unwrap_or_default(), requests }
    }

    /// What it was asked, with the name that TLS asked for in front.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn one(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    answer: impl Fn(&str) -> Then,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let (mut stream, name): (Box<dyn Stream>, String) = match acceptor {
        None => (Box::new(stream), "none".to_owned()),
        Some(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let name = stream.get_ref().1.server_name().unwrap_or("none").to_owned();
            (Box::new(stream), name)
        }
    };
    let mut buffer = vec![0; 4096];
    let length = stream.read(&mut buffer).await.unwrap_or(0);
    if length == 0 {
        return;
    }
    let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let then = answer(&request);
    seen.lock().unwrap().push(format!("{name} {request}"));
    // A client that has read enough hangs up; the server does not mind.
    let _ = say(&mut stream, then).await;
}

async fn say(stream: &mut Box<dyn Stream>, then: Then) -> std::io::Result<()> {
    match then {
        Then::Say(text) => stream.write_all(text.as_bytes()).await?,
        Then::SayAndHold(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await?;
            std::future::pending::<()>().await;
        }
        Then::Repeat(head, again) => {
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(again.as_bytes()).await?;
            }
        }
    }
    stream.shutdown().await
}

/// An address where nobody listens.
pub async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Does with the bytes of every connection what the test says, without TLS and without reading anything first.
pub async fn raw(first: &'static [u8], then_hold: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.write_all(first).await;
                if then_hold {
                    std::future::pending::<()>().await;
                }
                // Whoever closes with bytes unread resets the connection, and what was said may be lost.
                let _ = stream.shutdown().await;
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            });
        }
    });
    address
}

/// A queue that is full: the kernel drops who knocks. What is returned keeps it so.
pub async fn full() -> (SocketAddr, impl Sized) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let first = TcpStream::connect(address).await.unwrap();
    (address, (listener, first))
}
