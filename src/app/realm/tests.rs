mod host;

use std::cell::Cell;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use jiff::ToSpan as _;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::task::{JoinSet, LocalSet};

use super::*;
use crate::config;
use crate::model::app::Kind;
use crate::model::state::{Attempt, State};
use host::{DOMAIN, Host, Kept, PASSWORD};

const LONG: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    "2026-11-22T04:00:00Z".parse().unwrap()
}

fn run(id: &str) -> Run {
    Run { parent: "wiki".parse().unwrap(), id: id.parse().unwrap() }
}

fn declared() -> Declared {
    config::parse("config.toml", "base_domain = \"example.org\"\n").unwrap()
}

fn away() -> KeycloakError {
    KeycloakError::Away("nobody answers".to_owned())
}

fn busy() -> KeycloakError {
    KeycloakError::Refused { act: "make it".to_owned(), status: 500, said: String::new() }
}

/// What is told when these answers come one after the other, and the last one for ever; and how often was asked.
async fn told(answers: &[Result<u8, KeycloakError>]) -> (Result<u8, KeycloakError>, usize) {
    let declared = declared();
    let asked = Cell::new(0);
    let realms = Realms::within(&declared, Duration::from_secs(60));
    let told = realms.told(async || {
        let answer = answers[asked.get().min(answers.len() - 1)].clone();
        asked.set(asked.get() + 1);
        answer
    });
    (told.await, asked.get())
}

#[tokio::test(start_paused = true)]
async fn a_keycloak_that_comes_back_is_waited_for() {
    assert_eq!(told(&[Err(away()), Err(busy()), Err(away()), Ok(1)]).await, (Ok(1), 4));
}

#[tokio::test(start_paused = true)]
async fn one_that_stays_away_is_cold_when_the_time_is_over() {
    let began = Instant::now();
    let (told, asked) = told(&[Err(busy()), Err(away())]).await;
    assert_eq!(told, Err(away()));
    assert!(began.elapsed() <= Duration::from_secs(61) && (10..200).contains(&asked), "{:?} {asked}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_will_not_change_is_not_asked_twice() {
    let refused = KeycloakError::NotAdmin { user: "admin".to_owned(), said: String::new() };
    assert_eq!(told(&[Err(refused.clone()), Ok(1)]).await, (Err(refused), 1));
}

#[test]
fn six_digits_of_another_run_are_no_reason_to_share_its_realm() {
    let run = |id: &str| Run { parent: "wiki".parse().unwrap(), id: id.parse().unwrap() };
    let of = |run: &Run| run.mark(Timestamp::UNIX_EPOCH, &mut |salt| salt.fill(1));
    let listed = |mark: &Mark| Listed { name: run("1").realm().to_string(), attributes: mark.attributes() };
    assert_eq!(mark_of(&listed(&of(&run("1"))), &run("1")).unwrap(), of(&run("1")));
    let other = mark_of(&listed(&of(&run("2"))), &run("1")).unwrap_err().to_string();
    assert!(other.contains("another run (2)"), "{other}");
    let foreign = Listed { name: "wiki-abcdef".to_owned(), attributes: [].into() };
    assert!(mark_of(&foreign, &run("1")).unwrap_err().to_string().contains("was not made by"));
}

#[test]
fn a_realm_goes_by_its_name_or_as_the_runs_own() {
    let run = |id: &str| Run { parent: "wiki".parse().unwrap(), id: id.parse().unwrap() };
    let (ours, other) = (run("1"), run("2"));
    let elsewhere = other.realm();
    let attributes = ours.mark(Timestamp::UNIX_EPOCH, &mut |salt| salt.fill(1)).attributes();
    let name = ours.realm();
    let listed = |attributes| Listed { name: name.to_string(), attributes };
    assert!(may_go(&listed(attributes.clone()), &name, None).is_ok());
    assert!(may_go(&listed(attributes.clone()), &name, Some(&ours)).is_ok());
    let why = |attributes, name, of| may_go(&listed(attributes), name, of).unwrap_err().to_string();
    assert!(why(attributes.clone(), &name, Some(&other)).contains("another run (1)"));
    assert!(why(attributes.clone(), &elsewhere, None).contains("was not made by"));
    assert!(why([].into(), &name, None).contains("was not made by"));
    let damaged = attributes.into_iter().skip(1).collect();
    assert!(why(damaged, &name, None).contains("missing or damaged"));
}

/// As long as somebody is handed it again and again, it is in use.
#[tokio::test]
async fn a_realm_that_is_handed_out_again_is_as_young_as_a_new_one() {
    let host = Host::new().await;
    let realms = host.realms(LONG);
    let (one, two) = (run("1"), run("2"));
    let first = realms.create(&one, now).await.unwrap();
    realms.create(&two, now).await.unwrap();
    host.kept.lock().unwrap().realms.get_mut(one.realm().as_str()).unwrap()["attributes"]["acme"] = "x".into();
    let before = host.realm(&one.realm()).unwrap();

    let later = then(3);
    let again = realms.create(&one, || then(3)).await.unwrap();
    assert_eq!(again.expose_secret(), first.expose_secret(), "salt and digest stay");
    let mut after = host.realm(&one.realm()).unwrap();
    assert_eq!(after["attributes"]["evenkeel.created"], later.to_string());
    after["attributes"]["evenkeel.created"] = now().to_string().into();
    assert_eq!(after, before, "nothing else of the realm is changed");

    let reaped = realms.reap(SignedDuration::from_hours(2), later).await.unwrap();
    assert_eq!(reaped.gone, [(two.realm(), SignedDuration::from_hours(3))]);
    assert!(host.realm(&one.realm()).is_some());
}

fn two_hours() -> SignedDuration {
    SignedDuration::from_hours(2)
}

fn then(hours: i64) -> Timestamp {
    now() + hours.hours()
}

/// A run may be handed a realm between the listing of thousands and its own turn.
#[tokio::test]
async fn a_realm_that_is_handed_out_after_it_was_listed_stays() {
    let name = run("1").realm();
    let host = Host::with(move |kept, asked| {
        if asked == format!("GET /admin/realms/{name}") && kept.asked_for("GET /admin/realms?") > 0 {
            kept.realms.get_mut(name.as_str()).unwrap()["attributes"]["evenkeel.created"] = then(3).to_string().into();
        }
        None
    })
    .await;
    let realms = host.realms(LONG);
    for id in ["1", "2"] {
        realms.create(&run(id), now).await.unwrap();
    }
    let reaped = realms.reap(two_hours(), then(3)).await.unwrap();
    assert_eq!(reaped.gone, [(run("2").realm(), SignedDuration::from_hours(3))]);
    assert!(reaped.failed.is_empty() && host.realm(&run("1").realm()).is_some(), "{reaped:?}");
}

#[tokio::test]
async fn a_removal_without_an_answer_is_not_repeated_on_a_realm_that_is_in_use_since() {
    let name = run("1").realm();
    let host = Host::with(move |kept, asked| {
        let is_first = asked.starts_with("DELETE") && kept.asked_for("DELETE") == 1;
        is_first.then(|| {
            kept.realms.get_mut(name.as_str()).unwrap()["attributes"]["evenkeel.created"] = then(3).to_string().into();
            (503, serde_json::Value::Null)
        })
    })
    .await;
    let realms = host.realms(LONG);
    realms.create(&run("1"), now).await.unwrap();
    let reaped = realms.reap(two_hours(), then(3)).await.unwrap();
    assert!(reaped.gone.is_empty() && host.realm(&run("1").realm()).is_some(), "{reaped:?}");
    assert_eq!(host.kept.lock().unwrap().asked_for("DELETE"), 1);
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_waited_for_and_none_but_the_kept_one_is_trusted() {
    let host = Host::new().await;
    let (name, realms) = (run("1").realm(), host.realms(LONG));
    let renewed = host.show_another();
    let renew = async {
        sleep(Duration::from_millis(400)).await;
        assert_eq!(host.asked(), [""; 0], "nothing is sent to another certificate");
        host.put_secret("proxy", "ssl_cert_v1", &renewed);
    };
    let (deleted, ()) = tokio::join!(realms.delete(&name, None), renew);
    assert!(!deleted.unwrap() && !host.asked().is_empty());
}

#[tokio::test]
async fn another_certificate_is_told_with_the_way_out_when_the_time_is_over() {
    let host = Host::new().await;
    host.show_another();
    let realms = host.realms(Duration::from_millis(700));
    let error = realms.delete(&run("1").realm(), None).await.unwrap_err().to_string();
    for words in ["no password may be sent there", "another certificate than the declared one", "`evenkeel proxy`"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(host.asked(), [""; 0]);
}

/// On this machine itself, too: any process may listen there.
#[tokio::test]
async fn no_password_is_sent_while_the_declared_certificate_is_not_known() {
    let spoiled: [(&str, &str, &str); 4] = [
        ("proxy/state.json", "{ half a state", "state.json"),
        ("proxy/secrets/ssl_cert_v1", "", "secrets/ssl_cert_v1 is missing or holds none"),
        ("proxy/secrets/ssl_cert_v1", "remove", "secrets/ssl_cert_v1 is missing or holds none"),
        ("proxy/state.json", "without", "was not given the declared certificate yet"),
    ];
    for (file, text, words) in spoiled {
        let host = Host::new().await;
        let path = host.file(file);
        match text {
            "remove" => fs::remove_file(&path).unwrap(),
            "without" => {
                let state = fs::read_to_string(&path).unwrap().replace(r#""key":"ssl_cert""#, r#""key":"other""#);
                fs::write(&path, state).unwrap();
            }
            text => fs::write(&path, text).unwrap(),
        }
        let error = host.realms(LONG).delete(&run("1").realm(), None).await.unwrap_err();
        assert!(matches!(error, RealmError::Failed(_)) && error.to_string().contains(words), "{words}: {error}");
        assert_eq!(host.asked(), [""; 0]);
    }
}

#[tokio::test]
async fn without_a_proxy_it_is_cold() {
    let host = Host::new().await;
    let mut declared = host.declared.clone();
    declared.apps.retain(|app| app.kind != Kind::Proxy);
    let cold = |told: Result<bool, RealmError>, words: &str| {
        let error = told.unwrap_err();
        assert!(matches!(error, RealmError::Cold(_)) && error.to_string().contains(words), "{words}: {error}");
    };
    let realms = Realms { declared: &declared, ..host.realms(LONG) };
    cold(realms.delete(&run("1").realm(), None).await, "the configuration has no [proxy]");
    fs::remove_file(host.file("proxy/state.json")).unwrap();
    cold(host.realms(LONG).delete(&run("1").realm(), None).await, "proxy is not installed: `evenkeel proxy` does it");
}

#[tokio::test]
async fn a_reaping_that_runs_out_of_time_says_how_many_are_left_and_is_not_cold() {
    let host = Host::with(|kept, asked| {
        let is_late = asked.starts_with("DELETE") && kept.asked_for("DELETE") > 1;
        is_late.then_some((503, serde_json::Value::Null))
    })
    .await;
    for id in ["1", "2", "3"] {
        host.realms(LONG).create(&run(id), now).await.unwrap();
    }
    let realms = host.realms(Duration::from_millis(900));
    let reaped = realms.reap(two_hours(), then(3)).await.unwrap();
    assert_eq!((reaped.gone.len(), reaped.failed.len()), (1, 0), "{reaped:?}");
    let told = reaped.cut_short.unwrap();
    assert!(told.starts_with("2 older realms are left: ") && told.contains("--within"), "{told}");
    let error = host.realms(Duration::from_millis(500)).reap(two_hours(), then(3)).await.unwrap_err();
    assert!(matches!(error, RealmError::Cold(_)), "none was removed: {error}");
}

/// An app compares the issuer by its letters.
#[tokio::test]
async fn a_realm_that_is_issued_under_another_name_is_not_handed_out() {
    let name = run("1").realm();
    let right = format!("https://{DOMAIN}/realms/{name}");
    let wrong = [
        right.replace(DOMAIN, "auth.example.org"),
        right.replace("https:", "http:"),
        right.replace(DOMAIN, &format!("{DOMAIN}:8443")),
        right.replace(DOMAIN, &format!("admin:{PASSWORD}@{DOMAIN}")) + "?k=" + PASSWORD,
        "keycloak".to_owned(),
    ];
    for issuer in wrong {
        let found = issuer.clone();
        let is_asked = |asked: &str| asked.contains("openid-configuration");
        let say = move |_: &mut Kept, asked: &str| is_asked(asked).then(|| (200, json!({ "issuer": found })));
        let host = Host::with(say).await;
        let told = host.realms(LONG).create(&run("1"), now).await;
        let error = told.map(|_| ()).unwrap_err();
        let words = error.to_string();
        assert!(matches!(error, RealmError::Failed(_)) && words.contains("KC_HOSTNAME"), "{issuer}: {words}");
        assert!(words.contains(&right) && !words.contains(PASSWORD), "{issuer}: {words}");
        let is_shown = words.contains("auth.example.org") || !issuer.contains("auth.example.org");
        assert!(is_shown, "{issuer}: {words}");
    }
}

/// Once at each question of a first and of a second `create`.
#[tokio::test]
async fn a_realm_that_is_removed_while_it_is_made_or_completed_is_made_again() {
    let (here, mut all) = (LocalSet::new(), JoinSet::new());
    for at in 1..13 {
        all.spawn_local_on(is_made_again(false, at), &here);
        all.spawn_local_on(is_made_again(true, at), &here);
    }
    let done = async {
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
    };
    here.run_until(done).await;
}

async fn is_made_again(is_there: bool, at: usize) {
    let begun = Arc::new(AtomicBool::new(!is_there));
    let (is_counted, count) = (Arc::clone(&begun), AtomicUsize::new(0));
    let host = Host::with(move |kept, _| {
        if is_counted.load(Relaxed) && count.fetch_add(1, Relaxed) + 1 == at {
            kept.realms.clear();
        }
        None
    })
    .await;
    let realms = host.realms(LONG);
    if is_there {
        realms.create(&run("1"), now).await.unwrap();
        begun.store(true, Relaxed);
    }
    let handed = realms.create(&run("1"), now).await;
    let handed = handed.unwrap_or_else(|error| panic!("there {is_there}, removed at question {at}: {error}"));
    assert!(handed.expose_secret().contains("client_secret"));
}

#[tokio::test]
async fn a_realm_that_is_removed_again_and_again_is_given_up_in_time() {
    let host = Host::with(|kept, asked| {
        if asked.ends_with("/clients") {
            kept.realms.clear();
        }
        None
    })
    .await;
    let began = Instant::now();
    let told = host.realms(Duration::from_millis(1200)).create(&run("1"), now).await;
    assert!(told.is_err() && began.elapsed() < Duration::from_secs(20));
    assert!(host.kept.lock().unwrap().asked_for("POST /admin/realms") > 2, "it was tried again");
}

#[tokio::test]
async fn a_keycloak_that_only_fails_until_the_time_is_over_is_cold() {
    for status in [408, 429, 500, 501, 503] {
        let host = Host::with(move |_, _| Some((status, json!({ "error": "unknown_error" })))).await;
        let told = host.realms(Duration::from_millis(300)).delete(&run("1").realm(), None).await;
        let error = told.unwrap_err();
        assert!(matches!(error, RealmError::Cold(_)), "{status}: {error}");
    }
}

/// If it is undone, the realm would be back.
#[tokio::test]
async fn nothing_is_removed_while_an_upgrade_is_under_way() {
    let host = Host::new().await;
    host.realms(LONG).create(&run("1"), now).await.unwrap();
    let name = run("1").realm();
    host.kept.lock().unwrap().upgrade(true);
    let realms = host.realms(Duration::from_millis(100));
    let cold = |error: RealmError| {
        assert!(
            matches!(error, RealmError::Cold(_)) && error.to_string().contains("upgrade of warm-keycloak"),
            "{error}"
        );
    };
    cold(realms.delete(&name, None).await.unwrap_err());
    cold(realms.reap(two_hours(), then(3)).await.unwrap_err());
    assert!(host.realm(&name).is_some());

    let realms = host.realms(LONG);
    let end = async {
        sleep(Duration::from_millis(100)).await;
        assert!(host.realm(&name).is_some());
        host.kept.lock().unwrap().upgrade(false);
    };
    let (deleted, ()) = tokio::join!(realms.delete(&name, None), end);
    assert!(deleted.unwrap() && host.realm(&name).is_none());
}

/// The upgrade's snapshot may have been taken before it was done.
#[tokio::test]
async fn what_was_done_while_an_upgrade_began_is_done_again_after_it() {
    let host = Host::new().await;
    let realms = host.realms(LONG);
    let times = Cell::new(0);
    let act = async |_: &Warm<'_>| {
        times.set(times.get() + 1);
        if times.get() == 1 {
            host.kept.lock().unwrap().upgrade(true);
        }
        Ok(times.get())
    };
    let end = async {
        while times.get() == 0 {
            tokio::task::yield_now().await;
        }
        host.kept.lock().unwrap().upgrade(false);
    };
    let (done, ()) = tokio::join!(realms.lastingly(act), end);
    assert_eq!(done.unwrap(), 2);
}

#[tokio::test]
async fn a_first_install_that_is_under_way_is_waited_for_and_one_that_failed_is_not() {
    let host = Host::new().await;
    let name = run("1").realm();
    let change = |change: &dyn Fn(&mut State)| host.kept.lock().unwrap().change_state(change);
    let current = Cell::new(None);
    change(&|state| {
        let release = state.current.take().unwrap();
        let (revision, key, since) = (release.body.revision.clone(), release.key.clone(), release.since.clone());
        state.installing = Some(Attempt { revision, key, since, failed: None });
        current.set(Some(release));
    });
    let cold = host.realms(Duration::from_millis(100)).delete(&name, None).await.unwrap_err();
    assert!(matches!(cold, RealmError::Cold(_)), "{cold}");
    assert!(cold.to_string().contains("first install of warm-keycloak is under way"), "{cold}");

    change(&|state| state.installing.as_mut().unwrap().failed = Some("crashes".to_owned()));
    let cold = host.realms(LONG).delete(&name, None).await.unwrap_err();
    assert!(cold.to_string().contains("first install of warm-keycloak failed"), "{cold}");

    change(&|state| state.installing.as_mut().unwrap().failed = None);
    let realms = host.realms(LONG);
    let end = async {
        sleep(Duration::from_millis(100)).await;
        change(&|state| (state.current, state.installing) = (current.take(), None));
    };
    let (deleted, ()) = tokio::join!(realms.delete(&name, None), end);
    assert!(!deleted.unwrap());
}
