//! Data that is kept warm, by the units alone: what a boot makes true, and what a boot never does.

use super::machine::{Machine, Service, stack};
use super::settings::{canonicals, recipe};
use super::{OLD, STATE_DIR, VOLUMES};

const UNIT: &str = "evenkeel-canonical.service";
const WIKI: &str = "warm-wiki";

#[test]
fn a_boot_leaves_what_is_kept_warm_idle_and_true_and_deploys_nothing() {
    let mut machine = Machine::installed(&canonicals(&["wiki"], ""), &[], &[("wiki", &recipe())]);
    deploys_nothing_by_itself(&machine);
    has_its_sweep_to_come(&machine);

    machine.host.shell("evenkeel canonical seed wiki; evenkeel canonical deploy wiki");
    machine.host.shell(&format!("echo kept >{}; sync", page()));
    assert_eq!((status(&machine).as_str(), containers(&machine)), ("deployed", 1));

    a_switch_ends_what_runs_and_keeps_what_it_wrote(&mut machine);
    stores_again_what_is_no_longer_stored(&machine);
    tells_of_data_that_is_gone_before_it_is_used(&machine);
    puts_it_back_at_its_next_use(&machine);
    uses_nothing_under_which_the_host_went_down(&machine);
}

fn deploys_nothing_by_itself(machine: &Machine) {
    machine.boot();
    let (service, said) = reconciled(machine);
    assert_eq!((service.result.as_str(), service.code.as_str()), ("success", "0"), "{said}");
    assert!(said.contains("it has no known-good yet"), "{said}");
    assert!(!machine.fingerprint().keys().any(|name| name.contains(&stack(WIKI))), "{}", machine.journal());
}

fn has_its_sweep_to_come(machine: &Machine) {
    let timer = machine.host.shell(
        "systemctl show evenkeel-sweep.timer --property=ActiveState,Persistent,NextElapseUSecRealtime,LastTriggerUSec",
    );
    let next = timer.lines().find_map(|line| line.strip_prefix("NextElapseUSecRealtime=")).unwrap();
    assert!(next.starts_with("Sat "), "{timer}");
    assert!(timer.contains("ActiveState=active\n") && timer.contains("Persistent=yes\n"), "{timer}");
    assert_eq!(machine.service("evenkeel-sweep.service").start, "", "no sweep came with the boot");
}

/// With all that a switch finds, and no boot in between: its data is known to be that of the known-good.
fn a_switch_ends_what_runs_and_keeps_what_it_wrote(machine: &mut Machine) {
    machine.switch(&canonicals(&["wiki"], ""));
    let (service, said) = reconciled(machine);
    assert_eq!((service.result.as_str(), service.code.as_str()), ("success", "0"), "{said}");
    assert_eq!(containers(machine), 0, "{said}");
    assert_eq!((machine.version("wiki").as_str(), status(machine).as_str()), (OLD, "idle"), "{said}");
    assert_eq!(machine.data(WIKI, "page"), "kept\n", "{said}");

    let before = machine.fingerprint();
    machine.reboot();
    let (_, said) = reconciled(machine);
    assert!(said.contains("converged"), "{said}");
    assert_eq!((machine.fingerprint(), status(machine).as_str()), (before, "idle"), "{said}");
}

/// In the unit's sandbox, which has to let it read the volume.
fn stores_again_what_is_no_longer_stored(machine: &Machine) {
    machine.host.shell(&format!("rm -rf {STATE_DIR}/wiki/snapshots/*"));
    machine.reboot();
    let (service, said) = reconciled(machine);
    assert_eq!((service.result.as_str(), service.code.as_str()), ("success", "0"), "{said}");
    assert!(said.contains("is stored as snapshot"), "{said}");
    machine.host.shell("evenkeel snapshot verify wiki");
}

fn tells_of_data_that_is_gone_before_it_is_used(machine: &Machine) {
    machine.host.shell(&format!("docker volume rm {}_data", stack(WIKI)));
    machine.reboot();
    let (_, said) = reconciled(machine);
    assert!(said.contains("was gone; the snapshot brings it back"), "{said}");
    assert_eq!((status(machine).as_str(), containers(machine)), ("dirty", 0), "{said}");
    let volumes = machine.engine("/volumes")["Volumes"].to_string();
    assert!(!volumes.contains(&stack(WIKI)), "{volumes}");
}

fn puts_it_back_at_its_next_use(machine: &Machine) {
    machine.host.shell("evenkeel canonical deploy wiki");
    let data = ["schema", "page"].map(|file| machine.data(WIKI, file));
    assert_eq!((status(machine).as_str(), data), ("deployed", ["1\n", "kept\n"].map(str::to_owned)));
}

/// The Engine starts it with the boot, as it was left.
fn uses_nothing_under_which_the_host_went_down(machine: &Machine) {
    machine.reboot();
    let (service, said) = reconciled(machine);
    assert_eq!((service.result.as_str(), service.code.as_str()), ("success", "0"), "{said}");
    assert_eq!((status(machine).as_str(), containers(machine)), ("dirty", 0), "{said}");
    let why = machine.state("wiki")["warm"]["why"].to_string();
    assert!(why.contains("the host went down while it ran"), "{why}: {said}");
}

/// How the last run ended, and what it said.
fn reconciled(machine: &Machine) -> (Service, String) {
    let service = machine.service(UNIT);
    let said = machine.said(&service);
    (service, said)
}

fn status(machine: &Machine) -> String {
    machine.state("wiki")["warm"]["status"].as_str().unwrap_or_default().to_owned()
}

/// How many run.
fn containers(machine: &Machine) -> usize {
    let filters = format!("--filter label=com.docker.stack.namespace={}", stack(WIKI));
    machine.host.shell(&format!("docker ps --quiet {filters}")).lines().count()
}

fn page() -> String {
    format!("{VOLUMES}/{}_data/_data/page", stack(WIKI))
}
