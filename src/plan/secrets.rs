//! Secrets: Swarm never gives their bytes back, so whether one is right is told by its name alone.

use super::{Act, Context, Draft, NAMESPACE_LABEL, Object, PlanError, SecretData};
use crate::desired::{Desired, DesiredSecret, SecretSource};
use crate::model::observed::Observed;
use crate::model::secret::Rule;

pub(super) fn plan(observed: &Observed, desired: &Desired, context: &Context, draft: &mut Draft) {
    let volume = existing_volume(observed, desired);
    for secret in &desired.secrets {
        draft.check_length(Object::Secret, &secret.name);
        if let Some(live) = observed.secrets.get(&secret.name) {
            let Some(owner) = super::other_owner(&live.labels, &desired.stack) else {
                draft.unchanged += 1;
                continue;
            };
            let (key, name, owner) = (secret.key.clone(), secret.name.clone(), owner.to_owned());
            draft.errors.push(PlanError::SecretOfAnotherStack { key, name, owner });
            continue;
        }
        match data(secret, context, volume.as_deref()) {
            Ok(data) => {
                let reason = reason(&data);
                let act = Act::CreateSecret { spec: secret.spec.clone(), data };
                draft.change(Object::Secret, &secret.name, act, reason);
            }
            Err(error) => draft.errors.push(error),
        }
    }
}

fn data(secret: &DesiredSecret, context: &Context, volume: Option<&str>) -> Result<SecretData, PlanError> {
    let kept = context.kept_secrets.contains(&secret.name);
    match &secret.source {
        SecretSource::Bytes(bytes) => Ok(SecretData::Given(bytes.clone())),
        SecretSource::Driver => Ok(SecretData::Driver),
        SecretSource::External | SecretSource::Generated(_) if kept => Ok(SecretData::Kept),
        SecretSource::External => {
            Err(PlanError::ExternalSecretMissing { key: secret.key.clone(), name: secret.name.clone() })
        }
        SecretSource::Generated(rule) => generated(secret, rule, volume),
    }
}

/// A database keeps the password that it was made with: a fresh one beside an old volume locks the app out.
fn generated(secret: &DesiredSecret, rule: &Rule, volume: Option<&str>) -> Result<SecretData, PlanError> {
    let (key, name) = (secret.key.clone(), secret.name.clone());
    if !rule.generate {
        return Err(PlanError::SecretNotGiven { key, name });
    }
    match volume {
        Some(volume) => Err(PlanError::SecretLostWithVolume { key, name, volume: volume.to_owned() }),
        None => Ok(SecretData::Generated(rule.clone())),
    }
}

fn reason(data: &SecretData) -> &'static str {
    match data {
        SecretData::Given(_) => "is not there; its content is given",
        SecretData::Kept => "is not there; its content is kept on this host",
        SecretData::Generated(_) => "is not there and is made now",
        SecretData::Driver => "is not there; a driver gives its content",
    }
}

/// A volume of the stack that holds, or may hold, data.
fn existing_volume(observed: &Observed, desired: &Desired) -> Option<String> {
    let mounted = super::services::volumes(desired.services.iter().map(|service| &service.spec));
    let stack = desired.stack.as_str();
    let ours = observed.volumes.values().find(|volume| {
        let labelled = volume.labels.get(NAMESPACE_LABEL).is_some_and(|owner| owner == stack);
        labelled || mounted.contains(volume.name.as_str())
    });
    ours.map(|volume| volume.name.clone())
}
