//! Removing throw-away stacks that dead runs left behind.
//!
//! What goes is found by its labels, and only where this host's key wrote them, their time is over and nobody holds the
//! lock of the run. The surprise: a folder without a stack goes, too, and one whose run lives never does, however late it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tracing::{debug, info};

use super::super::Host;
use super::cold;
use crate::host::store::LockAttempt;
use crate::host::swarm::{Marked, NAMESPACE};
use crate::model::app::{Domain, StackName};
use crate::model::outcome::Outcome;
use crate::model::sweep::ThrowAway;
use crate::model::throw_away::RUN;
use crate::policy::orphans::{Fate, fate};

/// What became of what was left behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    pub gone: Vec<StackName>,
    /// What stays and should not, in a sentence each.
    pub left: Vec<String>,
}

/// Removes every throw-away stack of a dead run whose time is over.
///
/// # Errors
/// When the Engine or the state directory cannot be looked at. What could not be removed is among the [`Reaped`].
pub async fn reap(host: &Host, now: Timestamp) -> Result<Reaped, Outcome> {
    let found = host.swarm.marked(&[RUN]).await?;
    let mut reaped = Reaped { gone: Vec::new(), left: doubtful(host, &found, now) };
    for throw_away in expired(host, &found, now).into_values() {
        match remove_if_dead(host, &throw_away).await {
            Ok(true) => reaped.gone.push(throw_away.stack),
            Ok(false) => debug!(stack = %throw_away.stack, "its run lives"),
            Err(cause) => reaped.left.push(format!(
                "throw-away stack {} could not be removed, and the next run tries again: {}",
                throw_away.stack,
                cause.sentence()
            )),
        }
    }
    forget_folders(host, &found)?;
    Ok(reaped)
}

/// Removes a throw-away stack unless its run lives; whether it did.
///
/// # Errors
/// When something of it is left.
pub(super) async fn remove_if_dead(host: &Host, throw_away: &ThrowAway) -> Result<bool, Outcome> {
    match host.store.throw_away(&throw_away.domain).lock()? {
        LockAttempt::Held { .. } => Ok(false),
        LockAttempt::Taken(lock) => {
            cold::remove(host, throw_away, &lock).await?;
            Ok(true)
        }
    }
}

/// Ours whose time is over, by their runs.
fn expired(host: &Host, found: &[Marked], now: Timestamp) -> BTreeMap<String, ThrowAway> {
    let goes = found.iter().filter_map(|marked| match fate(&marked.labels, NAMESPACE, &host.host_key, now) {
        Fate::Goes(mark) => Some(mark),
        Fate::Foreign | Fate::Young(_) | Fate::Doubtful(_) => None,
    });
    let named = goes.filter_map(|mark| {
        let (stack, run) = (mark.stack.clone(), mark.run().to_owned());
        Some((run.clone(), ThrowAway { domain: domain_of(&stack)?, stack, run }))
    });
    named.collect()
}

/// No label of a domain has an underscore, so nothing is lost on the way to a stack's name.
fn domain_of(stack: &StackName) -> Option<Domain> {
    stack.as_str().replace('_', ".").parse().ok()
}

fn doubtful(host: &Host, found: &[Marked], now: Timestamp) -> Vec<String> {
    let told = found.iter().filter_map(|marked| match fate(&marked.labels, NAMESPACE, &host.host_key, now) {
        Fate::Doubtful(why) => {
            let stack = marked.labels.get(NAMESPACE).cloned();
            let (what, way_out) = match stack {
                Some(stack) => (format!("what is left of stack {stack}"), format!("docker stack rm {stack}")),
                None => {
                    let (kind, name) = (marked.kind.word(), &marked.name);
                    (format!("{kind} {name}"), format!("docker {kind} rm {name}"))
                }
            };
            Some(format!(
                "{what} is marked as a throw-away stack whose time is over, and stays: {why}; where no other host uses this \
                 Engine, remove it (`{way_out}`)"
            ))
        }
        Fate::Foreign | Fate::Young(_) | Fate::Goes(_) => None,
    });
    told.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Folders of runs that died before they had made anything, or after they had removed it.
fn forget_folders(host: &Host, found: &[Marked]) -> Result<(), Outcome> {
    let stacks: BTreeSet<&str> =
        found.iter().filter_map(|marked| marked.labels.get(NAMESPACE).map(String::as_str)).collect();
    for domain in host.store.throw_aways()? {
        let is_there = domain.stack().is_ok_and(|stack| stacks.contains(stack.as_str()));
        if is_there {
            continue;
        }
        if let LockAttempt::Taken(lock) = host.store.throw_away(&domain).lock()? {
            host.store.forget_throw_away(&domain, &lock)?;
            info!(%domain, "what was kept of a throw-away stack is removed");
        }
    }
    Ok(())
}
