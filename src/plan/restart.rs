//! How long a service is away while its tasks are replaced, as far as that can be reckoned.
//!
//! Nothing here is a promise: stopping is reckoned with the whole grace period, which few tasks need, and starting with
//! what the last start took, which the next one may not. Pulling is left out, since images are had before.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::canonical_form::mode_of;
use crate::model::observed::{Observed, Service, Task, TaskState};

/// What the Engine takes where a service says nothing.
const GRACE: Duration = Duration::from_secs(10);
const MONITOR: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// Tasks that are replaced, and how many of them at a time.
    pub tasks: u64,
    pub at_once: u64,
    pub order: Order,
    pub is_job: bool,
    /// The longest that a running task may take to stop.
    pub stop: Duration,
    pub start: Start,
    /// Between one batch of tasks and the next.
    pub delay: Duration,
    /// How long Swarm watches the last tasks before it calls the update done; not at all after a standstill.
    pub watch: Duration,
}

/// What stops and starts before what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    StopFirst,
    StartFirst,
    /// The service is brought to a standstill, although its spec says start-first: its containers may not meet.
    StopAllFirst,
}

/// Where the time that a start takes is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Of the running task: from its container's start until Swarm called it running, health check included.
    Measured(Duration),
    StartPeriod(Duration),
    /// Nothing is known but that the first answer of the health check comes after so long.
    Interval(Duration),
    Unknown,
}

impl Restart {
    /// `live` is what runs, `wanted` the spec that replaces it, `measured` how long the last start took.
    pub fn new(live: &Service, wanted: &Value, observed: &Observed, measured: Option<Duration>) -> Self {
        let tasks = tasks(live, wanted, observed);
        let update = &wanted["UpdateConfig"];
        let order = Order::of(&live.spec, wanted);
        let (delay, watch) = match order {
            Order::StopAllFirst => (Duration::ZERO, Duration::ZERO),
            Order::StopFirst | Order::StartFirst => delay_and_watch(update),
        };
        let at_once = match parallelism(update) {
            some if some > 0 && order != Order::StopAllFirst => some.min(tasks),
            _ => tasks,
        };
        let grace = live.spec.pointer("/TaskTemplate/ContainerSpec/StopGracePeriod");
        Self {
            tasks,
            at_once,
            order,
            is_job: mode_of(wanted).ends_with("Job"),
            stop: grace.and_then(nanoseconds).unwrap_or(GRACE),
            start: measured.map_or_else(|| declared_start(wanted), Start::Measured),
            delay,
            watch,
        }
    }

    /// How long one task is about to take from its stop to its start, at most; without what is unknown.
    pub fn one(&self) -> Duration {
        self.stop + self.start.time().unwrap_or_default()
    }

    /// How long all of them are about to take, at most, until Swarm has watched the last.
    pub fn all(&self) -> Duration {
        let batches = u32::try_from(self.tasks.div_ceil(self.at_once.max(1))).unwrap_or(u32::MAX);
        let work = self.one().saturating_mul(batches);
        work.saturating_add(self.delay.saturating_mul(batches.saturating_sub(1))).saturating_add(self.watch)
    }

    /// In an operator's words, how it is reckoned included.
    pub fn sentence(&self) -> String {
        if self.is_job {
            return "the job runs again".to_owned();
        }
        if self.tasks == 0 {
            return "no task runs, so none is restarted".to_owned();
        }
        let count = match (self.tasks, self.at_once) {
            (1, _) => String::new(),
            (tasks, at_once) if at_once >= tasks => format!("{tasks} tasks at once, "),
            (tasks, at_once) => format!("{tasks} tasks, {at_once} at a time, "),
        };
        let each = if self.at_once < self.tasks { "each " } else { "" };
        let (about, start) = (format!("about {}", seconds(self.one())), self.start_sentence());
        let stop = format!("at most {} to stop (stop_grace_period), {start}", seconds(self.stop));
        let gap = match (self.order, self.start) {
            (Order::StartFirst, _) => "no gap: the new starts before the old one stops (start-first)".to_owned(),
            (_, Start::Unknown) => format!("{each}away for as long as it takes to stop and to start"),
            (_, _) => format!("{each}away for {about}"),
        };
        let why = match self.order {
            Order::StopAllFirst => {
                ", since its containers may not meet (start-first, with a volume or a port of the host)"
            }
            Order::StopFirst | Order::StartFirst => "",
        };
        format!("{count}{gap}{why}: {stop}{}", self.watch_sentence())
    }

    fn start_sentence(&self) -> String {
        match self.start {
            Start::Measured(time) => format!("{} to start (as the last time)", seconds(time)),
            Start::StartPeriod(time) => format!("{} to start (start_period of its health check)", seconds(time)),
            Start::Interval(time) => format!("{} to start (interval of its health check)", seconds(time)),
            Start::Unknown => "unknown to start (no earlier start is known)".to_owned(),
        }
    }

    fn watch_sentence(&self) -> String {
        let why = if self.delay.is_zero() { "monitor" } else { "delay and monitor" };
        match self.watch.is_zero() {
            true => String::new(),
            false => format!("; watched for {} more ({why})", seconds(self.watch)),
        }
    }

    /// Whole seconds, rounded up.
    pub fn to_json(&self) -> Value {
        let start = self.start.time().map(whole_seconds);
        json!({
            "tasks": self.tasks,
            "at_once": self.at_once,
            "order": self.order.word(),
            "stop_seconds": whole_seconds(self.stop),
            "start_seconds": start,
            "start_known_from": self.start.word(),
            "watch_seconds": whole_seconds(self.watch),
            "about_seconds": start.map(|_| whole_seconds(self.one())),
            "all_seconds": start.map(|_| whole_seconds(self.all())),
            "sentence": self.sentence(),
        })
    }
}

impl Order {
    /// Of a service that runs `live` and is to run `wanted`.
    pub fn of(live: &Value, wanted: &Value) -> Self {
        match wanted.pointer("/UpdateConfig/Order").is_some_and(|order| order == "start-first") {
            true if wants_alone(live) || wants_alone(wanted) => Order::StopAllFirst,
            true => Order::StartFirst,
            false => Order::StopFirst,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Order::StopFirst => "stop-first",
            Order::StartFirst => "start-first",
            Order::StopAllFirst => "stop-all-first",
        }
    }
}

/// Whether two containers of a service must never run at once: they would write the same volume, or want the same port.
pub fn wants_alone(spec: &Value) -> bool {
    let list = |pointer: &str| spec.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    list("/TaskTemplate/ContainerSpec/Mounts").any(|mount| mount["Type"] == "volume")
        || list("/EndpointSpec/Ports").any(|port| port["PublishMode"] == "host")
}

impl Start {
    pub fn time(self) -> Option<Duration> {
        match self {
            Start::Measured(time) | Start::StartPeriod(time) | Start::Interval(time) => Some(time),
            Start::Unknown => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Start::Measured(_) => "last_start",
            Start::StartPeriod(_) => "start_period",
            Start::Interval(_) => "interval",
            Start::Unknown => "unknown",
        }
    }
}

/// The task of a service that runs and whose start is the last one known.
pub fn last_started<'a>(observed: &'a Observed, service: &Service) -> Option<&'a Task> {
    running(observed, service).max_by(|one, other| one.created.cmp(&other.created))
}

fn running<'a>(observed: &'a Observed, service: &Service) -> impl Iterator<Item = &'a Task> {
    let of_service = observed.tasks.iter().filter(move |task| task.service == service.id);
    of_service.filter(|task| task.state == TaskState::Running && task.desired == TaskState::Running)
}

/// A scaled service replaces the tasks that are to stay.
fn tasks(live: &Service, wanted: &Value, observed: &Observed) -> u64 {
    let replicas = |spec: &Value| spec.pointer("/Mode/Replicated").map(|mode| mode["Replicas"].as_u64().unwrap_or(1));
    match (replicas(&live.spec), replicas(wanted)) {
        (Some(live), Some(wanted)) => live.min(wanted),
        _ => running(observed, live).count() as u64,
    }
}

/// Without any update settings Swarm takes one task after the other, with some that leave it out all at once.
fn parallelism(update: &Value) -> u64 {
    if update.is_null() { 1 } else { update["Parallelism"].as_u64().unwrap_or_default() }
}

/// Between batches, and after the last. Swarm waits for the delay there, too, and then watches for longer than that
/// (measured).
fn delay_and_watch(update: &Value) -> (Duration, Duration) {
    let delay = nanoseconds(&update["Delay"]).unwrap_or_default();
    let monitor = nanoseconds(&update["Monitor"]).filter(|time| !time.is_zero()).unwrap_or(MONITOR);
    let least = if delay >= monitor { delay.saturating_add(Duration::from_secs(1)) } else { monitor };
    (delay, delay.saturating_add(least))
}

/// What a health check says of how long a start takes.
fn declared_start(spec: &Value) -> Start {
    let none = Map::new();
    let check = spec.pointer("/TaskTemplate/ContainerSpec/Healthcheck").and_then(Value::as_object).unwrap_or(&none);
    let time = |key: &str| check.get(key).and_then(nanoseconds).filter(|time| !time.is_zero());
    let is_checked = check.get("Test").is_some_and(|test| test[0].as_str().is_some_and(|kind| kind != "NONE"));
    match (is_checked, time("StartPeriod")) {
        (false, _) => Start::Unknown,
        (true, Some(period)) => Start::StartPeriod(period),
        (true, None) => Start::Interval(time("Interval").unwrap_or(INTERVAL)),
    }
}

fn nanoseconds(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_nanos)
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// `12 s`, `3 min 20 s`
fn seconds(time: Duration) -> String {
    match (whole_seconds(time) / 60, whole_seconds(time) % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::{desired, observed, spec, task, with};
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The words about `wiki_app`, whose running spec is as given and whose wanted one differs in these parts.
    fn told(live: Value, wanted: &[(&str, Value)], measured: Option<f32>) -> String {
        restart(live, wanted, measured).sentence()
    }

    fn restart(live: Value, wanted: &[(&str, Value)], measured: Option<f32>) -> Restart {
        let after = wanted.iter().fold(live.clone(), |spec, (at, value)| with(spec, at, value.clone()));
        let world = observed(&desired().service(live));
        Restart::new(&world.services["wiki_app"], &after, &world, measured.map(Duration::from_secs_f32))
    }

    #[test]
    fn stopping_takes_the_grace_of_what_runs_and_starting_what_it_took_last() {
        assert_eq!(
            told(spec("app", "wiki:1"), &[], Some(1.2)),
            "away for about 12 s: at most 10 s to stop (stop_grace_period), 2 s to start (as the last time); watched for 5 s \
             more (monitor)"
        );
        let grace = "/TaskTemplate/ContainerSpec/StopGracePeriod";
        let live = with(spec("app", "wiki:1"), grace, json!(60 * SECOND));
        let told = told(live, &[(grace, json!(SECOND))], Some(2.0));
        assert!(told.starts_with("away for about 1 min 2 s: at most 1 min to stop"), "{told}");
    }

    #[test]
    fn without_an_earlier_start_the_health_check_tells_or_nothing_does() {
        let check = |more: Value| {
            let mut check = json!({ "Test": ["CMD", "true"] });
            check.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            told(spec("app", "wiki:1"), &[("/TaskTemplate/ContainerSpec/Healthcheck", check)], None)
        };
        let told_period = check(json!({ "StartPeriod": 40 * SECOND, "Interval": SECOND }));
        assert!(
            told_period.contains("about 50 s: ") && told_period.contains("40 s to start (start_period"),
            "{told_period}"
        );
        assert!(check(json!({ "Interval": 7 * SECOND })).contains("7 s to start (interval of its health check)"));
        assert!(check(json!({})).contains("30 s to start (interval"));
        assert!(check(json!({ "Test": ["NONE"] })).contains("unknown to start"));
        let unknown = restart(spec("app", "wiki:1"), &[], None);
        assert!(
            unknown.sentence().starts_with("away for as long as it takes to stop and to start: at most 10 s to stop")
        );
        assert_eq!(
            (&unknown.to_json()["about_seconds"], unknown.to_json()["stop_seconds"].as_u64()),
            (&Value::Null, Some(10))
        );
    }

    #[test]
    fn several_tasks_are_replaced_in_batches() {
        let live = with(spec("app", "wiki:1"), "/Mode/Replicated/Replicas", json!(5));
        let update = |config: Value| restart(live.clone(), &[("/UpdateConfig", config)], Some(2.0));
        let by_two = update(json!({ "Parallelism": 2, "Delay": 3 * SECOND, "Monitor": 20 * SECOND }));
        assert!(
            by_two.sentence().starts_with("5 tasks, 2 at a time, each away for about 12 s: "),
            "{}",
            by_two.sentence()
        );
        assert!(by_two.sentence().ends_with("watched for 23 s more (delay and monitor)"));
        assert_eq!(by_two.all(), Duration::from_secs(3 * 12 + 2 * 3 + 23));
        let by_default = restart(live.clone(), &[], Some(2.0));
        assert!(
            by_default.sentence().starts_with("5 tasks, 1 at a time, each away for about 12 s: "),
            "{by_default:?}"
        );
        let at_once = update(json!({ "Order": "stop-first" }));
        assert!(at_once.sentence().starts_with("5 tasks at once, away for about 12 s: "), "{}", at_once.sentence());
        assert_eq!(at_once.all(), Duration::from_secs(12 + 5));
    }

    #[test]
    fn a_delay_that_is_longer_than_the_monitor_is_watched_for_one_second_more() {
        let told = told(spec("app", "wiki:1"), &[("/UpdateConfig", json!({ "Delay": 30 * SECOND }))], Some(2.0));
        assert!(told.ends_with("watched for 1 min 1 s more (delay and monitor)"), "{told}");
    }

    #[test]
    fn start_first_has_no_gap() {
        let told = told(spec("app", "wiki:1"), &[("/UpdateConfig", json!({ "Order": "start-first" }))], Some(2.0));
        assert!(
            told.starts_with("no gap: the new starts before the old one stops (start-first): at most 10 s"),
            "{told}"
        );
    }

    #[test]
    fn what_may_not_meet_is_away_although_it_says_start_first() {
        let live = with(spec("app", "wiki:1"), "/Mode/Replicated/Replicas", json!(3));
        let volume = json!([{ "Type": "volume", "Source": "wiki_data", "Target": "/data" }]);
        let update = json!({ "Order": "start-first", "Parallelism": 1, "Delay": 3 * SECOND });
        let changed = [("/TaskTemplate/ContainerSpec/Mounts", volume), ("/UpdateConfig", update)];
        assert_eq!(
            told(live.clone(), &changed, Some(2.0)),
            "3 tasks at once, away for about 12 s, since its containers may not meet (start-first, with a volume or a port \
             of the host): at most 10 s to stop (stop_grace_period), 2 s to start (as the last time)"
        );
        let alone = restart(live.clone(), &changed, Some(2.0));
        assert_eq!((alone.order, alone.all()), (Order::StopAllFirst, Duration::from_secs(12)));
        for (mode, order) in [("host", Order::StopAllFirst), ("ingress", Order::StartFirst)] {
            let port = json!([{ "TargetPort": 80, "PublishedPort": 80, "PublishMode": mode }]);
            assert_eq!(restart(live.clone(), &[("/EndpointSpec/Ports", port), changed[1].clone()], None).order, order);
        }
    }

    #[test]
    fn jobs_run_again_and_nothing_of_nothing_is_restarted() {
        let job = with(spec("app", "wiki:1"), "/Mode", json!({ "ReplicatedJob": {} }));
        assert_eq!(told(job, &[], None), "the job runs again");
        let none = with(spec("app", "wiki:1"), "/Mode/Replicated/Replicas", json!(0));
        assert_eq!(told(none, &[], None), "no task runs, so none is restarted");
    }

    #[test]
    fn a_global_service_replaces_the_tasks_that_run() {
        let live = with(spec("app", "wiki:1"), "/Mode", json!({ "Global": {} }));
        let mut world = observed(&desired().service(live.clone()));
        world.tasks = vec![task("app", 0, 1, TaskState::Running), task("app", 0, 2, TaskState::Running)];
        world.tasks.push(task("app", 0, 3, TaskState::Failed));
        let service = &world.services["wiki_app"];
        assert_eq!(Restart::new(service, &live, &world, None).tasks, 2);
        assert_eq!(last_started(&world, service).map(|task| task.id.as_str()), Some("app-0-2"));
    }

    #[test]
    fn times_are_rounded_up() {
        let told = |millis| seconds(Duration::from_millis(millis));
        assert_eq!(
            ["0 s", "1 s", "1 min", "1 min 1 s"].map(str::to_owned),
            [told(0), told(1), told(60_000), told(60_001)]
        );
    }
}
