//! The same within what a unit may do: few capabilities, no new privileges, and a filter of system calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel::host::gnu_tar::self_test;
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use super::fingerprint::{assert_equal, fingerprint};
use super::{Kept, tree};

/// What the unit has: enough to read, make and give away everything but device nodes.
const CAPABILITIES: &str = "-all,+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+setfcap";
/// Where the child finds the world that it works in.
const WORLD: &str = "EVENKEEL_TEST_UNIT_WORLD";

/// What `SystemCallFilter=@system-service` leaves out and somebody who copies files might ask for.
const REFUSED: [i64; 22] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_open_by_handle_at,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_userfaultfd,
];

fn filtered() {
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = REFUSED.iter().map(|call| (*call, vec![])).collect();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let machine = std::env::consts::ARCH.try_into().unwrap();
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, machine).unwrap().try_into().unwrap();
    apply_filter(&filter).unwrap();
}

/// The child: stores, spoils and restores.
fn work(world: &Path) {
    filtered();
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t000000008000001f"] {
        assert!(status.contains(line), "{line} is not in {status}");
    }
    self_test(world).unwrap();
    let kept = Kept::at(tempfile::tempdir_in(world).unwrap(), &world.join("state"), &world.join("volumes"));
    kept.stored(&["wiki_data"]);
    tree::spoil(&kept.volume("wiki_data"));
    kept.restored("wiki_data");
}

#[test]
fn data_comes_back_as_it_was_within_what_a_unit_may_do() {
    if let Some(world) = std::env::var_os(WORLD) {
        return work(&PathBuf::from(world));
    }
    let world = tempfile::Builder::new().prefix("evenkeel-test-").tempdir().unwrap();
    let data = world.path().join("volumes/wiki_data/_data");
    std::fs::create_dir_all(&data).unwrap();
    tree::grow(&data);
    let before = fingerprint(&data);

    let name = concat!(module_path!(), "::data_comes_back_as_it_was_within_what_a_unit_may_do");
    let output = Command::new("setpriv")
        .args(["--no-new-privs", "--bounding-set", CAPABILITIES, "--inh-caps=-all", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name.split_once("::").unwrap().1, "--nocapture"])
        .env(WORLD, world.path())
        .output()
        .unwrap();

    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("1 passed"), "{output:?}");
    assert_equal(&fingerprint(&data), &before);
}

/// Where the child finds the tar that it is to refuse.
const OTHER_TAR: &str = "EVENKEEL_TEST_OTHER_TAR";

#[test]
fn another_tar_than_gnus_is_refused_with_its_name() {
    if std::env::var_os(OTHER_TAR).is_some() {
        let told = self_test(&std::env::temp_dir()).unwrap_err();
        println!("told: {told:#}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let refuses = |script: &str, words: &str| {
        let tar = dir.path().join("tar");
        if !script.is_empty() {
            std::fs::write(&tar, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&tar, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let name = concat!(module_path!(), "::another_tar_than_gnus_is_refused_with_its_name");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name.split_once("::").unwrap().1, "--nocapture"])
            .env(OTHER_TAR, "1")
            .env("PATH", dir.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains(words), "{words}: {output:?}");
    };
    refuses("", "tar is not on PATH; install GNU tar");
    refuses("echo 'bsdtar 3.6.2 - libarchive 3.6.2'", "is not GNU tar but says \"bsdtar 3.6.2");
    // Built without: it takes the flags, says so, and loses the attributes.
    let real = Command::new("sh").args(["-c", "command -v tar"]).output().unwrap();
    let poor = format!(
        "real={}\ncase \"$*\" in --version) echo 'tar (GNU tar) 1.34';; \
         --create*) echo 'tar: The POSIX ACL support is not available' >&2; exec $real -cf - -C \"${{11}}\" . ;; \
         *) exec $real -xf - -C \"${{11}}\";; esac",
        String::from_utf8_lossy(&real.stdout).trim()
    );
    refuses(&poor, "tar could not do all of it: tar: The POSIX ACL support is not available");
}
