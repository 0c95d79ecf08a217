//! Addresses of names, as this machine's resolver tells them.
//!
//! The surprise: each look-up has a thread of its own that nobody waits for. A resolver may hang for a minute, and a
//! runtime that ends would wait for its threads.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::thread;

use tokio::sync::oneshot;

pub async fn addresses(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (tell, told) = oneshot::channel();
    // Whoever asked may have given up by then.
    let look_up = move || drop(tell.send((host.as_str(), port).to_socket_addrs().map(Iterator::collect)));
    thread::Builder::new().name("resolver".to_owned()).spawn(look_up)?;
    told.await.unwrap_or_else(|_| Err(io::Error::other("the resolver gives up")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_have_addresses_and_others_have_none() {
        let found = addresses("localhost".to_owned(), 80).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        addresses("nobody has this name".to_owned(), 80).await.unwrap_err();
    }
}
