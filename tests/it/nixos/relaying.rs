//! The relay that a new alert starts: one that refuses does not spin, and one that is at work misses nothing.

use std::thread;
use std::time::Duration;

use super::STATE_DIR;
use super::machine::Machine;
use super::settings::apps;

/// Longer than it takes a path unit that spins to reach its start limit.
const A_WHILE: Duration = Duration::from_secs(12);
/// Each new alert starts one, and so does a timer.
const AT_MOST: usize = 3;

#[test]
fn a_relay_that_refuses_does_not_spin_and_one_at_work_misses_no_alert() {
    let machine = Machine::installed(&apps(&[], ""), &[], &[]);
    machine.boot();
    is_asked_a_few_times_and_keeps_the_alert(&machine);
    is_sent_by_the_timer_once_it_is_taken(&machine);
    misses_nothing_that_comes_meanwhile(&machine);
}

fn is_asked_a_few_times_and_keeps_the_alert(machine: &Machine) {
    machine.host.shell("touch /srv/refuse");
    put(machine, "one");
    machine.until("the relay is asked", || (!machine.told_to_people().is_empty()).then_some(()));
    thread::sleep(A_WHILE);
    let asked = machine.told_to_people();
    assert!(asked.len() <= AT_MOST && asked.iter().all(|told| told == "one rollback 1.1.0+1"), "{asked:?}");
    assert_eq!((machine.waiting(), machine.relayed()), (vec!["one rollback 1.1.0+1".to_owned()], Vec::new()));
    assert_eq!(machine.service("evenkeel-alerts.service").state, "failed");
    let path = machine.service("evenkeel-alerts.path");
    assert_eq!((path.state.as_str(), path.result.as_str()), ("active", "success"), "it listens still");
}

fn is_sent_by_the_timer_once_it_is_taken(machine: &Machine) {
    machine.host.shell("rm /srv/refuse");
    let last = machine.elapse("evenkeel-alerts");
    assert_eq!(machine.ended_after("evenkeel-alerts.service", &last).result, "success", "{}", machine.journal());
    assert_eq!((machine.waiting(), machine.relayed()), (Vec::new(), vec!["one rollback 1.1.0+1".to_owned()]));
}

fn misses_nothing_that_comes_meanwhile(machine: &Machine) {
    machine.host.shell("touch /srv/wait");
    let before = machine.told_to_people().len();
    put(machine, "two");
    machine.until("the relay is at work", || (machine.told_to_people().len() > before).then_some(()));
    put(machine, "three");
    assert_eq!(machine.waiting().len(), 2, "the first of them is being sent");
    machine.host.shell("rm /srv/wait");
    machine.until("both are sent", || (machine.relayed().len() == 3).then_some(()));
    let told = machine.told_to_people().split_off(before);
    assert_eq!(told, ["two rollback 1.1.0+1", "three rollback 1.1.0+1"]);
}

/// An alert of a run about this app.
fn put(machine: &Machine, app: &str) {
    let alert = format!(
        "{{\"schema\":1,\"app\":\"{app}\",\"reason\":\"rollback\",\"from_version\":\"1.0.0+1\",\"to_version\":\"1.1.0+1\",\
         \"release_notes\":null,\"ts\":\"2026-01-01T03:00:00Z\",\"evidence\":\"it failed\",\"next_step\":\"none\",\
         \"host\":\"machine\",\"fact\":\"rollback:{app}\"}}"
    );
    machine.host.shell(&format!(
        "mkdir -p {STATE_DIR}/alerts; printf %s '{alert}' >{STATE_DIR}/coming; mv {STATE_DIR}/coming {STATE_DIR}/alerts/20260101T030000Z-{app}-rollback.json"
    ));
}
