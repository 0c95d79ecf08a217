//! Secrets whose bytes come from a file that a compose file names.
//!
//! Swarm never gives a secret's bytes back and takes no others under the same name, so a file that has changed would go
//! unseen. The plain name is kept, as the Docker CLI would have it, until the content changes; from then on the name
//! follows it.

use std::collections::BTreeSet;

use super::Surroundings;
use crate::desired::{self, Desired, SecretSource};
use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::secret::version_of_given;
use crate::model::state::SecretVersion;

/// A secret of the recipe or of an overlay, and what its name is to follow.
pub(super) struct OfFile {
    /// Under which its version is recorded: by the name that the recipe gives it, so that a new one begins anew. No
    /// key of a recipe has a colon.
    pub recorded_as: String,
    pub version: SecretVersion,
    key: String,
    name: String,
}

impl OfFile {
    /// The body changed and its name did not: told before anything is touched.
    pub fn told(&self) -> Option<Diagnostic> {
        let Self { key, version, name, .. } = self;
        let message = format!("secret {key}: its file changed and its name did not; it is taken as {name}");
        let hint = "give its name a version, as in name: ${STACK_NAME}_key_v2";
        (!version.version.is_empty()).then(|| Diagnostic::warning(None, message).hint(hint))
    }
}

/// Gives each its name. An empty version stands for the plain name.
pub(super) fn follow_contents(desired: &mut Desired, around: &Surroundings) -> Vec<OfFile> {
    let mut of_files = Vec::new();
    let mut renamed = Vec::new();
    for secret in &mut desired.secrets {
        let SecretSource::Bytes(bytes) = &secret.source else { continue };
        if around.given.secrets.contains_key(&secret.key) {
            continue;
        }
        let content = around.host_key.content_version(bytes.expose());
        let recorded_as = format!("file:{}", secret.name);
        let recorded = around.recorded.secret_versions.get(&recorded_as);
        let version = version_of_given(recorded, &content, Some(""), true);
        if !version.is_empty() {
            let name = format!("{}_{version}", secret.name);
            renamed.push((std::mem::replace(&mut secret.name, name.clone()), name.clone()));
            secret.spec["Name"] = name.into();
        }
        let version = SecretVersion { version, content };
        of_files.push(OfFile { recorded_as, version, key: secret.key.clone(), name: secret.name.clone() });
    }
    for (from, to) in renamed {
        desired::rename_secret(desired, &from, &to);
    }
    of_files
}

/// A name inside the stack; what the recipe wants from outside would otherwise be shared with any other stack of the
/// same content, and be gone with the first of them.
pub(super) fn of_stack(stack: &StackName, name: &str) -> String {
    match name.strip_prefix(stack.as_str()).is_some_and(|rest| rest.starts_with('_')) {
        true => name.to_owned(),
        false => format!("{stack}_{name}"),
    }
}

/// Versions by content are put behind names that were checked without them.
pub(super) fn refuse_long_names(desired: &Desired, checked: &BTreeSet<String>) -> Diagnostics {
    let renamed = desired.secrets.iter().filter(|secret| !checked.contains(&secret.name));
    let faults = renamed.filter_map(|secret| desired::object_name_fault("secret", &secret.key, &secret.name));
    Diagnostics(faults.collect())
}
