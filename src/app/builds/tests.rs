use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::health::gate::served::Wanted;
use crate::host::probe::tests::server::{Server, Shown, Then};
use crate::model::ci::BuildEngine;

const HOST: &str = "drone.example.org";
const FILE: &str = "/run/secrets/drone_admin";
const WANTED: RepositorySettings = RepositorySettings { timeout_minutes: Some(90), trusted: None };
const AT_ONCE: [Duration; 3] = [Duration::ZERO; 3];

/// A server that keeps what it is told, unless it has something else to say about a repository; each said once.
struct Stand {
    server: Server,
    kept: Arc<Mutex<BTreeMap<String, Value>>>,
}

type Instead = BTreeMap<&'static str, Vec<(&'static str, &'static str)>>;

impl Stand {
    async fn of(repositories: &[&str], instead: &[(&'static str, &[(&'static str, &'static str)])]) -> Self {
        let fresh = |name: &&str| ((*name).to_owned(), json!({ "timeout": 60, "trusted": false }));
        let kept: Arc<Mutex<BTreeMap<_, _>>> = Arc::new(Mutex::new(repositories.iter().map(fresh).collect()));
        let instead: Instead =
            instead.iter().map(|(name, says)| (*name, says.iter().rev().copied().collect())).collect();
        let (instead, shown) = (Arc::new(Mutex::new(instead)), Arc::clone(&kept));
        let answer = move |request: &str| {
            let name = request.split(' ').nth(1).unwrap().trim_start_matches("/api/repos/").to_owned();
            if let Some((status, body)) = instead.lock().unwrap().get_mut(name.as_str()).and_then(Vec::pop) {
                return say(status, body);
            }
            let mut kept = shown.lock().unwrap();
            let Some(repository) = kept.get_mut(&name) else {
                return say("404 Not Found", r#"{"message":"sql: no rows in result set"}"#);
            };
            if let Ok(Value::Object(change)) = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1) {
                change.into_iter().for_each(|(key, value)| repository[key] = value);
            }
            say("200 OK", &repository.to_string())
        };
        let server = Server::answering(Some(Shown::named("*.example.org")), answer).await;
        Self { server, kept }
    }

    async fn settled(&self, repositories: &[&str]) -> Vec<String> {
        let certificate = Wanted { chain: self.server.chain.clone(), warn_days: 0, fail_days: 0 };
        let target = Target::https(self.server.address, HOST, Some(certificate));
        let until = Instant::now() + Duration::from_secs(20);
        let server = BuildServer::new(target, BuildEngine::Drone.ci(), "t0ken".to_owned().into(), until);
        let names: Vec<String> = repositories.iter().map(|name| (*name).to_owned()).collect();
        settle_all(&server, &names, WANTED, Patience { waits: &AT_ONCE, until }, Path::new(FILE)).await
    }

    fn timeout_of(&self, name: &str) -> Value {
        self.kept.lock().unwrap()[name]["timeout"].clone()
    }

    fn patches(&self) -> usize {
        self.server.requests().iter().filter(|request| request.contains(" PATCH ")).count()
    }
}

fn say(status: &str, body: &str) -> Then {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    Then::Say(format!("{head}{body}").leak())
}

const EMPTY: (&str, &str) = ("200 OK", "");
const UNWELL: (&str, &str) = ("503 Service Unavailable", r#"{"message":"starting"}"#);

#[tokio::test]
async fn empty_answers_and_server_errors_are_asked_again_and_each_change_is_sent_once() {
    let stand = Stand::of(&["o/a", "o/b"], &[("o/a", &[EMPTY, UNWELL])]).await;
    assert_eq!(stand.settled(&["o/a", "o/b"]).await, [""; 0]);
    assert_eq!((stand.timeout_of("o/a"), stand.timeout_of("o/b"), stand.patches()), (json!(90), json!(90), 2));
    assert_eq!(stand.settled(&["o/a", "o/b"]).await, [""; 0]);
    assert_eq!(stand.patches(), 2, "nothing differs any more");
}

#[tokio::test]
async fn a_server_that_stays_unwell_is_given_up_with_a_warning() {
    let stand = Stand::of(&["o/a", "o/b"], &[("o/a", &[UNWELL; 9]), ("o/b", &[UNWELL; 9])]).await;
    let told = stand.settled(&["o/a", "o/b"]).await;
    assert_eq!(
        told,
        [
            "the builds' settings of o/a, o/b are not set: drone.example.org: it answers 503: starting; the next run tries it \
          again"
        ]
    );
    assert_eq!(
        stand.server.requests().len(),
        1 + 8,
        "whose token it is, and each once and as often as there are waits"
    );
}

#[tokio::test]
async fn repositories_that_fail_keep_no_others_from_being_set_and_each_is_told_with_its_way_out() {
    let forbidden = ("403 Forbidden", r#"{"message":"Forbidden"}"#);
    let ignored = ("200 OK", r#"{"timeout":60}"#);
    let stand =
        Stand::of(&["o/mine", "o/theirs", "o/last"], &[("o/theirs", &[forbidden]), ("o/mine", &[ignored; 2])]).await;
    let told = stand.settled(&["o/theirs", "o/none", "o/mine", "o/last"]).await;
    assert_eq!(stand.timeout_of("o/last"), json!(90));
    let [no_right, unknown, unheard] = &told[..] else { panic!("{told:#?}") };
    assert!(
        no_right.contains("of o/theirs are") && no_right.contains("403: Forbidden") && no_right.contains("activated")
    );
    assert!(unknown.contains("of o/none are") && unknown.contains("is its name right"), "{unknown}");
    assert!(unheard.contains("of o/mine are") && unheard.contains("no administrator") && unheard.contains(FILE));
}

#[tokio::test]
async fn a_refused_token_is_told_once_with_its_file_also_where_nothing_would_be_sent() {
    let refused: &[_] = &[("401 Unauthorized", r#"{"message":"Unauthorized"}"#)];
    let stand = Stand::of(&["o/a", "o/b"], &[("/api/user", refused)]).await;
    stand.kept.lock().unwrap().values_mut().for_each(|repository| repository["timeout"] = json!(90));
    let told = stand.settled(&["o/a", "o/b"]).await;
    let [told] = &told[..] else { panic!("{told:#?}") };
    assert!(told.contains("Drone does not take the token (401: Unauthorized)") && told.contains(FILE), "{told}");
    assert_eq!(stand.server.requests().len(), 1);
}

/// As Woodpecker does of a public repository: it is shown to anybody.
#[tokio::test]
async fn a_token_that_is_refused_on_the_way_hides_no_other_warning() {
    let stand = Stand::of(&["o/a"], &[("o/a", &[EMPTY, ("401 Unauthorized", "{}")])]).await;
    let told = stand.settled(&["o/none", "o/a"]).await;
    let [unknown, refused] = &told[..] else { panic!("{told:#?}") };
    assert!(unknown.contains("of o/none are not set") && refused.contains("does not take the token"), "{told:#?}");
}

#[test]
fn what_was_not_come_to_is_counted() {
    let told = told(&["o/a", "o/b", "o/c"], vec![Some(Ok(())), None, None], Path::new(FILE));
    assert_eq!(told, ["the builds' settings of 2 of 3 repositories were not come to in time; the next run goes on"]);
}

#[tokio::test]
async fn a_runner_whose_secret_the_server_refuses_is_told() {
    let refuses = async |status: &'static str| {
        let server = Server::answering(Some(Shown::named("*.example.org")), move |_| say(status, "")).await;
        let certificate = Wanted { chain: server.chain.clone(), warn_days: 0, fail_days: 0 };
        let target = Target::https(server.address, HOST, Some(certificate));
        let secret = "shared-horse".to_owned().into();
        let refuses = refuses_runner(&target, BuildEngine::Drone.ci(), &secret).await;
        assert!(!refuses_runner(&target, BuildEngine::Woodpecker.ci(), &secret).await, "nobody is asked");
        let [asked] = &server.requests()[..] else { panic!("{:#?}", server.requests()) };
        assert!(asked.starts_with(&format!("{HOST} POST /rpc/v2/ping ")), "{asked}");
        assert!(asked.contains("x-drone-token: shared-horse\r\n"), "{asked}");
        refuses
    };
    assert!(refuses("401 Unauthorized").await);
    for other in ["200 OK", "403 Forbidden", "404 Not Found", "503 Service Unavailable"] {
        assert!(!refuses(other).await, "{other}");
    }
    assert!(no_runner(BuildEngine::Drone.ci()).contains("secrets.rpc_secret"));
}

#[tokio::test]
async fn without_a_proxy_or_a_token_the_settings_are_not_asked_for_and_it_is_told() {
    let config = |more: &str| {
        let text = format!(
            "base_domain = \"example.org\"\n{more}[drone]\nrecipe = {{ url = \"https://r.org/d\" }}\nsecrets = {{ rpc_secret = \
             \"/nonexistent/rpc\", client_secret = \"/nonexistent/client\" }}\ngitea = {{ server = \"https://git.example.net\", \
             client_id = \"id\" }}\nbuilds = {{ timeout_minutes = 90, repositories = [\"o/a\"], token = \
             \"/nonexistent/token\" }}\n"
        );
        crate::config::parse("config.toml", &text).unwrap()
    };
    let told = async |declared: Declared| {
        let store = Store::for_reading(Path::new("/nonexistent"));
        let app = declared.app("drone").unwrap();
        let crate::config::Special::Drone(drone) = &app.special else { panic!("no drone") };
        let builds = drone.builds.as_ref().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        settle(&declared, &store, app, drone.engine.ci(), builds, Patience { waits: &AT_ONCE, until }).await.join("\n")
    };
    assert!(told(config("")).await.contains("no [proxy] is declared, so nobody serves drone.example.org"));
    let missing = told_of_token(config("").app("drone").unwrap()).unwrap();
    assert!(missing.contains("/nonexistent/token (builds.token) cannot be read"), "`check` tells it: {missing}");
    let proxy = "[proxy]\nrecipe = { url = \"https://r.org/p\" }\n";
    assert!(told(config(proxy)).await.contains("proxy is not installed: `evenkeel proxy`"));
}
