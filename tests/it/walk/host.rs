//! What each act does on the simulated host, primitive by primitive.
//!
//! Each promise that an act makes here has a twin on a real Engine or file system; see the table in `walk.rs`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;
use evenkeel::model::state::{Failed, Previous, Release, ReleaseBody, State};
use evenkeel::model::transaction::{Candidate, Old, Purpose, Rules, Step, Transaction, Volume};
use evenkeel::model::version::Revision;
use evenkeel::upgrade::run::{Effects, Fact, Failure, Performed};
use evenkeel::upgrade::step::{Act, Side};
use jiff::Timestamp;

use super::acts::{archive, deploy, exchange, give_back, judge, prove, read_back, seal, set_aside, unpack};
use super::history::Scenario;
use super::laws;
use super::mutants::Mutant;
use super::world::{BEGAN, CRON, Cut, EARLIER, Life, SERVICES, TX, WITHIN, World};

pub type Shared = Rc<RefCell<World>>;

pub fn volume_name(volume: u8) -> String {
    format!("v{volume}")
}

pub fn volume_of(name: &str) -> u8 {
    name[1..].parse().expect("a volume of the walk")
}

pub fn tx_name(tx: u8) -> String {
    format!("t{tx}")
}

fn body(side: Side) -> ReleaseBody {
    let version = match side {
        Side::Old => "1.0.0+1",
        Side::New | Side::Before => "2.0.0+2",
    };
    ReleaseBody {
        revision: Revision { version: Some(version.into()), commit: "0".repeat(40).parse().unwrap() },
        networks: Default::default(),
        external_networks: vec![],
        secrets: Default::default(),
        configs: Default::default(),
        services: Default::default(),
        images: Default::default(),
    }
}

pub fn key(side: Side) -> &'static str {
    match side {
        Side::Old => "old",
        Side::New | Side::Before => "new",
    }
}

fn release(side: Side, snapshot: Option<String>) -> Release {
    Release { body: body(side), key: key(side).into(), since: String::new(), snapshot }
}

/// As the night before left it.
pub fn state_before(scenario: &Scenario) -> State {
    let mut state = State::new(&"wiki".parse().unwrap());
    let stored = (scenario.volumes > 0).then(|| tx_name(EARLIER));
    match scenario.purpose {
        Purpose::Upgrade | Purpose::Take => state.current = Some(release(Side::Old, None)),
        Purpose::Rollback => {
            state.current = Some(release(Side::New, None));
            state.previous = Some(Previous { release: release(Side::Old, stored), frozen: Default::default() });
        }
        Purpose::Restore => {
            state.current = Some(release(Side::Old, None));
            state.kept.extend(stored);
        }
    }
    if scenario.failed_before {
        let revision = body(Side::New).revision;
        state.failed = Some(Failed { transaction: tx_name(EARLIER), revision, ts: at(BEGAN) });
    }
    state
}

pub fn transaction(scenario: &Scenario) -> Transaction {
    let place = |name: u8| Volume { mountpoint: Some(format!("/v/{name}/_data").into()), left_out: false };
    let mut volumes: std::collections::BTreeMap<_, _> =
        (0..scenario.volumes).map(|volume| (volume_name(volume), place(volume))).collect();
    if scenario.created {
        volumes.insert(volume_name(scenario.volumes), Volume { mountpoint: None, left_out: false });
    }
    let is_upgrade = scenario.purpose == Purpose::Upgrade;
    let new = Candidate {
        body: body(Side::New),
        key: key(Side::New).into(),
        frozen: Default::default(),
        gate: ().into(),
        notes: None,
    };
    let before = match scenario.purpose {
        Purpose::Rollback => Some(Side::New),
        Purpose::Restore => Some(Side::Old),
        Purpose::Upgrade | Purpose::Take => None,
    };
    let before = before.filter(|_| scenario.can_turn);
    let before = before.map(|side| Old { release: release(side, None), frozen: Default::default(), gate: ().into() });
    let stored = (scenario.purpose.is_way_back() && scenario.volumes > 0).then(|| tx_name(EARLIER));
    Transaction {
        id: tx_name(TX),
        purpose: scenario.purpose,
        by: "alice".into(),
        began: at(BEGAN),
        step: Step::Stop,
        step_began: at(BEGAN),
        new: is_upgrade.then_some(new),
        old: Old { release: release(Side::Old, stored.clone()), frozen: Default::default(), gate: ().into() },
        before,
        rules: Rules {
            left_out: vec![],
            unclean_allowed: scenario.unclean_allowed,
            late_rollback: scenario.late_rollback,
            within: WITHIN.cast_unsigned(),
        },
        volumes,
        indexes: Default::default(),
        snapshot: stored,
        staged: Default::default(),
        set_aside: Default::default(),
        deployed: None,
        fault: None,
        left: None,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What ran before a way back is the newer one of the two.
fn stands_for(side: Side, world: &World) -> Side {
    match side {
        Side::Before if world.has(Mutant::TurnedToTheSame) => Side::Old,
        Side::Before => Side::New,
        side => side,
    }
}

/// One run: what it keeps in memory is gone when it is killed.
pub struct Host {
    pub world: Shared,
    /// Containers that ran when they were told to end, and those that were seen to end.
    told: Option<BTreeSet<u32>>,
    seen: BTreeSet<u32>,
}

impl Host {
    pub fn new(world: &Shared) -> Self {
        Self { world: world.clone(), told: None, seen: BTreeSet::new() }
    }

    fn act(&mut self, act: &Act, transaction: &Transaction) -> Result<Fact, Cut> {
        let world = self.world.clone();
        let mut world = world.borrow_mut();
        let world = &mut *world;
        if world.is_dead {
            return Err(Cut::Dead);
        }
        laws::before_act(world, act, transaction);
        // A look has no answer but what it sees.
        if *act != Act::SeeStandstill {
            world.answer()?;
        }
        match act {
            Act::Quiesce => self.quiesce(world, transaction)?,
            Act::AwaitEnd { clean } => self.await_end(world, transaction, *clean)?,
            Act::ReadIndexes => {
                world.engine()?;
                return Ok(Fact::Indexes(world.indexes()));
            }
            Act::Note => unreachable!("the runner writes the journal"),
            Act::Prove => prove(world, transaction)?,
            Act::SeeStandstill => {
                world.engine()?;
                let is_seen = world.containers.is_empty() && !world.has(Mutant::StandstillIsNotSeen);
                return Ok(Fact::Standstill(is_seen));
            }
            Act::Archive(volume) => archive(world, volume_of(volume))?,
            Act::Seal => seal(world, transaction)?,
            Act::ReadBack => return read_back(world),
            Act::Deploy(side) => deploy(world, stands_for(*side, world))?,
            Act::Judge(side) => judge(world, stands_for(*side, world), transaction)?,
            Act::Unpack(volume) => return unpack(world, volume_of(volume), transaction),
            Act::Exchange(volume) => exchange(world, volume_of(volume), transaction)?,
            Act::SetAside(volume) => set_aside(world, volume_of(volume))?,
            Act::GiveBack(volume) => give_back(world, volume_of(volume), transaction)?,
            Act::Leave | Act::Verify | Act::Clear { .. } | Act::Make | Act::Find | Act::Mark => {
                unreachable!("no upgrade clears a volume: {act:?}")
            }
        }
        world.answer()?;
        Ok(Fact::Nothing)
    }

    /// `None`: the run was killed in the middle.
    fn performed(&mut self, act: &Act, transaction: &Transaction) -> Option<Performed> {
        let done = self.act(act, transaction);
        let mut world = self.world.borrow_mut();
        world.is_open_to_others = false;
        world.is_judging = false;
        Some(match done {
            Ok(fact) => Ok(Ok(fact)),
            Err(Cut::No(why)) => {
                world.said_no(transaction);
                Ok(Err(why.to_owned()))
            }
            Err(Cut::Engine) => Err(Failure::Engine("the Engine is away".into())),
            Err(Cut::Disk | Cut::Doubt) => Err(Failure::Disk("no space left on device".into())),
            Err(Cut::Asked) => Err(Failure::AskedToEnd),
            Err(Cut::Dead) => return None,
        })
    }

    fn quiesce(&mut self, world: &mut World, transaction: &Transaction) -> Result<(), Cut> {
        if world.has(Mutant::NothingIsStopped) && transaction.step == Step::Withdraw {
            return Ok(());
        }
        world.engine()?;
        let running = world.containers.iter().map(|container| container.id).collect();
        if transaction.step == Step::Withdraw || world.has(Mutant::UnseenEndIsClean) {
            self.told = Some(running);
        } else {
            self.told.get_or_insert(running);
        }
        for name in 0..SERVICES.len() {
            world.engine()?;
            match world.services.get(&name).cloned() {
                Some(_) if name == CRON => {
                    world.disk.changes += 1;
                    world.services.remove(&name);
                }
                Some(service) if service.replicas > 0 => world.write_service(name, service.side, 0),
                _ => {}
            }
            for container in world.containers.iter_mut().filter(|container| container.service == name) {
                container.life = Life::Stopping;
            }
        }
        Ok(())
    }

    fn await_end(&mut self, world: &mut World, transaction: &Transaction, clean: bool) -> Result<(), Cut> {
        let skipped = match transaction.step {
            Step::Stop => Mutant::StopIsNotAwaited,
            Step::Withdraw => Mutant::WithdrawIsNotAwaited,
            _ => Mutant::RedeployDoesNotWait,
        };
        if world.has(skipped) {
            return Ok(());
        }
        let mut all_clean = true;
        while let Some(next) = world.containers.iter().position(|container| container.life == Life::Stopping) {
            world.engine()?;
            let id = world.containers.get(next).map(|container| (container.id, container.life));
            let Some((id, Life::Stopping)) = id else { continue };
            let is_clean = !std::mem::take(&mut world.is_unclean);
            world.end(next, is_clean);
            all_clean &= is_clean;
            if is_clean {
                self.seen.insert(id);
            }
        }
        world.engine()?;
        let told = self.told.clone().unwrap_or_default();
        let unseen = !world.has(Mutant::UnseenEndIsClean) && !told.is_subset(&self.seen);
        if clean && (unseen || !all_clean) && !transaction.rules.unclean_allowed && !world.has(Mutant::UncleanIsFine) {
            return Err(Cut::No("unclean stop"));
        }
        Ok(())
    }
}

impl Effects for Host {
    async fn perform(&mut self, act: &Act, transaction: &Transaction) -> Performed {
        match self.performed(act, transaction) {
            Some(performed) => performed,
            None => std::future::pending().await,
        }
    }

    async fn rest(&mut self) {
        let is_dead = {
            let mut world = self.world.borrow_mut();
            world.clock += 150;
            world.moment().is_err()
        };
        if is_dead {
            std::future::pending().await
        }
    }

    fn now(&self) -> Timestamp {
        at(self.world.borrow().clock)
    }

    fn is_asked_to_end(&self) -> bool {
        let world = self.world.borrow();
        world.is_asked && !world.is_dead
    }
}
