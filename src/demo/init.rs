//! The private Engine's two guardians, as the hidden `demo-init` command.
//!
//! The *keeper* starts *init*, and when init has ended removes every trace: cgroups and the folder. Init is process 1
//! of a new PID namespace with mounts and a network of its own, and runs `dockerd` there. When init ends, the kernel
//! ends everything inside, and mounts and networks go with the last process.
//!
//! Nobody has to survive for that: init ends when either of two pipes closes, one held by the demo and one by the
//! keeper, and a pipe closes however its holder dies. Signals would not do: Ctrl-C reaches a whole terminal.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{process, thread};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::SigSet;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

/// Present in the folder once dockerd has ended, so that nobody waits for it any longer.
pub const ENDED: &str = "ended";
/// How long the kernel may take to let go of what the last process held.
const LETTING_GO: Duration = Duration::from_secs(5);

nix::ioctl_read_bad!(interface_flags, libc::SIOCGIFFLAGS, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_interface_flags, libc::SIOCSIFFLAGS, libc::ifreq);

/// Where the Engine keeps its things, and the daemon to run.
#[derive(Debug, Clone)]
struct Place {
    folder: PathBuf,
    dockerd: PathBuf,
}

/// The hidden command `demo-init FOLDER DOCKERD`, with a pipe from the demo as standard input. Removes the folder
/// at its end. Has to be called before the process has a second thread, since it forks.
pub fn init_main(arguments: impl IntoIterator<Item = String>) -> u8 {
    let mut arguments = arguments.into_iter();
    let (Some(folder), Some(dockerd)) = (arguments.next(), arguments.next()) else {
        eprintln!("demo-init is started by `evenkeel demo`, with a folder and the path of dockerd");
        return 64;
    };
    match keep(&Place { folder: folder.into(), dockerd: dockerd.into() }) {
        Ok(()) => 0,
        Err(cause) => {
            eprintln!("demo-init: {cause:#}");
            1
        }
    }
}

fn keep(place: &Place) -> Result<()> {
    // A terminal's Ctrl-C, a service manager's SIGTERM: the demo's end is what counts, and the clean-up must follow.
    SigSet::all().thread_block().context("block signals")?;
    let opt = Path::new("/opt");
    let made_opt = fs::create_dir(opt).is_ok();
    let ran = start(place);
    File::create(place.folder.join(ENDED)).context("say that dockerd has ended")?;
    wait_for_end(&mut io::stdin());
    if made_opt {
        // Left where somebody else has put something in by now.
        let _ = fs::remove_dir(opt);
    }
    remove_cgroups(&cgroup_of(&place.folder)?)?;
    patiently(|| fs::remove_dir_all(&place.folder)).with_context(|| format!("remove {}", place.folder.display()))?;
    ran
}

/// Runs init to its end.
fn start(place: &Place) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWPID).context("make a PID namespace (are you root?)")?;
    let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).context("make a pipe")?;
    // SAFETY: this process has one thread, so the child may do anything.
    match unsafe { fork() }.context("fork")? {
        ForkResult::Child => {
            drop(ours);
            process::exit(init(place, theirs));
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            let status = waitpid(child, None).context("wait for init")?;
            drop(ours);
            match status {
                WaitStatus::Exited(_, 0) => Ok(()),
                other => bail!("the private Engine ended: {other:?}"),
            }
        }
    }
}

fn init(place: &Place, keeper: OwnedFd) -> i32 {
    match enter(place).and_then(|()| run(place, keeper)) {
        Ok(()) => 0,
        Err(cause) => {
            eprintln!("demo-init: {cause:#}");
            1
        }
    }
}

/// Runs dockerd and reaps whatever is orphaned to process 1, until dockerd ends or a pipe closes.
fn run(place: &Place, keeper: OwnedFd) -> Result<()> {
    SigSet::all().thread_unblock().context("unblock signals")?;
    let dockerd = dockerd(place).spawn().with_context(|| format!("start {}", place.dockerd.display()))?;
    let dockerd = Pid::from_raw(dockerd.id().try_into().context("a process id")?);
    end_with(File::from(keeper));
    end_with(io::stdin());
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(dockerd) => bail!("dockerd ended: {status:?}"),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(cause) => return Err(cause).context("wait for processes"),
        }
    }
}

/// Ends this process, and the namespace with it, once nobody holds the pipe's other end.
fn end_with(mut pipe: impl Read + Send + 'static) {
    thread::spawn(move || {
        wait_for_end(&mut pipe);
        process::exit(0);
    });
}

fn wait_for_end(pipe: &mut impl Read) {
    // An error ends the wait as well: then nobody can tell us anything any more.
    let _ = io::copy(pipe, &mut io::sink());
}

fn dockerd(place: &Place) -> Command {
    let folder = |name: &str| place.folder.join(name);
    let mut command = Command::new(&place.dockerd);
    command
        .arg("--host")
        .arg(format!("unix://{}", folder("docker.sock").display()))
        .arg("--data-root")
        .arg(folder("data"))
        .arg("--exec-root")
        .arg(folder("exec"))
        .arg("--pidfile")
        .arg(folder("docker.pid"))
        .arg("--config-file")
        .arg(folder("dockerd.json"))
        // Where systemd is the default cgroup driver it would be asked over a bus that is out of reach here.
        .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
        // Nothing goes in or out of this network, so no firewall tool is needed.
        .args(["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"])
        .args(["--bridge=none", "--userland-proxy=false"])
        .stdin(Stdio::null());
    if let Ok(cgroup) = cgroup_of(&place.folder) {
        command.arg("--cgroup-parent").arg(format!("/{cgroup}"));
    }
    command
}

/// Leaves the host's mounts, network and process list.
fn enter(place: &Place) -> Result<()> {
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC;
    unshare(own).context("make namespaces for mounts and network")?;
    bring_up("lo").context("bring up the loopback interface")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("make the mounts private")?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>).context("mount /proc")?;
    own_run().context("hide /run")?;
    own_changes(&place.folder)
}

/// An empty `/run`: a containerd whose socket is there would be joined, and shims would leave theirs. Links stay,
/// since NixOS finds its programs through them.
fn own_run() -> Result<()> {
    let links: Vec<(PathBuf, PathBuf)> = fs::read_dir("/run")
        .context("list it")?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| fs::read_link(&path).ok().map(|target| (path, target)))
        .collect();
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755")).context("mount a tmpfs on it")?;
    for (path, target) in links {
        std::os::unix::fs::symlink(target, &path).with_context(|| format!("link {}", path.display()))?;
    }
    Ok(())
}

/// `/etc` and `/opt` with changes of our own on top: dockerd writes a key to `/etc/docker`, containerd makes
/// `/opt/containerd`, and no option forbids it in all versions.
fn own_changes(folder: &Path) -> Result<()> {
    let changes = folder.join("changes");
    fs::create_dir(&changes).context("make a folder for changes")?;
    mount(Some("tmpfs"), &changes, Some("tmpfs"), MsFlags::empty(), None::<&str>).context("mount a tmpfs on it")?;
    for name in ["etc", "opt"] {
        let (upper, work) = (changes.join(name), changes.join(format!("{name}.work")));
        fs::create_dir(&upper).and_then(|()| fs::create_dir(&work)).context("make the layers of an overlay")?;
        let options = format!("lowerdir=/{name},upperdir={},workdir={}", upper.display(), work.display());
        let target = format!("/{name}");
        mount(Some("overlay"), target.as_str(), Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("mount an overlay on {target}"))?;
    }
    Ok(())
}

fn bring_up(interface: &str) -> Result<()> {
    use std::os::fd::AsRawFd;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let name = CString::new(interface).context("a name")?;
    // SAFETY: all zeros is a valid `ifreq`, which is plain data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: the descriptor is open, and both calls read and write an `ifreq` whose flags are the union's live field
    // once the first has returned.
    unsafe {
        interface_flags(socket.as_raw_fd(), &raw mut request)?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP.cast_unsigned() as libc::c_short;
        set_interface_flags(socket.as_raw_fd(), &raw const request)?;
    }
    Ok(())
}

/// The cgroup of all containers of the Engine in this folder: named like it.
fn cgroup_of(folder: &Path) -> Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str());
    Ok(name.context("the Engine's folder has no name")?.to_owned())
}

/// Removes that cgroup from every hierarchy: there is one (version 2), or one per controller below a tmpfs.
fn remove_cgroups(name: &str) -> Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let below = fs::read_dir(root).context("list the cgroups")?.filter_map(|entry| entry.ok().map(|e| e.path()));
    for hierarchy in below.chain([root.to_owned()]) {
        let cgroup = hierarchy.join(name);
        if cgroup.is_dir() {
            patiently(|| remove_tree(&cgroup)).with_context(|| format!("remove the cgroup {}", cgroup.display()))?;
        }
    }
    Ok(())
}

/// A cgroup is removed as a folder whose files are not; only its children have to go first.
fn remove_tree(cgroup: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_tree(&path)?;
        }
    }
    fs::remove_dir(cgroup)
}

/// The kernel releases a dead process's cgroups and mounts a little later.
fn patiently(act: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let since = Instant::now();
    loop {
        match act() {
            Err(_) if since.elapsed() < LETTING_GO => thread::sleep(Duration::from_millis(20)),
            done => return done,
        }
    }
}
