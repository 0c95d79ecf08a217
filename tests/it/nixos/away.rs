//! A disk that is not there: nothing runs without it, and nothing counts as lost.

use super::OLD;
use super::machine::{Machine, stack};
use super::settings::{apps, recipe};
use crate::power::prepared::put_files;

/// Docker's data, or the state directory, on a disk of its own.
const DISKS: [(&str, &str); 2] = [("/var/lib/docker", "var-lib-docker.mount"), ("/data", "data.mount")];

#[test]
fn without_a_disk_nothing_runs_and_nothing_counts_as_lost() {
    let machine = Machine::installed(&apps(&["wiki"], "stateDir = \"/data/evenkeel\";"), &[], &[("wiki", &recipe())]);
    move_to_disks(&machine);
    machine.boot();
    let running = || machine.host.run(&["docker", "service", "inspect", &format!("{}_app", stack("wiki"))]);
    assert!(running().status.success(), "{}", machine.journal());
    let kept = machine.host.shell("cat /data/evenkeel/wiki/state.json");
    assert!(kept.contains(OLD), "{kept}");
    let before = machine.fingerprint();

    for (folder, unit) in DISKS {
        // A folder that is missing would be made; a file cannot be mounted there.
        machine.host.shell(&format!("mv /srv/disks{folder} /srv/disks/away; touch /srv/disks{folder}; sync"));
        machine.reboot();
        let mounted = machine.service(unit);
        assert_eq!(mounted.state, "failed", "{mounted:?}");
        for unit in ["evenkeel-swarm.service", "evenkeel-app.service", "evenkeel-resume.service"] {
            assert_eq!(machine.service(unit).start, "", "{unit} has not run without {folder}: {}", machine.journal());
        }
        if folder == "/var/lib/docker" {
            let told = machine.until("people are told", || {
                Some(machine.host.shell("ls /data/evenkeel/alerts/seen 2>/dev/null || true"))
                    .filter(|told| !told.is_empty())
            });
            assert!(told.contains("unit-failed"), "{told}");
        } else {
            assert!(
                machine.host.run(&["ls", "/data/evenkeel"]).stdout.is_empty(),
                "nothing is written to the folder below"
            );
        }
        // What came into the folder while its disk was away lies below the disk.
        machine.host.shell(&format!("rm /srv/disks{folder}; mv /srv/disks/away /srv/disks{folder}; sync"));
        machine.reboot();
        assert_eq!(machine.service("evenkeel-app.service").code, "0", "{}", machine.journal());
        assert_eq!(machine.fingerprint(), before, "{}", machine.journal());
        assert_eq!(machine.host.shell("cat /data/evenkeel/wiki/state.json"), kept);
    }
}

/// The folders as they are, on what stands for disks.
fn move_to_disks(machine: &Machine) {
    machine.host.up();
    machine.host.shell("systemctl stop docker.service docker.socket evenkeel-resume.timer");
    for (folder, unit) in DISKS {
        let text = format!(
            "[Unit]\nDefaultDependencies=no\nBefore=docker.service\n[Mount]\nWhat=/srv/disks{folder}\nWhere={folder}\nType=none\nOptions=bind\n"
        );
        put_files(&machine.host, "/etc/systemd/system", &[(unit, text.as_str())]);
        machine.host.shell(&format!(
            "mkdir -p /srv/disks{folder}; rmdir /srv/disks{folder}; [ ! -e {folder} ] || mv {folder} /srv/disks{folder}
             mkdir -p {folder} /srv/disks{folder}; systemctl add-wants multi-user.target {unit}"
        ));
    }
    machine.host.shell("sync");
    machine.host.kill();
}
