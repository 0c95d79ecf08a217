//! An app's stack as it stands, and whether this is the Swarm and the Engine that held it before.
//!
//! The Swarm's id costs one cheap call for all apps of a run. The Engine is asked for the rest, which takes it ten
//! milliseconds, only where something is not as it was.

use futures_util::future::try_join;
use tokio::sync::OnceCell;

use super::{Host, Run};
use crate::config;
use crate::host::engine::EngineError;
use crate::host::swarm::{Swarm, SwarmInfo};
use crate::host::volumes;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::policy::{self, Here};
use crate::reconcile::Judged;

/// One look at an app.
pub struct Sight {
    pub observed: Observed,
    pub place: Place,
}

/// The Swarm that holds the app now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub swarm: Option<String>,
    /// What is to be known where it is another one than before.
    pub told: Option<String>,
}

/// What the Engine says of itself, asked once however many apps want to know.
#[derive(Debug, Default)]
pub struct KnownOfEngine {
    swarm: OnceCell<Option<String>>,
    info: OnceCell<SwarmInfo>,
}

impl KnownOfEngine {
    async fn swarm(&self, swarm: &Swarm) -> Result<Option<String>, EngineError> {
        self.swarm.get_or_try_init(|| swarm.id()).await.cloned()
    }

    pub async fn info(&self, swarm: &Swarm) -> Result<&SwarmInfo, EngineError> {
        self.info.get_or_try_init(|| swarm.info()).await
    }
}

impl Host {
    /// Looks at the app's stack and compares the Swarm with the recorded one.
    ///
    /// # Errors
    /// `Blocked` where this node keeps no stacks, or the app's data is with another Engine; `Error` when the Engine
    /// cannot be asked.
    pub async fn sight(&self, app: &config::App, state: &State) -> Result<Sight, Outcome> {
        match try_join(self.swarm.observe(&app.stack), self.known.swarm(&self.swarm)).await {
            Ok((observed, swarm)) => {
                let told = self.elsewhere(state, swarm.as_deref(), &observed).await?;
                Ok(Sight { observed, place: Place { swarm, told } })
            }
            Err(error) => Err(self.why_unseen(error).await),
        }
    }

    async fn why_unseen(&self, error: EngineError) -> Outcome {
        if !error.is_no_manager() {
            return error.into();
        }
        match self.known.info(&self.swarm).await.map(SwarmInfo::keeps_no_stacks) {
            Ok(Some(why)) => Outcome::Blocked(why),
            Ok(None) | Err(_) => error.into(),
        }
    }

    async fn elsewhere(
        &self,
        state: &State,
        swarm: Option<&str>,
        observed: &Observed,
    ) -> Result<Option<String>, Outcome> {
        let Some(current) = &state.current else { return Ok(None) };
        let another = state.swarm.is_some() && state.swarm.as_deref() != swarm;
        if !another && policy::has_lost_volumes(&current.body, observed).is_none() {
            return Ok(None);
        }
        let info = self.known.info(&self.swarm).await?;
        let swarm = info.swarm.as_deref().unwrap_or_default();
        let file_system = volumes::file_system(&info.data_root);
        let file_system = file_system.as_deref();
        let here = Here { swarm, nodes: info.nodes, data_root: &info.data_root, file_system };
        policy::is_elsewhere(state, &here, observed).map_err(Outcome::Blocked)
    }
}

impl Run<'_> {
    /// Records where the app is healthy now, if that is not where it was. Its volumes are there then, or it has none.
    pub(super) async fn remember(&mut self, judged: &Judged, place: &Place) -> Result<(), Outcome> {
        let is_known = self.state.swarm == place.swarm && !self.is_on_new_disk();
        if *judged != Judged::Healthy || self.state.current.is_none() || is_known {
            return Ok(());
        }
        self.note_place().await?;
        Ok(self.dir.write_state(&self.lock, &self.state)?)
    }

    /// Looked up where the data root was, which costs no call. What cannot be told is no news.
    fn is_on_new_disk(&self) -> bool {
        let today = self.state.data_root.as_deref().and_then(volumes::file_system);
        today.is_some() && today != self.state.file_system
    }

    pub(super) async fn note_place(&mut self) -> Result<(), Outcome> {
        let here = self.host.known.info(&self.host.swarm).await?;
        self.state.swarm = here.swarm.clone();
        self.state.data_root = Some(here.data_root.clone());
        self.state.file_system = volumes::file_system(&here.data_root);
        Ok(())
    }
}
