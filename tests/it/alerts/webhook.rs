//! Relaying to a web address: a server of this process that is well, flaky, slow to come, or refuses.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::{names, put};
use crate::refusing::{Host, PLAIN, tells};

/// What was asked, one after the other.
type Asked = Arc<Mutex<Vec<(String, HeaderMap, String)>>>;

struct Server {
    address: SocketAddr,
    asked: Asked,
}

/// How the server answers its first, second, … request; the last answer stays.
#[derive(Clone)]
struct Manners {
    asked: Asked,
    answers: Arc<Vec<u16>>,
}

impl Server {
    fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let manners = Manners { asked: asked.clone(), answers: Arc::new(answers.to_vec()) };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let router = Router::new().fallback(answer).with_state(manners);
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
            });
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<(String, HeaderMap, String)> {
        self.asked.lock().unwrap().clone()
    }

    fn host(&self, path: &str, more: &str) -> Host {
        let table = format!("alerts = {{ webhook = \"http://{}{path}\"{more} }}\n", self.address);
        Host::new().table(&table).app("wiki", &[("compose.yml", PLAIN)], "")
    }
}

async fn answer(State(manners): State<Manners>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut asked = manners.asked.lock().unwrap();
    let status = manners.answers[asked.len().min(manners.answers.len() - 1)];
    asked.push((uri.to_string(), headers, String::from_utf8(body.to_vec()).unwrap()));
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("location", "/elsewhere")], format!("cannot post to {uri}")).into_response()
}

#[test]
fn an_alert_is_posted_as_its_file_stands() {
    let server = Server::start(&[204]);
    let host = server.host("/hook?key=s3cr3t", "");
    put(&host, 2);
    let said = host.run(&["alerts", "relay"]);
    tells(&said, 0, &["relayed"]);
    assert!(!format!("{said:?}").contains("s3cr3t"), "{said:#?}");
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let (path, headers, body) = &asked[0];
    assert_eq!((path.as_str(), headers["content-type"].to_str().unwrap()), ("/hook?key=s3cr3t", "application/json"));
    let alert: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&alert["app"], &alert["reason"]), (&"wiki".into(), &"rollback".into()));
    assert_eq!(names(&host, true).len(), 2);
}

#[test]
fn a_topic_of_ntfy_gets_a_message_that_a_telephone_shows() {
    let server = Server::start(&[200]);
    let host = server.host("/topic", ", format = \"ntfy\"");
    put(&host, 1);
    tells(&host.run(&["alerts", "relay"]), 0, &["relayed"]);
    let (path, headers, body) = server.asked().remove(0);
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(path, "/topic");
    assert!(header("title").starts_with("wiki on ") && header("title").ends_with(": rollback (1.0.0+1 -> 2.0.0+2)"));
    assert_eq!((header("priority").as_str(), header("tags").as_str()), ("high", "warning,rollback,wiki"));
    assert!(body.starts_with("it crashed at 0\n\nWhat to do: ") && body.contains("`evenkeel approve wiki 2.0.0+2`"));
}

#[test]
fn a_login_in_the_address_is_sent_as_one_and_never_told() {
    let server = Server::start(&[401]);
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let file = host.path("address");
    std::fs::write(&file, format!("http://:s3cr3t@{}/t0pic\n", server.address)).unwrap();
    let host = host.table(&format!("[alerts]\nwebhook = \"{}\"\n", file.display()));
    put(&host, 1);
    let said = host.run(&["alerts", "relay"]);
    let told =
        format!("stays: http://{} answers 401 Unauthorized; is the address with its login or token", server.address);
    tells(&said, 1, &[&told]);
    let text = format!("{said:?}");
    assert!(!text.contains("s3cr3t") && !text.contains("t0pic"), "{said:#?}");
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "asking again does not help");
    assert_eq!(asked[0].1["authorization"].to_str().unwrap(), "Basic OnMzY3IzdA==");
}

#[test]
fn a_flaky_server_is_asked_again() {
    let server = Server::start(&[503, 429, 200]);
    let host = server.host("/hook", "");
    put(&host, 1);
    tells(&host.run(&["alerts", "relay"]), 0, &["relayed"]);
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn an_alert_that_a_server_refuses_stays_and_the_next_is_posted() {
    let server = Server::start(&[413, 302, 200]);
    let host = server.host("/hook", "");
    let put = put(&host, 3);
    let said = host.run(&["alerts", "relay"]);
    tells(
        &said,
        1,
        &["answers 413 Payload Too Large; the alert is too long", "answers 302 Found; a redirect is not followed"],
    );
    assert_eq!((names(&host, false).as_slice(), names(&host, true).as_slice()), (&put[..2], &put[2..]));
    assert!(server.asked().iter().all(|(path, ..)| path == "/hook"), "no redirect is followed");
}

#[test]
fn where_nobody_listens_a_few_are_tried_and_all_stay() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server { address: listener.local_addr().unwrap(), asked: Asked::default() };
    drop(listener);
    let host = server.host("/t0pic", "");
    put(&host, 8);
    let said = host.run(&["alerts", "relay"]);
    tells(&said, 1, &[&format!("stays: http://{} gives no answer: ", server.address), "4 more alerts were not tried"]);
    assert!(!format!("{said:?}").contains("t0pic"), "{said:#?}");
    assert_eq!(names(&host, false).len(), 8);
}

#[test]
fn of_two_targets_the_one_that_works_is_not_told_twice() {
    let server = Server::start(&[200]);
    let dir = tempfile::tempdir().unwrap();
    let works = dir.path().join("works");
    let command = format!(", command = [\"/bin/sh\", \"-c\", \"test -e {}\"]", works.display());
    let host = server.host("/hook", &command);
    put(&host, 2);
    for _ in 0..2 {
        tells(&host.run(&["alerts", "relay"]), 1, &["stays: /bin/sh -c failed"]);
    }
    std::fs::write(&works, "").unwrap();
    tells(&host.run(&["alerts", "relay"]), 0, &["relayed"]);
    assert_eq!((server.asked().len(), names(&host, true).len()), (2, 2));
    let left = std::fs::read_dir(host.state_dir().join("alerts")).unwrap().map(|file| file.unwrap().file_name());
    let mut left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["relay.lock", "seen"]);
}

#[test]
fn what_is_no_web_address_is_told_without_showing_it() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let file = host.path("address");
    std::fs::write(&file, "s3cr3t").unwrap();
    let host = host.table(&format!("[alerts]\nwebhook = \"{}\"\n", file.display()));
    let said = host.run(&["alerts", "relay"]);
    tells(&said, 1, &["there is no web address such as https://ntfy.example.org/topic", "/address"]);
    assert!(!format!("{said:?}").contains("s3cr3t"));
    std::fs::remove_file(&file).unwrap();
    tells(&host.run(&["alerts", "relay"]), 1, &["read the web address for alerts in", "No such file"]);
}
