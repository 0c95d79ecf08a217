//! Realms of single runs on the warm Keycloak: making, proving, removing and reaping them.
//!
//! Every step can be done again: what is there is left, what is missing is added, and what is handed out has just been
//! used to log in. The border: no Engine is asked, and the app's lock is not taken. The surprise: while an upgrade of
//! Keycloak is under way nothing is made or removed, for it would be undone with the upgrade.

#[cfg(test)]
mod tests;
mod warm;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{anyhow, bail};
use backon::{ExponentialBuilder, Retryable as _};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::info;

use crate::app::live::HTTPS;
use crate::config::Declared;
use crate::host::keycloak::{Discovery, KeycloakError};
use crate::host::store::{Store, random};
use crate::model::realm::{Access, Mark, RealmName, Run};
use crate::model::secret::HostKey;
use crate::policy::reaping::{Fate, Listed, fate};
use warm::{Absent, Warm};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(3);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RealmError {
    /// No Keycloak is here, or none came up in time: whoever needs one may bring another.
    #[error("cold: {0}")]
    Cold(String),
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// What became of the realms that were looked at.
#[derive(Debug, Default)]
pub struct Reaped {
    /// With their ages.
    pub gone: Vec<(RealmName, SignedDuration)>,
    /// With ours and somebody's marks on them; why they stay.
    pub doubtful: Vec<(String, String)>,
    pub failed: Vec<(RealmName, RealmError)>,
    /// Older ones that were not come to in time.
    left: Option<usize>,
    /// Why it ended before all was done, with the way out.
    pub cut_short: Option<String>,
}

/// One word with the warm Keycloak, which ends in time.
pub struct Realms<'a> {
    declared: &'a Declared,
    /// Where the proxy answers.
    address: SocketAddr,
    until: Instant,
}

impl<'a> Realms<'a> {
    pub fn within(declared: &'a Declared, time: Duration) -> Self {
        let address = SocketAddr::new(declared.proxy_address, HTTPS);
        Self { declared, address, until: Instant::now() + time }
    }

    /// Makes the run's realm with its client and its user, or completes what is there. The JSON to hand out has been
    /// used to log in, and is the same as long as the realm stands. `now` is asked when the realm is marked, which may be
    /// long after the beginning.
    ///
    /// # Errors
    /// `Cold`; `Failed` where the realm of that name is not this run's.
    pub async fn create(&self, run: &Run, now: fn() -> Timestamp) -> Result<SecretString, RealmError> {
        let create = async |warm: &Warm<'_>| {
            let key = Store::open(&self.declared.state_dir)?.host_key()?;
            self.create_now(warm, &key, run, now).await
        };
        self.lastingly(create).await
    }

    /// Acts while no upgrade of Keycloak is under way that could undo it, and again where one was meanwhile.
    async fn lastingly<T>(
        &self,
        mut act: impl AsyncFnMut(&Warm<'_>) -> Result<T, RealmError>,
    ) -> Result<T, RealmError> {
        loop {
            let warm = self.undisturbed().await?;
            let done = act(&warm).await?;
            // One that has begun meanwhile may have taken its snapshot before.
            if warm.open_transaction()?.is_none() {
                return Ok(done);
            }
        }
    }

    async fn undisturbed(&self) -> Result<Warm<'_>, RealmError> {
        loop {
            let warm = self.installed().await?;
            let Some(what) = warm.open_transaction()? else { return Ok(warm) };
            self.wait_or_be_cold(format!("{what}: what is done to realms now could be undone with it")).await?;
        }
    }

    async fn installed(&self) -> Result<Warm<'_>, RealmError> {
        loop {
            match Warm::of(self.declared, self.address, self.until) {
                Ok(warm) => return Ok(warm),
                Err(Absent::Error(error)) => return Err(error),
                Err(Absent::Coming(what)) => self.wait_or_be_cold(what).await?,
            }
        }
    }

    async fn wait_or_be_cold(&self, why: String) -> Result<(), RealmError> {
        if Instant::now() >= self.until {
            return Err(RealmError::Cold(why));
        }
        sleep(BETWEEN_LOOKS).await;
        Ok(())
    }

    /// Begins again where somebody removes the realm meanwhile, until the time is over.
    async fn create_now(
        &self,
        warm: &Warm<'_>,
        key: &HostKey,
        run: &Run,
        now: fn() -> Timestamp,
    ) -> Result<SecretString, RealmError> {
        loop {
            match self.create_once(warm, key, run, now).await {
                Err(RealmError::Failed(error)) if is_missing(&error) && Instant::now() < self.until => {
                    info!(realm = %run.realm(), cause = %error, "realm is gone, and is made again");
                    sleep(BETWEEN_LOOKS).await;
                }
                told => return told,
            }
        }
    }

    async fn create_once(
        &self,
        warm: &Warm<'_>,
        key: &HostKey,
        run: &Run,
        now: fn() -> Timestamp,
    ) -> Result<SecretString, RealmError> {
        let name = run.realm();
        let found = match self.patiently(warm, async || warm.keycloak.realm(&name).await).await? {
            Some(listed) => Found { listed, is_new: false },
            None => self.make(warm, run, now).await?,
        };
        let mark = mark_of(&found.listed, run)?.renewed(now());
        let access = Access::of(&name, &mark, key);
        if !found.is_new {
            // Before anything else: whoever reaps goes by it.
            self.patiently(warm, async || warm.keycloak.renew_realm(&found.listed, &mark).await).await?;
            match self.prove(warm, &access).await {
                Ok(proof) => return Ok(access.handed_out(&proof.discovery.issuer)),
                Err(Unproved::No(why)) => info!(realm = %name, cause = %why, "realm is completed"),
                Err(Unproved::Error(error)) => return Err(error),
            }
        }
        self.patiently(warm, async || warm.keycloak.put_client(&access).await).await?;
        self.patiently(warm, async || warm.keycloak.put_user(&access).await).await?;
        let proof = self.prove(warm, &access).await?;
        Ok(access.handed_out(&proof.discovery.issuer))
    }

    /// A realm that was not there a moment ago.
    async fn make(&self, warm: &Warm<'_>, run: &Run, now: fn() -> Timestamp) -> Result<Found, RealmError> {
        let name = run.realm();
        let mark = run.mark(now(), &mut random);
        // Whoever was first has chosen the salt.
        let (is_new, listed) = self.patiently(warm, async || warm.keycloak.make_and_read(&name, &mark).await).await?;
        if is_new {
            info!(realm = %name, "realm is made");
        }
        Ok(Found { listed, is_new })
    }

    /// Logs in with what is handed out, as the user and as the client.
    async fn prove(&self, warm: &Warm<'_>, access: &Access) -> Result<Proof, Unproved> {
        let keycloak = &warm.keycloak;
        let no = |error| warm.unproved(error);
        let discovery = self.asked(warm, async || keycloak.discover(&access.realm).await).await.map_err(no)?;
        if discovery.issuer != warm.issuer(&access.realm) {
            return Err(Unproved::Error(warm.issued_elsewhere(&access.realm, &discovery.issuer)));
        }
        Ok(Proof {
            discovery,
            user: self.asked(warm, async || keycloak.user_token(access).await).await.map_err(no)?,
            client: self.asked(warm, async || keycloak.client_token(access).await).await.map_err(no)?,
        })
    }

    /// Does what a run's app does: both grants, and each token shown to `userinfo`. Changes nothing.
    ///
    /// # Errors
    /// The first part that fails, with the way out.
    pub async fn check(&self, run: &Run) -> Result<(), RealmError> {
        let warm = self.installed().await?;
        let name = run.realm();
        let missing =
            || anyhow!("there is no realm {name}: `evenkeel realm create` makes it for the same parent and run");
        let listed = self.patiently(&warm, async || warm.keycloak.realm(&name).await).await?.ok_or_else(missing)?;
        let mark = mark_of(&listed, run)?;
        let key = Store::for_reading(&self.declared.state_dir).existing_host_key()?;
        let lost = || anyhow!("{} has no host.key any more; {MEND}", self.declared.state_dir.display());
        let key = key.ok_or_else(lost)?;
        let access = Access::of(&name, &mark, &key);
        self.log_in_as_a_run_does(&warm, &access).await.map_err(|unproved| match unproved {
            Unproved::No(why) => anyhow!("{why}; {MEND}").into(),
            Unproved::Error(error) => error,
        })
    }

    async fn log_in_as_a_run_does(&self, warm: &Warm<'_>, access: &Access) -> Result<(), Unproved> {
        let proof = self.prove(warm, access).await?;
        self.is_accepted(warm, access, &proof.user, access.user).await?;
        self.is_accepted(warm, access, &proof.client, &format!("service-account-{}", access.client_id)).await
    }

    async fn is_accepted(
        &self,
        warm: &Warm<'_>,
        access: &Access,
        token: &SecretString,
        whose: &str,
    ) -> Result<(), Unproved> {
        let info = self.asked(warm, async || warm.keycloak.user_info(&access.realm, token).await).await;
        let name = info.map_err(|error| warm.unproved(error))?.preferred_username.unwrap_or_default();
        match name == whose {
            true => Ok(()),
            false => Err(Unproved::No(anyhow!(
                "userinfo of {} takes the token of {whose} for one of {name:?}",
                access.realm
            ))),
        }
    }

    /// Removes a realm of runs; `false`: there is none.
    ///
    /// # Errors
    /// `Failed`, too, for a realm that was not made here, or not for this run.
    pub async fn delete(&self, name: &RealmName, of: Option<&Run>) -> Result<bool, RealmError> {
        let mut was_there = false;
        let remove = async |warm: &Warm<'_>| match self.remove(warm, name, |listed| may_go(listed, name, of)).await? {
            Removed::Gone => {
                was_there = true;
                Ok(())
            }
            Removed::NotThere => Ok(()),
            Removed::Stays(why) => Err(why.into()),
        };
        self.lastingly(remove).await?;
        Ok(was_there)
    }

    /// Removes the realms that runs left behind: those that are older than this.
    ///
    /// # Errors
    /// Where nothing can be listed, or the time was over before any was removed. What cannot be removed is among the
    /// [`Reaped`].
    pub async fn reap(&self, older_than: SignedDuration, now: Timestamp) -> Result<Reaped, RealmError> {
        let mut reaped = Reaped::default();
        let reap = async |warm: &Warm<'_>| self.reap_now(warm, older_than, now, &mut reaped).await;
        match self.lastingly(reap).await {
            Err(RealmError::Cold(why)) if !reaped.gone.is_empty() => {
                let left =
                    reaped.left.take().map_or_else(String::new, |left| format!("{left} older realms are left: "));
                reaped.cut_short = Some(format!("{left}{why}; {MORE_TIME}"));
            }
            told => told?,
        }
        Ok(reaped)
    }

    async fn reap_now(
        &self,
        warm: &Warm<'_>,
        older_than: SignedDuration,
        now: Timestamp,
        reaped: &mut Reaped,
    ) -> Result<(), RealmError> {
        let is_left_behind = |listed: &Listed| left_behind(listed, older_than, now);
        (reaped.doubtful, reaped.failed, reaped.left) = (Vec::new(), Vec::new(), None);
        let mut old = self.old_ones(warm, older_than, now, reaped).await?.into_iter();
        while let Some((name, age)) = old.next() {
            match self.remove(warm, &name, is_left_behind).await {
                Ok(Removed::Gone) => reaped.gone.push((name, age)),
                Ok(Removed::NotThere | Removed::Stays(_)) => {}
                Err(cold @ RealmError::Cold(_)) => {
                    reaped.left = Some(old.len() + 1);
                    return Err(cold);
                }
                Err(error) => reaped.failed.push((name, error)),
            }
        }
        Ok(())
    }

    /// The realms that go, with their ages; those in doubt are taken down.
    async fn old_ones(
        &self,
        warm: &Warm<'_>,
        older_than: SignedDuration,
        now: Timestamp,
        reaped: &mut Reaped,
    ) -> Result<Vec<(RealmName, SignedDuration)>, RealmError> {
        let mut old = Vec::new();
        for listed in self.patiently(warm, async || warm.keycloak.realms().await).await? {
            match fate(&listed, older_than, now) {
                Fate::Foreign | Fate::Young => {}
                Fate::Doubtful(why) => reaped.doubtful.push((listed.name, format!("{why}; {BY_HAND}"))),
                Fate::Goes(name, age) => old.push((name, age)),
            }
        }
        Ok(old)
    }

    /// Removes a realm that may go. It is read anew just before each try: a run may have been handed it since it was
    /// listed, and whatever has its name after a try without an answer may be another one.
    async fn remove(
        &self,
        warm: &Warm<'_>,
        name: &RealmName,
        may_go: impl Fn(&Listed) -> anyhow::Result<()>,
    ) -> Result<Removed, RealmError> {
        // When it is gone at the second try, the first may have been what did it.
        let is_tried = Cell::new(false);
        let act = async || {
            let Some(listed) = warm.keycloak.realm(name).await? else {
                return Ok(if is_tried.get() { Removed::Gone } else { Removed::NotThere });
            };
            if let Err(why) = may_go(&listed) {
                return Ok(Removed::Stays(why));
            }
            is_tried.set(true);
            warm.keycloak.remove_realm(name).await.map(|_| Removed::Gone)
        };
        let removed = self.patiently(warm, act).await?;
        if let Removed::Gone = removed {
            info!(realm = %name, "realm is removed");
        }
        Ok(removed)
    }

    async fn patiently<T>(
        &self,
        warm: &Warm<'_>,
        act: impl AsyncFn() -> Result<T, KeycloakError>,
    ) -> Result<T, RealmError> {
        self.asked(warm, act).await.map_err(|error| warm.failed(error))
    }

    /// Each try with the certificate that is to be served then.
    async fn asked<T>(
        &self,
        warm: &Warm<'_>,
        act: impl AsyncFn() -> Result<T, KeycloakError>,
    ) -> Result<T, KeycloakError> {
        let looking = async || {
            warm.look_again();
            act().await
        };
        self.told(looking).await
    }

    /// Asks again while it may help, until the time is over; then the last answer counts.
    async fn told<T>(&self, act: impl AsyncFn() -> Result<T, KeycloakError>) -> Result<T, KeycloakError> {
        let last = RefCell::new(KeycloakError::Away("no time was left to ask".to_owned()));
        let waits = ExponentialBuilder::default()
            .with_min_delay(FIRST_WAIT)
            .with_max_delay(LONGEST_WAIT)
            .with_jitter()
            .without_max_times();
        let asked = (|| act()).retry(waits).when(KeycloakError::may_pass).notify(|error, _| {
            if last.replace(error.clone()) != *error {
                info!(cause = %error, "waiting for Keycloak");
            }
        });
        match timeout_at(self.until, asked).await {
            Ok(told) => told,
            Err(_) => Err(last.into_inner()),
        }
    }
}

/// The run's realm as it is, and whether it was this process that made it.
struct Found {
    listed: Listed,
    is_new: bool,
}

/// What became of a realm that was to be removed.
enum Removed {
    Gone,
    NotThere,
    Stays(anyhow::Error),
}

/// What is handed out has been used.
struct Proof {
    discovery: Discovery,
    /// The tokens that came of it.
    user: SecretString,
    client: SecretString,
}

/// Why what is handed out was not seen to work.
enum Unproved {
    /// Keycloak says no to it.
    No(anyhow::Error),
    Error(RealmError),
}

impl From<Unproved> for RealmError {
    fn from(unproved: Unproved) -> Self {
        match unproved {
            Unproved::No(why) => RealmError::Failed(why),
            Unproved::Error(error) => error,
        }
    }
}

const MEND: &str = "`evenkeel realm create` with the same parent and run mends the realm";
const MORE_TIME: &str = "run it again, or give it more time with --within";
const BY_HAND: &str = "look at it in Keycloak's console, and remove it there if nobody needs it";

/// The marks of a realm that has the name of the run's.
fn mark_of(listed: &Listed, run: &Run) -> Result<Mark, RealmError> {
    let name = &listed.name;
    match Mark::read(&listed.attributes) {
        Ok(Some(mark)) if run.is_of(&mark) => Ok(mark),
        Ok(Some(mark)) => {
            Err(anyhow!("realm {name} is that of another run ({}): give this one another id", mark.run).into())
        }
        Ok(None) => {
            let why = "was not made by `evenkeel realm create`, and is left alone: give the run another id";
            Err(anyhow!("realm {name} {why}").into())
        }
        Err(damaged) => Err(anyhow!("realm {name} cannot be used: {damaged}; {BY_HAND}").into()),
    }
}

/// Whether it is Keycloak's word for a realm, or a part of it, that is not there.
fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(KeycloakError::Refused { status: 404, .. }))
}

/// Whether somebody may remove a realm by its name, or as that of a run.
fn may_go(listed: &Listed, name: &RealmName, of: Option<&Run>) -> anyhow::Result<()> {
    match (Mark::read(&listed.attributes), of) {
        (Ok(Some(mark)), Some(run)) if !run.is_of(&mark) => {
            bail!("realm {name} is that of another run ({}), and stays", mark.run)
        }
        (Ok(Some(mark)), _) if name.fits(&mark) => Ok(()),
        (Ok(_), _) => bail!("realm {name} was not made by `evenkeel realm create`, and stays"),
        (Err(damaged), _) => bail!("realm {name} stays: {damaged}; {BY_HAND}"),
    }
}

/// Whether a realm still is as it was when it was found to have been left behind.
fn left_behind(listed: &Listed, older_than: SignedDuration, now: Timestamp) -> anyhow::Result<()> {
    match fate(listed, older_than, now) {
        Fate::Goes(..) => Ok(()),
        Fate::Foreign | Fate::Young | Fate::Doubtful(_) => bail!("realm {} is in use again, and stays", listed.name),
    }
}
