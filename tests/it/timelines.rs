//! What an Engine said about a stack, look after look, after a write: recorded once, judged again and again.
//!
//! A recording is `tests/fixtures/timelines/<name>.json`, made by `engine::verdict_recording`. A look holds what has
//! changed since the one before: fields of services, tasks and containers, `null` for what is gone. The truth beside
//! it is not ours: how the situation was made to end, and when the Engine's last container started, ended or changed
//! its health.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel::desired::{Desired, DesiredService};
use evenkeel::health::{Rules, Seen, Verdict, Watch};
use evenkeel::model::observed::Observed;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How long tasks have to keep running here: shorter than anything that goes wrong takes to go wrong again.
pub const STABLE: Duration = Duration::from_secs(3);
const KINDS: [&str; 3] = ["services", "tasks", "containers"];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timeline {
    pub name: String,
    pub healthy: bool,
    /// What a bad verdict has to say.
    pub words: Vec<String>,
    /// The last start, end or change of health of a container, in milliseconds after the write.
    pub last_fact: u64,
    pub specs: Vec<Value>,
    /// Service -> its index at the write.
    pub wrote: BTreeMap<String, u64>,
    /// `at`: milliseconds after the write, when the look was done.
    pub looks: Vec<Value>,
}

/// What is known at one moment: kind -> id -> record.
type Known = Map<String, Value>;

fn known(observed: &Observed) -> Known {
    let services = observed.services.values().map(|service| {
        let mut record = json!(service);
        // The old spec decides nothing here, and is as long as the new one.
        record["previous_spec"] = Value::Null;
        (service.name.clone(), record)
    });
    let tasks = observed.tasks.iter().map(|task| (task.id.clone(), json!(task)));
    let containers = observed.containers.iter().map(|container| (container.id.clone(), json!(container)));
    let records = [services.collect(), tasks.collect(), containers.collect::<Map<_, _>>()];
    KINDS.iter().map(ToString::to_string).zip(records.map(Value::Object)).collect()
}

fn observed(known: &Known) -> Observed {
    let records = |kind: &str| known[kind].as_object().unwrap().clone();
    let services = records("services").into_iter();
    Observed {
        services: services.map(|(name, record)| (name, serde_json::from_value(record).unwrap())).collect(),
        tasks: records("tasks").into_values().map(|record| serde_json::from_value(record).unwrap()).collect(),
        containers: records("containers").into_values().map(|record| serde_json::from_value(record).unwrap()).collect(),
        ..Observed::default()
    }
}

/// What has to be laid over `before` to get `after`; nothing where they are the same.
fn change(before: &Known, after: &Known) -> Option<Map<String, Value>> {
    let mut changes = Map::new();
    for kind in KINDS {
        let (old, new) = (before[kind].as_object().unwrap(), after[kind].as_object().unwrap());
        let mut records = Map::new();
        for (id, record) in new {
            let fields = record.as_object().unwrap().iter();
            let changed = fields.filter(|(field, value)| old.get(id).is_none_or(|old| old[*field] != **value));
            let changed: Map<String, Value> = changed.map(|(field, value)| (field.clone(), value.clone())).collect();
            if !changed.is_empty() {
                records.insert(id.clone(), Value::Object(changed));
            }
        }
        records.extend(old.keys().filter(|id| !new.contains_key(*id)).map(|id| (id.clone(), Value::Null)));
        if !records.is_empty() {
            changes.insert(kind.to_owned(), Value::Object(records));
        }
    }
    (!changes.is_empty()).then_some(changes)
}

fn lay_over(known: &mut Known, look: &Value) {
    for kind in KINDS {
        let records = known[kind].as_object_mut().unwrap();
        for (id, fields) in look[kind].as_object().into_iter().flatten() {
            match fields.as_object() {
                None => drop(records.remove(id)),
                Some(fields) => {
                    let record = records.entry(id.clone()).or_insert_with(|| json!({}));
                    record.as_object_mut().unwrap().extend(fields.clone());
                }
            }
        }
    }
}

fn nothing() -> Known {
    known(&Observed::default())
}

/// Takes looks in and keeps their changes.
pub struct Recording {
    last: Known,
    looks: Vec<Value>,
}

impl Recording {
    pub fn new() -> Self {
        Self { last: nothing(), looks: Vec::new() }
    }

    pub fn take(&mut self, observed: &Observed, at: Duration) {
        let now = known(observed);
        if let Some(changes) = change(&self.last, &now) {
            let mut look = json!({"at": milliseconds(at)});
            look.as_object_mut().unwrap().extend(changes);
            self.looks.push(look);
        }
        self.last = now;
    }

    /// Until when nothing more has changed tells the last look, which is an empty one.
    pub fn end(mut self, at: Duration) -> Vec<Value> {
        self.looks.push(json!({"at": milliseconds(at)}));
        self.looks
    }
}

pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

impl Timeline {
    fn path(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/timelines").join(name).with_extension("json")
    }

    /// A line for each look, so that a person can read them.
    pub fn write(&self) {
        let mut head = json!(self);
        head["looks"] = Value::Null;
        let looks: Vec<String> = self.looks.iter().map(Value::to_string).collect();
        let head = head.to_string();
        let head = head.strip_suffix("null}").unwrap();
        fs::write(Self::path(&self.name), format!("{head}[\n{}\n]}}\n", looks.join(",\n"))).unwrap();
    }

    fn all() -> Vec<Self> {
        let entries = fs::read_dir(Self::path("x").parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> = entries.collect();
        paths.sort();
        paths.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
    }

    pub fn desired(&self) -> Desired {
        desired(&self.specs)
    }

    /// Every state that was seen, and when.
    fn states(&self) -> Vec<(u64, Observed)> {
        let mut now = nothing();
        let states = self.looks.iter().map(|look| {
            lay_over(&mut now, look);
            (look["at"].as_u64().unwrap(), observed(&now))
        });
        states.collect()
    }

    pub fn rules(&self) -> Rules {
        let wrote = self.wrote.keys().cloned().collect();
        Rules { stable_for: STABLE, wrote, baseline: self.wrote.clone(), ..Rules::default() }
    }

    /// Whether nothing runs in the end.
    fn ends_empty(&self) -> bool {
        let last = self.states().pop().expect("there is a look").1;
        last.containers.iter().all(|container| container.state != "running")
    }

    /// An Engine that told of no end for as long as the app had to run, although it ends all the time, has hung meanwhile:
    /// nobody could have known.
    pub fn was_kept_back(&self, verdict: &Verdict, at: u64) -> bool {
        let was_silent = self.last_fact > 0 && at >= self.last_fact + milliseconds(STABLE);
        *verdict == Verdict::Healthy && !self.healthy && was_silent
    }

    /// A verdict on the state of `at` may not be given.
    pub fn contradiction(&self, verdict: &Verdict, at: u64) -> Option<String> {
        let stable = if self.ends_empty() { 0 } else { milliseconds(STABLE) };
        let wrong = match verdict {
            Verdict::Waiting(_) => false,
            Verdict::Unhealthy(_) => self.healthy,
            Verdict::Healthy => !self.healthy || at < self.last_fact + stable,
        };
        wrong.then(|| {
            format!("{} at {at} ms of {}, whose last fact is at {} ms", told(verdict), self.name, self.last_fact)
        })
    }
}

pub fn desired(specs: &[Value]) -> Desired {
    let named = |spec: &Value| DesiredService { name: spec["Name"].as_str().unwrap().to_owned(), spec: spec.clone() };
    Desired {
        stack: "recorded".parse().unwrap(),
        networks: vec![],
        external_networks: vec![],
        secrets: vec![],
        configs: vec![],
        services: specs.iter().map(named).collect(),
    }
}

fn told(verdict: &Verdict) -> String {
    format!("{verdict:?}")
}

/// The newest state at this moment.
fn state_at(states: &[(u64, Observed)], at: u64) -> Option<&Observed> {
    states.iter().take_while(|(seen, _)| *seen <= at).last().map(|(_, state)| state)
}

/// A run that begins at some moment and looks now and then.
#[derive(Debug, Clone)]
struct Cut {
    begins: u64,
    looks: Vec<Look>,
}

/// Milliseconds: after the answer of the one before, until it is answered, and how old the answer is then.
#[derive(Debug, Clone, Copy)]
struct Look {
    pause: u64,
    takes: u64,
    age: u64,
}

fn cut() -> impl Strategy<Value = Cut> {
    let begins = prop_oneof![2 => Just(0), 1 => 0..12_000u64];
    // An Engine may hang for longer than tasks have to keep running here.
    let takes = prop_oneof![8 => 0..400u64, 1 => 400..8_000u64];
    let look = (1..1500u64, takes, 0.0..1.0).prop_map(|(pause, takes, part)| Look {
        pause,
        takes,
        age: (takes as f64 * part) as u64,
    });
    (begins, proptest::collection::vec(look, 1..40)).prop_map(|(begins, looks)| Cut { begins, looks })
}

/// Every verdict that such a run comes to, with the moment of what it saw, up to the first that is final.
fn verdicts(timeline: &Timeline, states: &[(u64, Observed)], cut: &Cut) -> Vec<(u64, Verdict)> {
    let end = states.last().expect("there is a look").0;
    let Some(first) = state_at(states, cut.begins.max(states[0].0)) else { return Vec::new() };
    let mut rules = timeline.rules();
    if cut.begins > 0 {
        // It finds what somebody wrote, and writes nothing itself; where Swarm has put the old spec back, it would.
        let written = &states[0].1.services;
        if first.services.iter().any(|(name, service)| written.get(name).is_some_and(|it| it.spec != service.spec)) {
            return Vec::new();
        }
        rules.wrote.clear();
        rules.baseline.clear();
    }
    let mut watch = Watch::new(&timeline.desired(), rules);
    let (mut now, mut given) = (cut.begins, Vec::new());
    for look in &cut.looks {
        // What holds at the end of a good recording goes on, and of a bad one nothing is known after it.
        let known = if timeline.healthy { u64::MAX } else { end.max(cut.begins) };
        let asked = (now + look.pause).min(known);
        now = asked + look.takes;
        let seen = (now - look.age).min(known);
        let at_the_end = seen == known;
        let Some(state) = state_at(states, seen) else { continue };
        let since_it_began = |moment: u64| Duration::from_millis(moment - cut.begins);
        let verdict = watch.look(state, Seen { asked: since_it_began(asked), answered: since_it_began(now) });
        let is_final = !matches!(verdict, Verdict::Waiting(_));
        given.push((seen, verdict));
        if is_final || at_the_end {
            break;
        }
    }
    given
}

#[test]
fn every_recording_comes_to_the_verdict_that_it_was_made_for() {
    let timelines = Timeline::all();
    assert!(timelines.len() >= 30, "{} recordings", timelines.len());
    for timeline in &timelines {
        let states = timeline.states();
        let end = states.last().unwrap().0 + milliseconds(STABLE) * 2;
        let cut =
            Cut { begins: 0, looks: vec![Look { pause: 50, takes: 0, age: 0 }; usize::try_from(end / 50).unwrap()] };
        let given = verdicts(timeline, &states, &cut);
        let (at, verdict) = given.last().unwrap();
        assert_eq!(timeline.contradiction(verdict, *at), None);
        match verdict {
            Verdict::Waiting(why) => panic!("{} waits to its end: {why}", timeline.name),
            Verdict::Healthy => {}
            Verdict::Unhealthy(why) => {
                let missing: Vec<_> = timeline.words.iter().filter(|word| !why.contains(*word)).collect();
                assert!(missing.is_empty(), "{}: {why:?} does not say {missing:?}", timeline.name);
            }
        }
    }
}

#[test]
fn no_cut_makes_a_green_of_a_red_or_a_red_of_a_green() {
    let timelines: Vec<_> = Timeline::all().into_iter().map(|timeline| (timeline.states(), timeline)).collect();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
    let cuts = proptest::collection::vec(cut(), timelines.len());
    let outcome = runner.run(&cuts, |cuts| {
        for ((states, timeline), cut) in timelines.iter().zip(&cuts) {
            for (at, verdict) in verdicts(timeline, states, cut) {
                let wrong = timeline.contradiction(&verdict, at);
                prop_assert!(wrong.is_none(), "{}; {cut:?}", wrong.unwrap_or_default());
            }
        }
        Ok(())
    });
    outcome.unwrap();
}
