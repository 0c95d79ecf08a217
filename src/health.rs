//! The verdict on a stack: a pure function over what was observed.
//!
//! The border: it sees what Swarm sees and no answer over the network (that is [`gate`]). Only tasks of the present
//! spec count, and only as long as they stay. The surprise: neither `N/N` nor `completed` means that the wanted version
//! runs. An update can be registered and not begun, Swarm rolls services back by itself, and a crash loop is `completed`
//! too; so tasks decide, and Swarm's word on its update can only speak against.

mod expected;
pub mod gate;
pub mod rest;
mod rolled_back;
mod service;
mod tasks;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::desired::Desired;
use crate::model::observed::{Observed, Service, Task, TaskState};
use expected::Expected;
pub use rolled_back::{RolledBack, rolled_back};
use service::{Asked, Meddled, Standing};
use tasks::Failure;

/// How long every other service has to run before a service's exits are its own fault, and how long a task may find no
/// node before that is a verdict.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Healthy,
    /// Not yet; what is waited for.
    Waiting(String),
    /// Which service, in the Engine's own words, with the exit code.
    Unhealthy(String),
}

/// How a stack is judged after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long the same tasks have to keep running.
    pub stable_for: Duration,
    /// So many failed exits are a crash loop.
    pub exits: u32,
    /// Services that were written: Swarm's word on their update is about what is wanted.
    pub wrote: BTreeSet<String>,
    /// Service -> its index at that write, 0 where nobody knows it any more; an older view says nothing.
    pub baseline: BTreeMap<String, u64>,
    /// Service -> the image id that has to run, where it is known: a name may have moved.
    pub images: BTreeMap<String, String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            stable_for: Duration::from_secs(20),
            exits: 3,
            wrote: BTreeSet::new(),
            baseline: BTreeMap::new(),
            images: BTreeMap::new(),
        }
    }
}

/// When a look was true: at some moment between its question and its answer, both counted from the beginning of the watch.
/// A busy Engine takes seconds to answer, and may tell what was so before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub asked: Duration,
    pub answered: Duration,
}

impl Seen {
    /// A look that took no time.
    pub fn at(moment: Duration) -> Self {
        Self { asked: moment, answered: moment }
    }

    /// For how long at least what was met in an earlier look, answered then, and in all since, has been so.
    fn lasts_since(self, answered: Duration) -> Duration {
        self.asked.saturating_sub(answered)
    }
}

/// Looks at a stack again and again until there is a verdict. Has no deadline: whoever looks has one.
///
/// Swarm forgets all but the last few tasks of a slot, so exits are remembered here from look to look. Those from before
/// the first look are old news.
#[derive(Debug, Clone)]
pub struct Watch {
    rules: Rules,
    expected: Vec<Expected>,
    ledgers: BTreeMap<String, Ledger>,
    /// The running tasks, and since when they are these.
    steady: Option<(BTreeSet<String>, Duration)>,
    /// Since when a service is what somebody else has made of it, and what that is.
    meddled: Option<(Duration, String)>,
}

/// What is remembered of one service.
#[derive(Debug, Clone, Default)]
struct Ledger {
    /// Failed tasks that were met already; `None` before the first look.
    seen: Option<BTreeSet<String>>,
    exits: u32,
    rejections: u32,
    /// What was to run at the first look. It changes when Swarm rolls back, or somebody else writes.
    spec: Option<Value>,
    /// The running tasks, and since when.
    settled: Option<(BTreeSet<String>, Duration)>,
    /// Since when Swarm has no way forward, and why.
    stuck: Option<(Duration, String)>,
}

impl Watch {
    pub fn new(desired: &Desired, rules: Rules) -> Self {
        let expected: Vec<Expected> = desired.services.iter().map(Expected::of).collect();
        let ledgers = expected.iter().map(|service| (service.name.clone(), Ledger::default())).collect();
        Self { rules, expected, ledgers, steady: None, meddled: None }
    }

    /// The verdict by this look and those before it.
    pub fn look(&mut self, observed: &Observed, seen: Seen) -> Verdict {
        self.remember_specs(observed);
        let standings: Vec<Standing> = self.expected.iter().map(|service| self.standing(service, observed)).collect();
        self.note_meddling(&standings, seen);
        // What is being stopped may hold the very port or memory that another waits for.
        let stopping = observed.tasks.iter().any(tasks::is_stopping);
        for (service, standing) in self.expected.iter().zip(&standings) {
            let ledger = self.ledgers.get_mut(&service.name).expect("every expected service has a ledger");
            ledger.note(standing, seen);
            ledger.stuck.take_if(|_| stopping);
        }
        self.count_exits(observed, seen);
        let judged = self.expected.iter().zip(standings).map(|(service, standing)| {
            let ledger = &self.ledgers[&service.name];
            ledger.verdict(service, observed, self.rules.exits, seen).unwrap_or(standing)
        });
        match together(judged.collect()) {
            Ok(running) => self.stable(running, seen),
            Err(verdict) => {
                self.steady = None;
                verdict
            }
        }
    }

    /// How long until time alone brings a verdict, if nothing else changes: no event tells that it has passed.
    pub fn due(&self, now: Duration) -> Option<Duration> {
        let stable = self.steady.iter().map(|(_, since)| *since + self.rules.stable_for);
        let stuck = self.ledgers.values().filter_map(|ledger| Some(ledger.stuck.as_ref()?.0 + PATIENCE));
        let meddled = self.meddled.iter().map(|(since, _)| *since + PATIENCE);
        stable.chain(stuck).chain(meddled).filter_map(|due| due.checked_sub(now)).filter(|left| !left.is_zero()).min()
    }

    fn remember_specs(&mut self, observed: &Observed) {
        for (name, ledger) in &mut self.ledgers {
            let least_index = self.rules.baseline.get(name).copied().unwrap_or_default();
            let Some(live) = observed.services.get(name).filter(|live| live.index >= least_index) else { continue };
            ledger.spec.get_or_insert_with(|| live.spec.clone());
        }
    }

    fn note_meddling(&mut self, standings: &[Standing], seen: Seen) {
        let meddled = standings.iter().find_map(|standing| match standing {
            Standing::Meddled(how) => Some(how.clone()),
            _ => None,
        });
        let since = self.meddled.as_ref().map_or(seen.answered, |(since, _)| *since);
        self.meddled = meddled.map(|how| (since, how));
    }

    /// What somebody else has made of a service and does not take back: no verdict on what was asked for can come.
    pub fn meddled(&self, seen: Seen) -> Option<&str> {
        let lasts = |since: Duration| seen.lasts_since(since) >= PATIENCE;
        self.meddled.as_ref().filter(|(since, _)| lasts(*since)).map(|(_, how)| how.as_str())
    }

    fn standing(&self, service: &Expected, observed: &Observed) -> Standing {
        let least_index = self.rules.baseline.get(&service.name).copied().unwrap_or_default();
        let meddled = self.ledgers[&service.name].meddled(observed.services.get(&service.name), least_index > 0);
        let asked = Asked {
            written: meddled.is_some() || self.rules.wrote.contains(&service.name),
            meddled,
            least_index,
            image: self.rules.images.get(&service.name).map(String::as_str),
        };
        service::standing(service, observed, &asked)
    }

    /// Swarm starts services in any order, so one that ends because another is not there yet is not to blame.
    fn count_exits(&mut self, observed: &Observed, seen: Seen) {
        let waited_for: BTreeSet<&String> =
            self.ledgers.iter().filter(|(_, ledger)| !ledger.has_settled(seen)).map(|(name, _)| name).collect();
        let to_blame: BTreeMap<String, bool> =
            self.ledgers.keys().map(|name| (name.clone(), waited_for.iter().all(|other| *other == name))).collect();
        for service in &self.expected {
            let ledger = self.ledgers.get_mut(&service.name).expect("every expected service has a ledger");
            ledger.count(service, observed, to_blame[&service.name]);
        }
    }

    fn stable(&mut self, running: BTreeSet<String>, seen: Seen) -> Verdict {
        let since = match &self.steady {
            Some((same, since)) if *same == running => *since,
            _ => seen.answered,
        };
        let nothing_runs = running.is_empty();
        self.steady = Some((running, since));
        match self.rules.stable_for.checked_sub(seen.lasts_since(since)) {
            Some(left) if !left.is_zero() && !nothing_runs => {
                Verdict::Waiting(format!("everything runs, watched for another {} s", left.as_secs_f32().ceil()))
            }
            _ => Verdict::Healthy,
        }
    }
}

impl Ledger {
    fn note(&mut self, standing: &Standing, seen: Seen) {
        self.settled = match (standing, self.settled.take()) {
            (Standing::Settled(running), Some((same, since))) if *running == same => Some((same, since)),
            (Standing::Settled(running), _) => Some((running.clone(), seen.answered)),
            _ => None,
        };
        self.stuck = match standing {
            Standing::Stuck(why) => Some((self.stuck.as_ref().map_or(seen.answered, |(since, _)| *since), why.clone())),
            _ => None,
        };
    }

    /// What was made of it since it was first seen, or written just before. A rollback by hand that was over by then, of
    /// what nobody has written, is how somebody wants it.
    fn meddled(&self, live: Option<&Service>, is_written: bool) -> Option<Meddled> {
        let spec = self.spec.as_ref()?;
        let Some(live) = live else { return Some(Meddled::Removed) };
        let is_changed = !want_the_same(spec, &live.spec);
        let is_news = is_changed || is_written || rest::is_updating(live);
        match rolled_back(live) {
            Some(RolledBack::ByHand) if is_news => Some(Meddled::RolledBack),
            _ => is_changed.then_some(Meddled::Changed),
        }
    }

    /// Runs for a while already, or has nothing to run.
    fn has_settled(&self, seen: Seen) -> bool {
        self.settled.as_ref().is_some_and(|(running, since)| running.is_empty() || seen.lasts_since(*since) >= PATIENCE)
    }

    fn count(&mut self, service: &Expected, observed: &Observed, to_blame: bool) {
        let failures = tasks::failures(service, observed);
        let first_look = self.seen.is_none();
        let seen = self.seen.get_or_insert_default();
        for failure in failures {
            if !seen.insert(failure.id.clone()) || first_look {
                continue;
            }
            match tasks::failure(failure) {
                Failure::Hopeless => self.rejections += 1,
                Failure::Exit if !to_blame => {}
                Failure::Exit | Failure::Start => self.exits += 1,
            }
        }
    }

    fn verdict(&self, service: &Expected, observed: &Observed, exits: u32, seen: Seen) -> Option<Standing> {
        let (name, trouble) = (&service.name, || tasks::last_trouble(service, observed));
        if self.exits >= exits && tasks::last_ended_well(service, observed) {
            return Some(Standing::Failed(format!(
                "service {name} ends again and again, {} times now, and is to stay (its restart policy is `any`): {}",
                self.exits,
                trouble()
            )));
        }
        if self.exits >= exits {
            return Some(Standing::Failed(format!(
                "service {name} crashes again and again, {} times now: {}",
                self.exits,
                trouble()
            )));
        }
        if self.rejections >= 2 {
            return Some(Standing::Failed(format!("service {name} cannot be started: {}", trouble())));
        }
        let (since, why) = self.stuck.as_ref()?;
        (seen.lasts_since(*since) >= PATIENCE).then(|| Standing::Failed(why.clone()))
    }
}

/// A restart by hand counts what it did in the spec, and wants nothing else to run.
fn want_the_same(one: &Value, other: &Value) -> bool {
    let differ = |one: &Value, other: &Value, but: &str| {
        let keys = [one, other].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys());
        keys.into_iter().any(|key| key != but && one[key] != other[key])
    };
    !differ(one, other, "TaskTemplate") && !differ(&one["TaskTemplate"], &other["TaskTemplate"], "ForceUpdate")
}

/// Whether a stack of somebody else's making has services, each of which runs a task of its present spec.
pub fn every_service_runs(observed: &Observed) -> bool {
    let runs = |service: &Service| {
        let current = |task: &&Task| task.service == service.id && task.up_to_date && !task.is_lost();
        let tasks = observed.tasks.iter().filter(current);
        tasks.into_iter().any(|task| task.state == TaskState::Running)
    };
    !observed.services.is_empty() && observed.services.values().all(runs)
}

/// The verdict for a run that wrote nothing: Swarm's state as it is, without waiting for it to last. What has failed and
/// was started again is not yet well: it may be a crash loop, met between two ends.
pub fn at_a_glance(desired: &Desired, observed: &Observed, now: Timestamp) -> Verdict {
    let asked = Asked { written: false, meddled: None, least_index: 0, image: None };
    let standings = desired.services.iter().map(|service| {
        let expected = Expected::of(service);
        match service::standing(&expected, observed, &asked) {
            Standing::Settled(running) => {
                service::unproven(&expected, observed, now).unwrap_or(Standing::Settled(running))
            }
            other => other,
        }
    });
    match together(standings.collect()) {
        Ok(_) => Verdict::Healthy,
        Err(verdict) => verdict,
    }
}

/// Services whose log may tell why a verdict is bad, by name; those that run now but failed before, if all run now.
pub fn failing_services(observed: &Observed, desired: &Desired) -> Vec<String> {
    let asked = Asked { written: true, meddled: None, least_index: 0, image: None };
    let expected: Vec<Expected> = desired.services.iter().map(Expected::of).collect();
    let named = |fails: &dyn Fn(&Expected) -> bool| -> Vec<String> {
        expected.iter().filter(|service| fails(service)).map(|service| service.name.clone()).collect()
    };
    let unsettled = named(&|service| !matches!(service::standing(service, observed, &asked), Standing::Settled(_)));
    if unsettled.is_empty() { named(&|service| !tasks::failures(service, observed).is_empty()) } else { unsettled }
}

/// All running tasks, or what speaks against `Healthy`: a failure outweighs all waiting.
fn together(standings: Vec<Standing>) -> Result<BTreeSet<String>, Verdict> {
    let (mut running, mut waiting, mut failed) = (BTreeSet::new(), Vec::new(), Vec::new());
    for standing in standings {
        match standing {
            Standing::Settled(tasks) => running.extend(tasks),
            Standing::Waiting(why) | Standing::Stuck(why) | Standing::Meddled(why) => waiting.push(why),
            Standing::Failed(why) => failed.push(why),
        }
    }
    if !failed.is_empty() {
        return Err(Verdict::Unhealthy(failed.join("; ")));
    }
    if !waiting.is_empty() {
        return Err(Verdict::Waiting(waiting.join("; ")));
    }
    Ok(running)
}
