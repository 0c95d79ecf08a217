//! A situation as a value: what is deployed, what somebody does between, what is true then, and what we have to say.

use super::facts::Fact;
use super::place::Place;

/// A process that stays until it is told to end, and then ends well.
pub const STAYS: &str = "trap 'exit 0' TERM; sleep 1000000 & wait";

/// Something done by hand.
pub type Deed = fn(&Place);

pub struct Situation {
    pub name: &'static str,
    /// What runs before; `None` where nothing does.
    pub before: Option<Before>,
    /// What somebody does by hand right before the deploy that is judged.
    pub by_hand: Option<Deed>,
    /// The compose text whose deploy is judged; see [`Place::fill`] for what its braces stand for.
    pub compose: String,
    /// Whether what was asked for then runs, or has done its work.
    pub good: bool,
    /// What the Engine shows of the stack that the Docker CLI deployed.
    pub facts: Vec<Fact>,
    pub ours: Ours,
}

pub struct Before {
    pub compose: String,
    /// By these it is known to have come up.
    pub up: Vec<Fact>,
    /// A deploy after that whose end is not judged, and by which facts it is known to have happened.
    pub then: Option<(String, Vec<Fact>)>,
}

/// What we have to say, and what the Engine then shows of the stack that we deployed.
pub struct Ours {
    pub word: &'static str,
    pub code: i32,
    pub words: Vec<&'static str>,
    pub facts: Vec<Fact>,
    pub gate: &'static str,
}

impl Situation {
    /// Nothing is there, and this is deployed.
    pub fn install(name: &'static str, compose: String) -> Self {
        let ours =
            Ours { word: "applied", code: 0, words: Vec::new(), facts: Vec::new(), gate: r#"stable_for = "1s""# };
        Self { name, before: None, by_hand: None, compose, good: true, facts: Vec::new(), ours }
    }

    /// The first runs as service `app` with mark `old`; then this is deployed.
    pub fn change(name: &'static str, first: String, compose: String) -> Self {
        let before = Before { compose: first, up: vec![Fact::Runs("app", 1, "old")], then: None };
        Self { before: Some(before), ..Self::install(name, compose) }
    }

    /// It runs as service `app` with mark `old`; then it is deployed again.
    pub fn again(name: &'static str, compose: String) -> Self {
        Self::change(name, compose.clone(), compose)
    }

    /// What runs before is known to have come up by these facts instead.
    pub fn once(mut self, up: impl Into<Vec<Fact>>) -> Self {
        self.before.as_mut().expect("a situation with something before").up = up.into();
        self
    }

    /// Between the two this is deployed, which leads to these facts with the Docker CLI.
    pub fn after(mut self, compose: String, facts: impl Into<Vec<Fact>>) -> Self {
        self.before.as_mut().expect("a situation with something before").then = Some((compose, facts.into()));
        self
    }

    pub fn by_hand(mut self, deed: Deed) -> Self {
        self.by_hand = Some(deed);
        self
    }

    /// What was asked for runs, or has done its work, and by these facts it is known.
    pub fn works(mut self, facts: impl Into<Vec<Fact>>) -> Self {
        self.facts = facts.into();
        self.ours.facts.clone_from(&self.facts);
        self
    }

    /// What was asked for does not run, and by these facts it is known.
    pub fn fails(mut self, facts: impl Into<Vec<Fact>>) -> Self {
        self.good = false;
        self.facts = facts.into();
        self
    }

    /// Our word, exit code and what the sentence has to tell.
    pub fn we_say(mut self, word: &'static str, code: i32, words: &[&'static str]) -> Self {
        (self.ours.word, self.ours.code, self.ours.words) = (word, code, words.to_vec());
        self
    }

    /// What our run leaves on the Engine.
    pub fn leaving(mut self, facts: impl Into<Vec<Fact>>) -> Self {
        self.ours.facts = facts.into();
        self
    }

    /// Other keys of our app's gate.
    pub fn gate(mut self, keys: &'static str) -> Self {
        self.ours.gate = keys;
        self
    }
}

/// A stack on the host's own network: without overlays, it comes and goes in half the time.
pub fn stack(services: &[String]) -> String {
    format!("{}networks: {{default: {{external: true, name: host}}}}\n", on_overlay(services))
}

/// A stack on an overlay network of its own.
pub fn on_overlay(services: &[String]) -> String {
    let services: String = services.iter().map(|service| format!("  {service}\n")).collect();
    format!("version: '3.9'\nservices:\n{services}")
}

/// A service of one line, on an image with a shell; `more` are further keys.
pub fn service(name: &str, mark: &str, script: &str, more: &str) -> String {
    of_image("{image}", name, mark, script, more)
}

pub fn of_image(image: &str, name: &str, mark: &str, script: &str, more: &str) -> String {
    let (comma, script) = (if more.is_empty() { "" } else { ", " }, serde_json::json!(script));
    format!(
        "{name}: {{image: '{image}', entrypoint: [sh, -c, {script}], environment: {{MARK: {mark}}}, \
         stop_grace_period: 2s{comma}{more}}}"
    )
}

/// A stack of service `app` alone.
pub fn app(mark: &str, script: &str, more: &str) -> String {
    stack(&[service("app", mark, script, more)])
}
