//! How a service uses secrets and configs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::recipe::compose::model::{CredentialSpec, FileObject, FileReference, Project, Service};

/// `Secrets` and `Configs` of a container, without ids, sorted by name.
#[derive(Default)]
pub struct References {
    pub secrets: Vec<Value>,
    pub configs: Vec<Value>,
}

/// What may be mounted of one kind.
struct Kind<'a> {
    word: &'static str,
    name_field: &'static str,
    objects: &'a BTreeMap<String, FileObject>,
}

impl Kind<'_> {
    /// What to do about a name that is not declared: a mistyped one is like one that is. Of very many that are declared
    /// none is named, because each of very many may be missing.
    fn way_out(&self, name: &str) -> String {
        const MOST: usize = 100;
        let told = if self.objects.len() <= MOST { MOST } else { 0 };
        let declared = || self.objects.keys().map(String::as_str).take(told);
        let declare = format!("declare it under top-level {}s", self.word);
        match nearest(name, declared()) {
            Some(near) => format!("did you mean {near:?}? Else {declare}"),
            None if declared().next().is_none() => declare,
            None => format!("declared are {}; {declare}, too", declared().collect::<Vec<_>>().join(", ")),
        }
    }
}

pub fn of_service(
    name: &str,
    service: &Service,
    project: &Project,
    stack: &StackName,
    found: &mut Diagnostics,
) -> References {
    let secrets = Kind { word: "secret", name_field: "SecretName", objects: &project.secrets };
    let configs = Kind { word: "config", name_field: "ConfigName", objects: &project.configs };
    References {
        secrets: mounted(name, &service.secrets, &secrets, stack, found),
        configs: mounted(name, &service.configs, &configs, stack, found),
    }
}

/// The Swarm's name of a secret or config of the recipe.
pub fn object_name(key: &str, object: &FileObject, stack: &StackName) -> String {
    if object.name.is_empty() { format!("{stack}_{key}") } else { object.name.clone() }
}

fn mounted(
    service: &str,
    references: &[FileReference],
    kind: &Kind,
    stack: &StackName,
    found: &mut Diagnostics,
) -> Vec<Value> {
    let mut targets = BTreeSet::new();
    let mut bodies: Vec<(String, Value)> = Vec::new();
    for reference in references {
        let mut fault = |message: String, hint: String| {
            let message = format!("service {service}: {message}");
            found.push(Diagnostic::error(reference.place.clone(), message).hint(hint));
        };
        let (word, source) = (kind.word, &reference.source);
        let Some(object) = kind.objects.get(source) else {
            fault(format!("undefined {word} {source:?}"), kind.way_out(source));
            continue;
        };
        let target = if reference.target.is_empty() { source } else { &reference.target };
        if !targets.insert(target) {
            let hint = "each needs a target of its own".to_owned();
            fault(format!("duplicate {word} target for {source} not allowed"), hint);
            continue;
        }
        let name = object_name(source, object, stack);
        let file = json!({
            "Name": target,
            "UID": owner(&reference.uid),
            "GID": owner(&reference.gid),
            "Mode": reference.mode.unwrap_or(0o444),
        });
        let mut body = json!({ "File": file });
        body[kind.name_field] = json!(name);
        bodies.push((name, body));
    }
    bodies.sort_by(|(a, _), (b, _)| a.cmp(b));
    bodies.into_iter().map(|(_, body)| body).collect()
}

fn owner(id: &str) -> &str {
    if id.is_empty() { "0" } else { id }
}

/// `CredentialSpec`: a means of Windows. One from a config would need its id inside the spec.
pub fn credential_spec(spec: &CredentialSpec, fault: &mut impl FnMut(String)) -> Value {
    match (spec.config.as_str(), spec.file.as_str(), spec.registry.as_str()) {
        ("", "", "") => Value::Null,
        ("", file, "") => json!({ "Config": "", "File": file, "Registry": "" }),
        ("", "", registry) => json!({ "Config": "", "File": "", "Registry": registry }),
        (_, "", "") => {
            fault("credential_spec.config is not supported; it is of use on Windows only".to_owned());
            Value::Null
        }
        _ => {
            fault("invalid credential spec: only one of config, file and registry".to_owned());
            Value::Null
        }
    }
}
