//! Large repositories, and bounds that are reached.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use evenkeel::host::recipes::{Bounds, Freshness, Mirror, Recipes};
use evenkeel::recipe::Entry;

use super::remotes::noise;
use super::server::Server;
use super::{World, compose, today, versions};

impl World {
    fn within(&self, bounds: Bounds) -> Mirror {
        Recipes::new(self.dir.path().join("state")).within(bounds).mirror(self.remote().to_str().unwrap(), None)
    }

    /// Lets git make a history of this description.
    fn import(&self, history: impl FnOnce(&mut dyn Write)) {
        let mut import = Command::new("git");
        import.args(["fast-import", "--quiet", "--force"]).current_dir(self.remote()).stdin(Stdio::piped());
        let mut import = import.spawn().unwrap();
        history(&mut std::io::BufWriter::new(import.stdin.take().unwrap()));
        assert!(import.wait().unwrap().success());
    }
}

fn begin(to: &mut dyn Write, second: usize) {
    write!(to, "commit refs/heads/main\ncommitter A <a@example.org> {second} +0000\ndata 0\n").unwrap();
}

fn file(to: &mut dyn Write, path: &str, text: &str) {
    write!(to, "M 644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
}

#[test]
fn the_readme_tells_the_bounds_as_they_are() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let bounds = Bounds::default();
    let rows = [
        format!("| the remote's answer to what it has | {} s;", bounds.listing.as_secs()),
        format!("| branches and tags | {},000 |", bounds.tips / 1_000),
        format!("| one fetch | {} s |", bounds.fetch.as_secs()),
        format!("| the mirror on disk | {} MiB |", bounds.mirror >> 20),
        format!("git and of each of its children | {} GiB |", bounds.memory >> 30),
        format!("fetches the same recipe | {} s |", bounds.other_run.as_secs()),
    ];
    rows.iter().for_each(|row| assert!(readme.contains(row), "{row}"));
}

#[tokio::test]
async fn thousands_of_commits_and_tags_are_read() {
    let world = World::new();
    world.import(|to| {
        for number in 0..5_000 {
            begin(to, number);
            file(to, "compose.yml", &format!("commit {number}"));
            writeln!(to, "\nreset refs/tags/1.0.{number}+1\nfrom refs/heads/main\n").unwrap();
        }
    });
    let mirror = world.fetched().await;
    let published = mirror.published().await.unwrap();
    assert_eq!(published.versions.len(), 5_000);
    assert_eq!(compose(&mirror, &published.versions[4_999].1).await, "commit 4999");
}

#[tokio::test]
async fn a_giant_file_costs_neither_memory_nor_its_recipe() {
    let world = World::new();
    let giant = "0".repeat(1 << 20);
    world.import(|to| {
        for (second, copies) in [(0, 80), (1, 81)] {
            begin(to, second);
            write!(to, "M 644 inline giant\ndata {}\n", copies << 20).unwrap();
            (0..copies).for_each(|_| to.write_all(giant.as_bytes()).unwrap());
            to.write_all(b"\n").unwrap();
            file(to, "compose.yml", "small");
        }
    });
    // Less than the file, and enough for git.
    let mirror = world.within(Bounds { memory: 64 << 20, ..Bounds::default() });
    assert_eq!(mirror.fetch(today()).await.unwrap(), Freshness::Fresh);
    let head = mirror.published().await.unwrap().head.unwrap();
    let tree = mirror.tree(&head).await.unwrap();
    assert_eq!(tree.entries["giant"], Entry::TooLarge(81 << 20));
    assert_eq!(tree.text("compose.yml"), Ok("small"));
}

#[tokio::test]
async fn a_small_object_that_needs_a_large_one_is_not_unpacked() {
    let world = World::new();
    let large = noise(62 << 20);
    world.git(&["config", "core.compression", "0"]);
    fs::write(world.remote().join("z.bin"), &large).unwrap();
    fs::write(world.remote().join("b.bin"), &large[..2 << 20]).unwrap();
    world.commit("text");
    // The second file is a few bytes now, and the first one has to be in memory to read it.
    world.git(&["repack", "-adfq", "--window=4"]);
    let blob = world.git(&["rev-parse", "HEAD:b.bin"]);
    let packed = world.git(&["cat-file", "--batch-check=%(objectsize:disk)", "--batch-all-objects"]);
    assert!(packed.lines().filter(|size| size.parse::<u64>().unwrap() > 100_000).count() == 1, "{blob}: {packed}");
    let server = Server::start(world.dir.path()).await;
    let bounds = Bounds { memory: 48 << 20, ..Bounds::default() };
    let recipes = Recipes::new(world.dir.path().join("state")).within(bounds);
    let error = format!("{:#}", recipes.mirror(&server.url("wiki"), None).fetch(today()).await.unwrap_err());
    assert!(error.contains("unpacks to more than git may use (48 MiB)"), "{error}");
}

#[tokio::test]
async fn a_repository_beyond_the_bound_is_not_kept() {
    let world = World::with_versions(&["1.0.0+1"]);
    let bounds = Bounds { mirror: 1 << 20, ..Bounds::default() };
    world.within(bounds.clone()).fetch(today()).await.unwrap();
    let size = || walk_size(&world.in_recipes(".git"));
    let before = size();
    fs::write(world.remote().join("film.mkv"), noise(8 << 20)).unwrap();
    world.commit_all();
    world.git(&["tag", "1.1.0+1"]);
    let mirror = world.within(bounds.clone());
    let Freshness::Stale { why } = mirror.fetch(today()).await.unwrap() else { panic!("fresh") };
    assert!(why.contains("the mirror would have more than 1 MiB on disk"), "{why}");
    assert_eq!((versions(&mirror).await, size()), (vec!["1.0.0+1".to_owned()], before));
    fs::remove_dir_all(world.dir.path().join("state")).unwrap();
    let error = format!("{:#}", mirror.fetch(today()).await.unwrap_err());
    assert!(error.contains("no mirror") && error.contains("more than 1 MiB"), "{error}");
    assert!(world.recipes().iter().all(|name| name.ends_with(".lock")), "{:?}", world.recipes());
}

fn walk_size(folder: &Path) -> u64 {
    super::walk(folder).iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

#[tokio::test]
async fn too_many_tags_are_told() {
    let world = World::with_versions(&["1.0.0+1"]);
    let bounds = Bounds { tips: 10, ..Bounds::default() };
    world.within(bounds.clone()).fetch(today()).await.unwrap();
    for (count, name) in [(12, "v"), (30, "a-name-that-is-as-long-as-no-name-of-a-tag-should-ever-be-in-the-world-")] {
        for number in 0..count {
            world.git(&["tag", &format!("{name}{}{number}", name.repeat(2))]);
        }
        let Freshness::Stale { why } = world.within(bounds.clone()).fetch(today()).await.unwrap() else { panic!() };
        assert!(why.contains("more than 10 branches and tags"), "{why}");
    }
}

#[tokio::test]
async fn a_clone_without_its_history_serves_as_a_remote() {
    let world = World::with_versions(&["1.0.0+1", "1.1.0+1"]);
    let (whole, shallow) = (world.dir.path().join("whole"), world.remote());
    fs::rename(&shallow, &whole).unwrap();
    let from = format!("file://{}", whole.display());
    let clone = Command::new("git").args(["clone", "--quiet", "--depth=1", &from]).arg(&shallow).status();
    assert!(clone.unwrap().success());
    let mirror = world.fetched().await;
    assert_eq!(versions(&mirror).await, ["1.1.0+1"]);
    assert_eq!(compose(&mirror, &world.head()).await, "version 1.1.0+1");
    world.commit("newer");
    world.git(&["tag", "1.2.0+1"]);
    assert_eq!(versions(&world.fetched().await).await, ["1.1.0+1", "1.2.0+1"]);
    world.git(&["fetch", "--quiet", "--unshallow", "--tags"]);
    assert_eq!(versions(&world.fetched().await).await, ["1.0.0+1", "1.1.0+1", "1.2.0+1"]);
}

#[tokio::test]
async fn a_lock_that_is_never_given_back_leaves_the_mirror_as_it_is() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    let lock = fs::File::open(world.in_recipes(".lock")).unwrap();
    lock.lock().unwrap();
    let mirror = world.within(Bounds { other_run: Duration::ZERO, ..Bounds::default() });
    let Freshness::Stale { why } = mirror.fetch(today()).await.unwrap() else { panic!("fresh") };
    assert!(why.contains("another run is still fetching it"), "{why}");
    assert_eq!(versions(&mirror).await, ["1.0.0+1"]);
}
