//! A registry that gives no image: what is told, and that nothing is changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use evenkeel::host::engine::Engine;
use evenkeel::host::images::refusal::Why;
use evenkeel::host::images::{ImageError, Images, Patience};

use super::front::{Front, Mood};
use super::server::{PASSWORD, Registry, free_port};
use super::{APP, Customer};
use crate::engine::private::PrivateEngine;

/// A first install that finds no image: an error that begins so, and no object of the stack.
#[track_caller]
fn is_refused(customer: &Customer, image: &str, told: &str) -> String {
    let (said, _) = customer.writes_nothing(1);
    let beginning =
        format!("{APP}: error: image {image} is not on this machine, and its registry does not give it: {told}");
    assert!(said.out.starts_with(&beginning), "{said:#?}\nwanted: {beginning}");
    let observed = customer.world.observe(APP);
    assert!(observed.services.is_empty() && observed.secrets.keys().all(|name| !name.starts_with(&customer.service())));
    assert!(!customer.world.state_dir().join(APP).join("state.json").exists());
    said.out
}

#[test]
fn a_registry_that_wants_a_login_is_told_without_one_and_with_a_wrong_one() {
    let registry = Registry::start();
    let (image, name) = (registry.image("locked:1"), registry.name.clone());
    registry.push("locked:1");
    let mut customer = Customer::of(&image);

    let none =
        is_refused(&customer, &image, &format!("{name} wants a login, or has no such image; `registry_auth` has no"));
    assert!(none.contains("no basic auth credentials") || none.contains("unauthorized"), "{none}");
    customer.log_in("elsewhere.example.org", PASSWORD);
    is_refused(&customer, &image, &format!("{name} wants a login, or has no such image; `registry_auth` has no"));
    customer.log_in(&name, "wrong-horse-battery");
    let wrong = is_refused(&customer, &image, &format!("{name} does not take the login of `registry_auth`; mend it"));
    assert!(wrong.contains("unauthorized"), "{wrong}");

    customer.log_in(&name, PASSWORD);
    customer.applies();
}

#[test]
fn no_word_of_a_password_is_told_or_kept() {
    let registry = Registry::start();
    let image = registry.image("secretive:1");
    registry.push("secretive:1");
    let mut customer = Customer::of(&image);
    // As a unit's run, which leaves an alert with what went wrong.
    customer.world.environment.insert("INVOCATION_ID".to_owned(), "5f6cbd4c4f404c06a0a5c7e1ffb4d1e4".to_owned());
    let secrets = |password: &str| {
        use base64::Engine as _;
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{}:{password}", super::USER));
        [password.to_owned(), login]
    };

    for (password, code) in [("wrong-horse-battery", 1), (PASSWORD, 0)] {
        customer.log_in(&registry.name, password);
        let watch = Watch::over(secrets(password));
        let (said, _) = customer.run_with(&["-vv", "app", APP]);
        assert_eq!(said.code, code, "{said:?}");
        assert_eq!(watch.seen(), Vec::<String>::new());
        assert!(!said.err.is_empty(), "nothing was logged");
        for secret in secrets(password) {
            assert!(!format!("{}{}", said.out, said.err).contains(&secret), "{said:#?}");
            assert_eq!(files_with(&customer.world.state_dir(), &secret), Vec::<String>::new());
        }
    }
    for evidence in ["history.jsonl", "alerts"] {
        let told = files_with(&customer.world.state_dir().join(evidence), "does not take the login");
        assert_eq!(told.len(), 1, "{evidence}: it is told there why it failed");
    }
    for secret in secrets(PASSWORD) {
        assert!(!customer.spec().to_string().contains(&secret));
    }
}

/// Looks at the command lines of all processes again and again.
struct Watch {
    ended: Arc<AtomicBool>,
    seen: JoinHandle<Vec<String>>,
}

impl Watch {
    fn over(secrets: [String; 2]) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let is_ended = Arc::clone(&ended);
        let seen = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !is_ended.load(Ordering::Relaxed) {
                let lines = command_lines().into_iter();
                seen.extend(lines.filter(|line| secrets.iter().any(|secret| line.contains(secret))));
                std::thread::sleep(Duration::from_millis(2));
            }
            seen
        });
        Self { ended, seen }
    }

    fn seen(self) -> Vec<String> {
        self.ended.store(true, Ordering::Relaxed);
        self.seen.join().unwrap()
    }
}

fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let lines = processes.filter_map(|process| std::fs::read(process.join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[test]
fn a_login_that_has_expired_is_told_and_the_new_one_is_taken() {
    let registry = Registry::start();
    registry.push("aging:1");
    let front = Front::of(&registry.name, Mood::Expired);
    let image = format!("{}/aging:1", front.name);
    let mut customer = Customer::of(&image);
    customer.log_in_by(&format!("# a line for each\n{} {}:{PASSWORD}\n", front.name, super::USER));

    let told = format!("the login of `registry_auth` for {} has expired; put a new one there", front.name);
    let said = is_refused(&customer, &image, &told);

    assert!(said.contains("Your authorization token has expired"), "{said}");
    front.set(Mood::Good);
    customer.applies();
}

/// Also of a file itself.
fn files_with(dir: &std::path::Path, text: &str) -> Vec<String> {
    if dir.is_file() {
        return Vec::from_iter(std::fs::read_to_string(dir).unwrap().contains(text).then(|| dir.display().to_string()));
    }
    let holds = |path: &std::path::Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(text);
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_with(&path, text),
            false => Vec::from_iter(holds(&path).then(|| path.display().to_string())),
        })
        .collect()
}

#[test]
fn an_image_and_a_repository_that_are_not_there_are_told() {
    let registry = Registry::start();
    registry.push("there:1");

    for image in [registry.image("there:2"), registry.image("nowhere:1")] {
        let customer = Customer::of(&image).logged_in(&registry.name);
        is_refused(&customer, &image, &format!("{} has no such image; is the name right", registry.name));
    }
}

#[test]
fn an_image_for_other_machines_is_told() {
    let registry = Registry::start();
    let pushed = registry.push("foreign:amd64");
    registry.put_list("foreign", "1", &pushed, "s390x");
    let image = registry.image("foreign:1");
    let customer = Customer::of(&image).logged_in(&registry.name);

    let (said, _) = customer.writes_nothing(1);

    let told = format!("its registry does not give it: {} has it for other kinds of machine only; name", registry.name);
    assert!(said.out.contains(&told) && said.out.contains("no matching manifest for linux/amd64"), "{said:?}");
}

#[test]
fn a_rate_limit_is_told_with_its_end() {
    let registry = Registry::start();
    registry.push("popular:1");
    let front = Front::of(&registry.name, Mood::Limited);
    let image = format!("{}/popular:1", front.name);
    let mut customer = Customer::of(&image).logged_in(&front.name);
    let authorities = PrivateEngine::shared().authorities().display().to_string();
    customer.world.environment.insert("SSL_CERT_FILE".to_owned(), authorities);

    let earliest = jiff::Timestamp::now() + Duration::from_secs(1800 - 1);
    let said = is_refused(&customer, &image, &format!("{} gives no more images until 2", front.name));
    let latest = jiff::Timestamp::now() + Duration::from_secs(1800 + 1);

    let until: jiff::Timestamp =
        said.split_once("until ").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    assert!(earliest <= until && until <= latest, "{said}");
    assert!(
        said.contains("(rate limit); run this again then (Docker says: ") && said.contains("toomanyrequests"),
        "{said}"
    );
    front.set(Mood::Good);
    customer.applies();
}

#[test]
fn a_registry_that_is_not_there_is_told() {
    let address = PrivateEngine::shared().host_address();
    let closed = format!("{address}:{}", free_port(&address));

    for (name, words) in [(closed.as_str(), "connection refused"), ("registry.invalid", "lookup registry.invalid")] {
        let image = format!("{name}/app:1");
        let customer = Customer::of(&image);
        let said = is_refused(&customer, &image, &format!("{name} does not answer; is it up"));
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_pull_that_breaks_off_changes_nothing_and_can_be_made_again() {
    let registry = Registry::start();
    let pushed = registry.push("half:1");
    let front = Front::of(&registry.name, Mood::BreaksOff);
    let image = format!("{}/half:1", front.name);
    let customer = Customer::of(&image).logged_in(&front.name);

    let (said, _) = customer.writes_nothing(1);

    let told = format!("image {image}@{} is not on this machine", pushed.digest);
    assert!(said.out.contains(&told) && said.out.contains(&format!("{} does not answer", front.name)), "{said:?}");
    assert!(front.requests().iter().any(|request| request.contains("/blobs/")), "{:?}", front.requests());
    assert!(customer.world.observe(APP).services.is_empty());
    front.set(Mood::Good);
    customer.applies();
    assert_eq!(customer.running_image(), pushed.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_never_answers_is_not_waited_for_for_ever() {
    let front = tokio::task::spawn_blocking(|| Front::of("127.0.0.1:9", Mood::Silent)).await.unwrap();
    let patience = Patience { lookup: Duration::from_secs(1), pull: Duration::from_secs(1) };
    let engine = Engine::connect(PrivateEngine::shared().endpoint()).await.unwrap();
    let images = Images::new(engine).patient(patience);
    let image = format!("{}/app:1", front.name);

    let begun = Instant::now();
    let errors =
        [images.resolve(&image, None).await.unwrap_err(), images.pull(&image, None, |_| ()).await.unwrap_err()];

    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(!front.requests().is_empty());
    for error in errors {
        let ImageError::Unavailable { refusal, .. } = &error else { panic!("{error}") };
        assert_eq!((refusal.why, refusal.registry.as_str()), (Why::Silent, front.name.as_str()), "{error}");
        assert!(error.to_string().contains("no answer within 1 s"), "{error}");
    }
}
