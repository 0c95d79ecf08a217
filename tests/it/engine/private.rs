//! One private Engine for all tests of a process, by `tests/engine`.
//!
//! A guard process takes it down when this one ends, however it ends: it waits on a pipe that the end closes.
//! `DOCKER_HOST` names another Engine to use instead; then only stacks named `evenkeel-test-*` are touched.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::mount::{MsFlags, mount};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine");
const IMAGE: &str = "evenkeel-test/busybox:1";

pub struct PrivateEngine {
    endpoint: String,
    /// `None` for an Engine that `DOCKER_HOST` named.
    dir: Option<PathBuf>,
    /// Lives as long as the process, with the pipe to it.
    _guard: Option<Child>,
}

impl PrivateEngine {
    /// Starts it on first use: a second, and more where packages have to be installed first.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PrivateEngine> = OnceLock::new();
        SHARED.get_or_init(|| {
            let engine = match std::env::var("DOCKER_HOST") {
                Ok(endpoint) if !endpoint.is_empty() => Self { endpoint, dir: None, _guard: None },
                _ => Self::start(),
            };
            script(&["image", &engine.endpoint, IMAGE]);
            engine
        })
    }

    /// One for a test alone, to do with as it likes; ends when dropped. It has no image yet, and a data root of its own.
    pub fn start() -> Self {
        Self::begin(Self::folder(), |dir| vec!["up".into(), dir.into()])
    }

    /// The same with so many bytes for images and volumes, of which Swarm itself takes the first 128 million.
    pub fn start_small(bytes: usize) -> Self {
        let dir = Self::folder();
        small_file_system(&dir.join("data"), bytes);
        Self::begin(dir, |dir| vec!["up".into(), dir.into()])
    }

    /// One whose Swarm others can join. Its node has a name of its own.
    pub fn open() -> Self {
        Self::begin(Self::folder(), |dir| vec!["up".into(), dir.into(), "open".into()])
    }

    /// Another one, which has joined the Swarm of this one as a `worker` or `manager`.
    pub fn joined_as(&self, role: &str) -> Self {
        let first = self.dir.as_ref().expect("an Engine of our own").display().to_string();
        Self::begin(Self::folder(), |dir| vec!["join".into(), dir.into(), first, role.into()])
    }

    fn folder() -> PathBuf {
        tempfile::Builder::new().prefix("evenkeel-test-").tempdir().unwrap().keep()
    }

    fn begin(dir: PathBuf, arguments: impl FnOnce(&str) -> Vec<String>) -> Self {
        let guard = guard(&dir);
        // Beside the machine's own authorities, the Engine trusts the one of the tests' registries.
        let authority = dir.join("authority.pem");
        std::fs::write(&authority, crate::registry::authority::authority().pem()).unwrap();
        let trusts = [("SSL_CERT_FILE", authority.as_os_str())];
        let arguments = arguments(dir.to_str().expect("paths of tests are UTF-8"));
        let endpoint = script_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &trusts);
        Self { endpoint, dir: Some(dir), _guard: Some(guard) }
    }

    /// As in `DOCKER_HOST`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The path of its socket.
    pub fn socket(&self) -> &Path {
        Path::new(self.endpoint.strip_prefix("unix://").expect("tests speak to unix sockets only"))
    }

    /// An image with a shell and nothing else.
    pub fn image(&self) -> &'static str {
        IMAGE
    }

    /// Kills dockerd as a crash does; `all`: containerd and every container, too.
    pub fn kill(&self, all: bool) {
        let dir = self.dir.as_ref().expect("an Engine of our own").display().to_string();
        let all = if all { "all" } else { "dockerd" };
        script(&["kill", &dir, all]);
    }

    /// Starts again what was killed.
    pub fn again(&self) {
        script(&["again", &self.dir.as_ref().expect("an Engine of our own").display().to_string()]);
    }

    /// Where it keeps its volumes.
    pub fn data_root(&self) -> PathBuf {
        self.dir.as_ref().expect("an Engine of our own").join("data")
    }

    /// Gives it [`PrivateEngine::image`], which the shared one has.
    pub fn with_image(self) -> Self {
        script(&["image", &self.endpoint, IMAGE]);
        self
    }

    /// What `docker` with these arguments prints; it has to end well.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let ended = Command::new("docker").args(["--host", &self.endpoint]).args(arguments).output().unwrap();
        assert!(ended.status.success(), "docker {arguments:?}: {ended:?}");
        String::from_utf8(ended.stdout).unwrap().trim().to_owned()
    }

    /// Takes over the image of another Engine: made anew it would have another id.
    pub fn copy_image(&self, from: &Self) {
        let tarball = tempfile::NamedTempFile::new().unwrap();
        let path = tarball.path().to_str().expect("paths of tests are UTF-8");
        from.docker(&["save", "--output", path, IMAGE]);
        self.load(&[tarball.path()]);
    }

    /// Where host-mode ports answer.
    pub fn address(&self) -> String {
        match &self.dir {
            Some(dir) => std::fs::read_to_string(dir.join("address")).unwrap().trim().to_owned(),
            None => "127.0.0.1".to_owned(),
        }
    }

    /// Where the Engine and its containers reach this process.
    pub fn host_address(&self) -> String {
        let dir = self.dir.as_ref().expect("a registry needs an Engine of the tests' own: unset DOCKER_HOST");
        let address = std::fs::read_to_string(dir.join("address")).unwrap();
        format!("{}.1", address.trim().rsplit_once('.').unwrap().0)
    }

    /// The certificates that the Engine trusts beside the machine's own.
    pub fn authorities(&self) -> PathBuf {
        self.dir
            .as_ref()
            .expect("a registry needs an Engine of the tests' own: unset DOCKER_HOST")
            .join("authority.pem")
    }

    /// Makes an image with a shell and nothing else; another one each time.
    pub fn make_image(&self, name: &str) {
        script(&["image", &self.endpoint, name]);
    }

    /// Makes an image in which nothing can run.
    pub fn make_empty_image(&self, name: &str) {
        let docker = ["--host", &self.endpoint, "import", "--change", "CMD [\"nothing\"]", "-", name];
        let mut import =
            Command::new("docker").args(docker).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // Two empty blocks are an empty tarball.
        import.stdin.take().unwrap().write_all(&[0; 1024]).unwrap();
        assert!(import.wait().unwrap().success());
    }

    /// Loads images from tarballs of `docker save`.
    pub fn load(&self, tarballs: &[&Path]) {
        let tarballs = tarballs.iter().map(|tarball| tarball.to_str().expect("paths of tests are UTF-8"));
        script(&["load", &self.endpoint].into_iter().chain(tarballs).collect::<Vec<_>>());
    }
}

/// In a folder's place, until it is unmounted; what lies under an Engine's folder is when that one ends.
pub fn small_file_system(folder: &Path, bytes: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let options = format!("size={bytes},mode=0700");
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
}

fn script(arguments: &[&str]) -> String {
    script_with(arguments, &[])
}

fn script_with(arguments: &[&str], environment: &[(&str, &OsStr)]) -> String {
    let mut command = Command::new(SCRIPT);
    let output = command.args(arguments).envs(environment.iter().copied()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "tests/engine {} failed", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn guard(dir: &Path) -> Child {
    until_we_end(r#"cat; "$0" down "$1" && rm -rf "$1""#, SCRIPT, dir)
}

/// A shell that reads from a pipe which closes when this process ends, however it ends. The script's `$0` is the
/// program, its `$1` the folder. In a process group of its own, so that Ctrl-C at a test run does not end it too.
pub fn until_we_end(script: &str, program: &str, dir: &Path) -> Child {
    Command::new("sh")
        .args(["-c", script, program])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}
