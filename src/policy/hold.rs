//! A version that is not taken by itself: why, and the way out.

use super::barrier::Barrier;
use crate::model::alert::Reason;
use crate::model::app::AppName;
use crate::model::approval::Approval;
use crate::model::version::Revision;
use crate::recipe::notes::Notes;

/// How many reasons are told, and how much of each, in characters.
const MOST: usize = 10;
const LONGEST: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub current: Revision,
    pub target: Revision,
    /// The configuration pins it; else it is the newest.
    pub is_asked_for: bool,
    /// None of a version whose tag was moved: that is no version to take.
    pub barriers: Vec<Barrier>,
    /// One that does not lift all of them.
    pub approval: Option<Approval>,
    /// The release notes on the way to it.
    pub notes: Notes,
}

impl Hold {
    pub(super) fn moved(current: Revision, target: Revision) -> Self {
        let (barriers, notes) = (Vec::new(), Notes::default());
        Self { current, target, is_asked_for: false, barriers, approval: None, notes }
    }

    /// As what kind of alert a person is told: what needs work by hand first, then what is large.
    pub fn reason(&self) -> Reason {
        let reasons: Vec<Reason> = self.barriers.iter().map(Barrier::reason).collect();
        let by_weight = [Reason::Blocked, Reason::HeldManualMigration, Reason::HeldMajor];
        by_weight.into_iter().find(|reason| reasons.contains(reason)).unwrap_or(Reason::HeldPolicy)
    }

    /// Whether a person's word is all that is missing.
    pub fn can_be_approved(&self) -> bool {
        self.barriers.iter().all(Barrier::can_be_approved)
    }

    /// Nothing is tried before a person has looked: the outcome is `blocked` rather than `held`.
    pub fn is_block(&self) -> bool {
        self.reason() == Reason::Blocked
    }

    /// What the operator is told, with the way out.
    pub fn sentence(&self, app: &AppName) -> String {
        let (current, target) = (&self.current, &self.target);
        if self.barriers.is_empty() {
            return format!(
                "the tag of version {current} was moved to commit {}, {current} as it was installed stays (commit {}); {}",
                target.commit.short(),
                current.commit.short(),
                self.next_step(app)
            );
        }
        let is = if self.is_asked_for { "is asked for" } else { "is published" };
        let approved = self.approval.as_ref().map(|approval| format!(" ({} approved it before that)", approval.by));
        format!(
            "{target} {is} and {current} runs: {}{}; {}",
            self.why(),
            approved.filter(|_| self.can_be_approved()).unwrap_or_default(),
            self.next_step(app)
        )
    }

    /// Strangers write recipes: a sentence stays one that can be read.
    fn why(&self) -> String {
        let told = self.barriers.iter().take(MOST).map(|barrier| short(&barrier.to_string()));
        let more = self.barriers.len().saturating_sub(MOST);
        let more = (more > 0).then(|| format!("and {more} reasons more, which `evenkeel approve` lists"));
        told.chain(more).collect::<Vec<_>>().join("; ")
    }

    /// What a person can do, in commands.
    pub fn next_step(&self, app: &AppName) -> String {
        let target = argument(&self.target);
        if self.barriers.is_empty() {
            return format!("to take the new commit, name it (version = \"{}\")", self.target.commit.short());
        }
        match self.barriers.iter().find(|barrier| !barrier.can_be_approved()) {
            Some(Barrier::Older { previous: true }) => {
                format!("`evenkeel rollback {app}` goes back to it with the data that belongs to it")
            }
            Some(Barrier::Older { previous: false }) => {
                format!("ask for {} or a newer one (version = \"{}\")", self.current, argument(&self.current))
            }
            Some(_) => "put that right, and the next run looks again".to_owned(),
            None => {
                let instead = self.other_ways().map(|way| format!("; {way}")).unwrap_or_default();
                format!("`evenkeel approve {app} {target}` has it taken once, by the next run{instead}")
            }
        }
    }

    /// A default is best decided in the configuration, where it stays decided.
    fn other_ways(&self) -> Option<String> {
        let key = self.barriers.iter().find_map(|barrier| match barrier {
            Barrier::Default { key, .. } | Barrier::Secret { variable: key, .. } => Some(key),
            _ => None,
        })?;
        Some(format!("the old value stays then, and `env = {{ {key} = … }}` says another"))
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How a revision is named on the command line and in the configuration.
fn argument(revision: &Revision) -> String {
    revision.version.clone().unwrap_or_else(|| revision.commit.short().to_owned())
}
