//! Swarm's own updates: in flight, paused, rolled back.

use super::*;

#[test]
fn an_update_in_flight_is_waited_for_although_all_tasks_run() {
    for state in [UpdateState::Updating, UpdateState::Unknown("preparing".into())] {
        let world = World::of(&["app"]).tasks([running("app")]).update(state, "");
        waits(world.first_look(), "under way");
        waits(world.glance(), "under way");
    }
}

#[test]
fn what_swarm_rolled_back_is_unhealthy_however_well_it_runs() {
    for state in [UpdateState::RollbackStarted, UpdateState::RollbackCompleted, UpdateState::RollbackPaused] {
        let tasks = [running("app"), Task { up_to_date: false, ..ended("app", 1, 2, 3) }];
        let world = World::of(&["app"]).tasks(tasks).update(state, "rollback completed");
        fails(
            world.first_look(),
            &["service wiki_app", "rolled back by Swarm itself", "exit code 3", "non-zero exit (3)"],
        );
        assert_eq!(failing_services(&world.seen, &world.desired), ["wiki_app"]);
    }
}

/// As 20.10 makes it, one time in ten: what was to replace the failed task was made of the restored spec already, and
/// taken back, since the old one runs still.
#[test]
fn a_rollback_goes_on_with_the_task_that_is_wanted_whatever_was_made_after_it() {
    use UpdateState::{RollbackCompleted, RollbackStarted};
    let moment = |update: UpdateState, state: TaskState| {
        let failed = Task { up_to_date: false, ..ended("app", 1, 2, 3) };
        let taken_back = Task { desired: TaskState::Shutdown, ..task("app", 1, 3, state) };
        let world = World::of(&["app"]).tasks([running("app"), failed, taken_back]);
        world.update(update, "").not_written()
    };
    waits(moment(RollbackStarted, TaskState::Accepted).first_look(), "an old task of service wiki_app is still there");
    waits(moment(RollbackStarted, TaskState::Shutdown).first_look(), "under way");
    let over = moment(RollbackCompleted, TaskState::Shutdown);
    assert_eq!(over.glance(), Verdict::Healthy);
    let verdicts = watch(&over, [0, 20].map(|second| (second, over.seen.tasks.clone())));
    assert_eq!(verdicts[1], Verdict::Healthy);
}

#[test]
fn a_rollback_that_begins_while_one_looks_is_told_although_one_wrote_nothing() {
    let mut world = World::of(&["app"]).tasks([running("app")]).not_written();
    let mut watch = Watch::new(&world.desired, world.rules.clone());
    waits(watch.look(&world.seen, Seen::at(Duration::ZERO)), "watched");
    let live = world.seen.services.get_mut("wiki_app").unwrap();
    live.spec["TaskTemplate"]["ForceUpdate"] = json!(1);
    waits(watch.look(&world.seen, Seen::at(Duration::from_secs(1))), "watched");
    let live = world.seen.services.get_mut("wiki_app").unwrap();
    live.spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("wiki:0");
    waits(watch.look(&world.seen, Seen::at(Duration::from_secs(40))), "changed by somebody else");
    let world = world.update(UpdateState::RollbackCompleted, "rollback completed");
    fails(
        watch.look(&world.seen, Seen::at(Duration::from_secs(41))),
        &["service wiki_app", "rolled back by Swarm itself"],
    );
}

/// As `docker service rollback` does it.
fn rolled_back(state: UpdateState) -> impl Fn(&mut World) {
    move |world| {
        let live = world.seen.services.get_mut("wiki_app").unwrap();
        live.previous_spec = Some(spec("app", "wiki:1"));
        live.spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("wiki:0");
        live.update = Some(UpdateStatus { state: state.clone(), message: "rollback completed".into() });
    }
}

#[test]
fn who_rolled_a_service_back_is_known_also_when_it_is_over() {
    use UpdateState::{Completed, Paused, RollbackCompleted, RollbackPaused, RollbackStarted, Updating};
    let by_whom = |state: &UpdateState, previous: Option<Value>| {
        let mut world = World::of(&["app"]).update(state.clone(), "");
        let live = world.seen.services.get_mut("wiki_app").unwrap();
        live.previous_spec = previous;
        super::rolled_back(live)
    };
    for state in [RollbackStarted, RollbackPaused, RollbackCompleted] {
        assert_eq!(by_whom(&state, Some(json!({}))), Some(RolledBack::ByHand), "{state:?}");
        assert_eq!(by_whom(&state, None), Some(RolledBack::BySwarm), "{state:?}");
    }
    for state in [Updating, Paused, Completed, UpdateState::Unknown("canary".into())] {
        assert_eq!(by_whom(&state, Some(json!({}))), None, "{state:?}");
    }
}

/// Whether it was written, and whether it was rolled back before the first look: what is told, and whether a run gives up.
#[test]
fn a_rollback_by_hand_counts_where_it_undoes_what_was_asked_for() {
    let by_hand = || {
        let mut world = World::of(&["app"]).tasks([running("app")]);
        rolled_back(UpdateState::RollbackCompleted)(&mut world);
        world
    };
    let [told, as_wanted] = [Some("was rolled back by somebody else meanwhile"), None];
    let mut just_written = by_hand();
    just_written.rules.baseline = [("wiki_app".to_owned(), 10)].into();
    // By a run before this one, which has compared it with what was deployed.
    let mut long_written = by_hand();
    long_written.rules.baseline = [("wiki_app".to_owned(), 0)].into();
    let rows = [
        ("just written", just_written, told),
        ("written once and found as it was deployed", long_written, as_wanted),
        ("not written", by_hand().not_written(), as_wanted),
    ];
    for (what, world, told) in rows {
        let mut watch = Watch::new(&world.desired, world.rules.clone());
        let verdicts = [0, 20].map(|second| watch.look(&world.seen, Seen::at(Duration::from_secs(second))));
        let meddled = watch.meddled(Seen::at(Duration::from_secs(20)));
        match told {
            Some(words) => {
                waits(verdicts[1].clone(), words);
                assert!(meddled.is_some_and(|how| how.contains(words)), "{what}: {meddled:?}");
            }
            None => assert_eq!((&verdicts[1], meddled), (&Verdict::Healthy, None), "{what}"),
        }
    }
}

#[test]
fn what_somebody_else_does_meanwhile_is_no_fault_of_what_was_asked_for() {
    let [started, completed, paused] =
        [UpdateState::RollbackStarted, UpdateState::RollbackCompleted, UpdateState::RollbackPaused].map(rolled_back);
    let scaled = |world: &mut World| {
        world.seen.services.get_mut("wiki_app").unwrap().spec["Mode"]["Replicated"]["Replicas"] = json!(0);
    };
    let removed = |world: &mut World| world.seen.services.clear();
    type Deed<'a> = &'a dyn Fn(&mut World);
    let rows: [(&str, [Deed; 2]); 5] = [
        ("was changed", [&scaled, &scaled]),
        ("was removed", [&removed, &removed]),
        ("was rolled back", [&started, &completed]),
        ("was rolled back", [&started, &paused]),
        // To no replicas, it is over at once.
        ("was rolled back", [&completed, &completed]),
    ];
    for (how, [first, then]) in rows {
        let mut world = World::of(&["app"]).tasks([running("app")]);
        let mut watch = Watch::new(&world.desired, world.rules.clone());
        watch.look(&world.seen, Seen::at(Duration::ZERO));
        first(&mut world);
        waits(watch.look(&world.seen, Seen::at(Duration::from_secs(2))), how);
        assert_eq!(watch.due(Duration::from_secs(2)), Some(PATIENCE));
        then(&mut world);
        waits(
            watch.look(&world.seen, Seen::at(Duration::from_secs(11))),
            &format!("service wiki_app {how} by somebody else"),
        );
        assert_eq!(watch.meddled(Seen::at(Duration::from_secs(11))), None, "it may be taken back");
        watch.look(&world.seen, Seen::at(Duration::from_secs(12)));
        assert!(watch.meddled(Seen::at(Duration::from_secs(12))).unwrap().contains(how));
    }
    let world = World::of(&["app"]).tasks([running("app")]);
    let mut watch = Watch::new(&world.desired, world.rules.clone());
    let mut other = world.seen.clone();
    other.services.clear();
    for (second, seen) in [(0, &world.seen), (1, &other), (5, &world.seen), (6, &other), (12, &other)] {
        watch.look(seen, Seen::at(Duration::from_secs(second)));
    }
    assert_eq!(watch.meddled(Seen::at(Duration::from_secs(12))), None, "it was taken back between");
}

#[test]
fn paused_counts_only_for_what_was_written() {
    let message = "update paused due to failure or early termination of task x";
    let tasks =
        [task("app", 1, 2, TaskState::Failed), Task { up_to_date: false, ..task("app", 2, 1, TaskState::Running) }];
    let world = World::of(&["app"]).tasks(tasks).update(UpdateState::Paused, message);
    fails(world.first_look(), &["service wiki_app", "not updated to the end", message]);
    waits(world.glance(), "wiki_app");
    waits(world.not_written().first_look(), "wiki_app");
}

#[test]
fn paused_is_no_verdict_where_every_slot_has_the_new_spec() {
    let world = World::of(&["app"]).update(UpdateState::Paused, "update paused due to failure of task app-1-1");
    let up_again = vec![ended("app", 1, 1, 1), task("app", 1, 2, TaskState::Running)];
    let verdicts = watch(&world, [(0, crashed("app", 1)), (5, up_again.clone()), (25, up_again)]);
    waits(verdicts[0].clone(), "exit code 1");
    assert_eq!(verdicts[2], Verdict::Healthy);
    let verdicts = watch(&world, (0..=3).map(|times| (times * 5, crashed("app", times))));
    fails(verdicts[3].clone(), &["service wiki_app", "3 times", "exit code 1"]);
    assert_eq!(World::of(&["app"]).tasks([running("app")]).update(UpdateState::Paused, "").glance(), Verdict::Healthy);
}

#[test]
fn a_rollback_of_old_is_no_news_for_a_stack_that_is_as_declared() {
    let mut world = World::of(&["app"]).tasks([running("app")]).update(UpdateState::RollbackCompleted, "");
    assert_eq!(world.glance(), Verdict::Healthy);
    rolled_back(UpdateState::RollbackCompleted)(&mut world);
    assert_eq!(world.glance(), Verdict::Healthy);
}
