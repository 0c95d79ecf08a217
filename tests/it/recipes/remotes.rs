//! Remotes that are slow, silent, hostile, or that want to know who asks.

use std::time::Duration;

use evenkeel::host::recipes::{Bounds, Freshness, Mirror, Recipes};

use super::server::{Answer, Server};
use super::{World, today, versions, walk};

const CREDENTIALS: &str = "robot:s3cret\n";
/// Base64 of them.
const HEADER: &str = "Basic cm9ib3Q6czNjcmV0";

/// A world whose remote is served over HTTP, and a bound of time that a silent remote soon reaches.
struct Served {
    world: World,
    server: Server,
    bounds: Bounds,
}

impl Served {
    async fn new() -> Self {
        let world = World::with_versions(&["1.0.0+1"]);
        let server = Server::start(world.dir.path()).await;
        Self { world, server, bounds: Bounds::default() }
    }

    fn impatient(mut self) -> Self {
        self.bounds.listing = Duration::from_secs(2);
        self.bounds.fetch = Duration::from_secs(2);
        self
    }

    fn mirror(&self) -> Mirror {
        self.recipes().mirror(&self.server.url("wiki"), None)
    }

    fn recipes(&self) -> Recipes {
        Recipes::new(self.world.dir.path().join("state")).within(self.bounds.clone())
    }

    fn with_credentials(&self, text: &str) -> Mirror {
        let file = self.world.dir.path().join("credentials");
        std::fs::write(&file, text).unwrap();
        self.recipes().mirror(&self.server.url("wiki"), Some(&file))
    }

    /// Why nothing could be fetched, where there is a mirror and where there is none.
    async fn refusals(&self, answer: Answer) -> [String; 2] {
        self.server.answers(answer.clone());
        let without = format!("{:#}", self.mirror().fetch(today()).await.unwrap_err());
        assert!(without.contains("there is no mirror to go by") && without.contains(&self.server.origin), "{without}");
        self.server.answers(Answer::Git);
        assert_eq!(self.mirror().fetch(today()).await.unwrap(), Freshness::Fresh);
        self.server.answers(answer);
        let Freshness::Stale { why } = self.mirror().fetch(today()).await.unwrap() else { panic!("fresh") };
        assert_eq!(versions(&self.mirror()).await, ["1.0.0+1"]);
        for told in [&why, &without] {
            assert!(told.contains("check the address, the network and the credentials"), "{told}");
            assert!(!told.contains(char::is_control), "{told:?}");
        }
        [why, without]
    }
}

#[tokio::test]
async fn credentials_open_a_remote_that_demands_them_and_stay_nowhere() {
    let served = Served::new().await;
    served.server.answers(Answer::GitFor(HEADER));
    for text in [CREDENTIALS, "robot:s3cret", "robot:s3cret\r\n"] {
        assert_eq!(served.with_credentials(text).fetch(today()).await.unwrap(), Freshness::Fresh);
    }
    assert!(served.server.asked().iter().all(|asked| asked.authorization.as_deref() == Some(HEADER)));
    for file in walk(&served.world.dir.path().join("state")) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("s3cret") && !text.contains("cm9ib3Q6"), "{}", file.display());
    }
}

#[tokio::test]
async fn who_may_not_read_is_told_and_the_secret_is_not() {
    let served = Served::new().await;
    for (answer, told) in [
        (Answer::GitFor("Basic other"), "it does not take the credentials of /"),
        (Answer::Status(403), "error: 403); check the address, the network and the credentials"),
        (Answer::Status(500), "error: 500"),
    ] {
        served.server.answers(answer);
        let error = format!("{:#}", served.with_credentials(CREDENTIALS).fetch(today()).await.unwrap_err());
        assert!(error.contains(told), "{error}");
        assert!(!error.contains("s3cret") && !error.contains("cm9ib3Q6"), "{error}");
    }
    served.server.answers(Answer::GitFor(HEADER));
    let error = format!("{:#}", served.mirror().fetch(today()).await.unwrap_err());
    assert!(error.contains("name a file with one line `user:token` as `credentials`"), "{error}");
}

#[tokio::test]
async fn credentials_follow_no_redirect() {
    let served = Served::new().await;
    let elsewhere = Server::start(served.world.dir.path()).await;
    // Another name for the same address is another host.
    let other = elsewhere.origin.replace("127.0.0.1", "localhost");
    served.server.answers(Answer::Redirect(other.clone()));
    let error = format!("{:#}", served.with_credentials(CREDENTIALS).fetch(today()).await.unwrap_err());
    assert!(error.contains("302") && error.contains("credentials follow no redirect"), "{error}");
    assert!(elsewhere.asked().is_empty());
    assert_eq!(served.mirror().fetch(today()).await.unwrap(), Freshness::Fresh);
    let asked = elsewhere.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.authorization.is_none()), "{asked:?}");
}

#[tokio::test]
async fn a_remote_that_redirects_for_ever_is_left() {
    let served = Served::new().await;
    let origin = served.server.origin.clone();
    let told = served.refusals(Answer::Redirect(origin)).await;
    assert!(told.iter().all(|told| told.contains("redirects")), "{told:?}");
}

#[tokio::test]
async fn a_remote_that_talks_nonsense_is_left() {
    for answer in [Answer::Garbage, Answer::Status(404)] {
        Served::new().await.refusals(answer).await;
    }
}

#[tokio::test]
async fn a_remote_that_says_nothing_is_left_after_a_while() {
    let served = Served::new().await.impatient();
    let told = served.refusals(Answer::First(0)).await;
    assert!(told.iter().all(|told| told.contains("git ls-remote had not ended after 2s")), "{told:?}");
}

#[tokio::test]
async fn a_remote_that_drips_is_left_after_a_while() {
    let served = Served::new().await.impatient();
    let told = served.refusals(Answer::Drops).await;
    assert!(told.iter().all(|told| told.contains("ls-remote")), "{told:?}");
}

#[tokio::test]
async fn nobody_listening_is_told() {
    let served = Served::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/wiki", listener.local_addr().unwrap());
    drop(listener);
    let error = format!("{:#}", served.recipes().mirror(&url, None).fetch(today()).await.unwrap_err());
    assert!(error.contains(&url) && error.contains("Failed to connect"), "{error}");
}

#[tokio::test]
async fn a_pack_that_stops_in_its_middle_leaves_nothing() {
    let served = Served::new().await.impatient();
    assert_eq!(served.mirror().fetch(today()).await.unwrap(), Freshness::Fresh);
    let packs = || {
        let files = walk(&served.world.in_recipes(".git").join("objects")).into_iter();
        files.map(|file| file.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = packs();
    std::fs::write(served.world.remote().join("noise"), noise(100_000)).unwrap();
    served.world.commit("newer");
    served.world.git(&["tag", "1.1.0+1"]);
    served.server.answers_fetches(Answer::First(50_000));
    let Freshness::Stale { why } = served.mirror().fetch(today()).await.unwrap() else { panic!("fresh") };
    assert!(why.contains("git fetch had not ended after 2s"), "{why}");
    assert_eq!(packs(), before);
    assert_eq!(versions(&served.mirror()).await, ["1.0.0+1"]);
    served.server.answers(Answer::Git);
    assert_eq!(served.mirror().fetch(today()).await.unwrap(), Freshness::Fresh);
    assert_eq!(versions(&served.mirror()).await, ["1.0.0+1", "1.1.0+1"]);
}

#[tokio::test]
async fn nothing_new_costs_one_look_at_the_remote() {
    let served = Served::new().await;
    served.mirror().fetch(today()).await.unwrap();
    served.server.asked();
    assert_eq!(served.mirror().fetch(today()).await.unwrap(), Freshness::Fresh);
    let asked = served.server.asked();
    assert_eq!(asked.iter().map(|asked| asked.method.as_str()).collect::<Vec<_>>(), ["GET", "POST"]);
    assert!(asked[1].path.ends_with("git-upload-pack"), "{asked:?}");
}

/// Bytes that no packing makes fewer.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(next).collect()
}
