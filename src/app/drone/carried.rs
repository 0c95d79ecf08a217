//! What the services of a release carry of a CI server: of which engine it is, and by which Gitea people sign in.

use serde_json::Value;

use crate::config;
use crate::desired::{Desired, DesiredService};
use crate::model::ci::{BuildEngine, Ci, ENGINES};
use crate::model::secret::Hidden;

/// One engine's words of a release.
pub struct Carried<'d> {
    pub ci: &'static Ci,
    /// Gitea's address, without a slash at its end.
    pub server: &'d str,
    pub client_id: &'d str,
}

/// What a release carries: of this engine, or else of any other.
pub fn by(desired: &Desired, engine: BuildEngine) -> Option<Carried<'_>> {
    let others = ENGINES.into_iter().map(|(_, other)| other);
    std::iter::once(engine).chain(others).find_map(|engine| of(desired, engine.ci()))
}

fn of<'d>(desired: &'d Desired, ci: &'static Ci) -> Option<Carried<'d>> {
    let first = |variables: &[&str]| given(desired, variables).next().map(|(_, _, value)| value);
    let server = first(ci.server_variables)?.trim_end_matches('/');
    Some(Carried { ci, server, client_id: first(ci.client_id_variables)? })
}

/// The services that are the server, as far as it can be told: those that know a Gitea.
pub fn servers<'d>(desired: &'d Desired, ci: &'static Ci) -> impl Iterator<Item = &'d DesiredService> {
    let knows = |service: &&DesiredService| environment(service).any(|(name, _)| ci.server_variables.contains(&name));
    desired.services.iter().filter(knows)
}

/// Whether a release carries what is declared: each variable that says it has to say the same, and one has to say it.
///
/// # Errors
/// Which service carries something else, or that none does, with the way out.
pub fn agrees(
    desired: &Desired,
    ci: &'static Ci,
    gitea: &config::Gitea,
    hidden: Option<&Hidden>,
) -> Result<(), String> {
    let same_server = |value: &str| match ci.forgives_slash {
        true => value.trim_end_matches('/') == gitea.server,
        false => value == gitea.server,
    };
    all_say(desired, ci.server_variables, &gitea.server, same_server, hidden)?;
    all_say(desired, ci.client_id_variables, &gitea.client_id, |value| value == gitea.client_id, hidden)
}

fn all_say(
    desired: &Desired,
    variables: &[&str],
    wanted: &str,
    same: impl Fn(&str) -> bool,
    hidden: Option<&Hidden>,
) -> Result<(), String> {
    let mut found = given(desired, variables).peekable();
    if found.peek().is_none() {
        return Err(format!(
            "no service carries the variable {}, which is to be {wanted}: name the compose files that have it in `compose`, or \
             give the recipe's own variable for it in `env`",
            variables.join(" or ")
        ));
    }
    match found.find(|(_, _, value)| !same(value)) {
        None => Ok(()),
        Some((service, name, value)) => {
            let is_shown = hidden.is_some_and(|hidden| !hidden.hides(name, value));
            let value = if is_shown { format!("{name}={value}") } else { format!("another {name} than declared") };
            Err(format!(
                "service {service} carries {value}, and `gitea` says {wanted}: make the two agree, in `gitea` or by the \
                 recipe's own variable in `env`"
            ))
        }
    }
}

/// Service, variable and value, where there is one; in the order of the variables.
fn given<'d>(desired: &'d Desired, variables: &[&str]) -> impl Iterator<Item = (&'d str, &'d str, &'d str)> {
    let of = |variable: &str| {
        let of_service = |service: &'d DesiredService| {
            let values = environment(service).filter(|(name, value)| *name == variable && !value.is_empty());
            values.map(|(name, value)| (service.name.as_str(), name, value)).collect::<Vec<_>>()
        };
        desired.services.iter().flat_map(of_service).collect::<Vec<_>>()
    };
    variables.iter().flat_map(|variable| of(variable)).collect::<Vec<_>>().into_iter()
}

pub fn environment(service: &DesiredService) -> impl Iterator<Item = (&str, &str)> {
    let entries = service.spec["TaskTemplate"]["ContainerSpec"]["Env"].as_array().into_iter().flatten();
    entries.filter_map(Value::as_str).filter_map(|entry| entry.split_once('='))
}
