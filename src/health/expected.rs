//! What of a service's spec its verdict depends on.

use serde_json::Value;

use crate::desired::DesiredService;
use crate::plan::canonical_form::mode_of;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub name: String,
    pub mode: Mode,
    pub restart: Restart,
    /// The spec has a health check of its own; the image may have one too.
    pub checked: bool,
    /// Swarm gives up after some attempts.
    pub attempts_end: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Replicated(u64),
    Global,
    /// How many tasks have to complete.
    ReplicatedJob(u64),
    GlobalJob,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    Any,
    OnFailure,
    Never,
}

impl Expected {
    pub(super) fn of(service: &DesiredService) -> Self {
        let policy = &service.spec["TaskTemplate"]["RestartPolicy"];
        let restart = match policy["Condition"].as_str() {
            Some("none") => Restart::Never,
            Some("on-failure") => Restart::OnFailure,
            _ => Restart::Any,
        };
        let attempts_end = policy["MaxAttempts"].as_u64().is_some_and(|most| most > 0);
        let test = service.spec.pointer("/TaskTemplate/ContainerSpec/Healthcheck/Test/0");
        let checked = test.is_some_and(|kind| kind != "NONE");
        Self { name: service.name.clone(), mode: mode(&service.spec), restart, checked, attempts_end }
    }

    pub(super) fn is_job(&self) -> bool {
        matches!(self.mode, Mode::ReplicatedJob(_) | Mode::GlobalJob)
    }

    /// A service that may end well.
    pub(super) fn is_one_shot(&self) -> bool {
        !self.is_job() && self.restart != Restart::Any
    }
}

fn mode(spec: &Value) -> Mode {
    let kind = mode_of(spec);
    let number = |key: &str| spec["Mode"][kind][key].as_u64();
    match kind {
        "Global" => Mode::Global,
        "GlobalJob" => Mode::GlobalJob,
        "ReplicatedJob" => Mode::ReplicatedJob(number("TotalCompletions").or(number("MaxConcurrent")).unwrap_or(1)),
        _ => Mode::Replicated(number("Replicas").unwrap_or(1)),
    }
}
