//! Mirrors of real git repositories.

mod broken;
mod hostile;
mod large;
mod notes;
mod program;
mod remotes;
mod server;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use evenkeel::host::recipes::{Freshness, Mirror, Recipes};
use evenkeel::model::version::Commit;
use evenkeel::recipe::Entry;
use jiff::Timestamp;
use tempfile::TempDir;

/// A remote, and a state directory with its mirror.
struct World {
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: TempDir::new().unwrap() };
        fs::create_dir(world.remote()).unwrap();
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world
    }

    fn with_versions(tags: &[&str]) -> Self {
        let world = Self::new();
        for tag in tags {
            world.commit(&format!("version {tag}"));
            world.git(&["tag", tag]);
        }
        world
    }

    fn remote(&self) -> PathBuf {
        self.dir.path().join("wiki")
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(self.remote())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "An author")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "author@example.org")))
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits `compose.yml` with this text.
    fn commit(&self, text: &str) -> Commit {
        fs::write(self.remote().join("compose.yml"), text).unwrap();
        self.commit_all()
    }

    fn head(&self) -> Commit {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn commit_all(&self) -> Commit {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "a change"]);
        self.head()
    }

    fn mirror(&self) -> Mirror {
        Recipes::new(self.dir.path().join("state")).mirror(self.remote().to_str().unwrap(), None)
    }

    async fn fetched(&self) -> Mirror {
        let mirror = self.mirror();
        assert_eq!(mirror.fetch(today()).await.unwrap(), Freshness::Fresh);
        mirror
    }

    fn lose_remote(&self) {
        fs::rename(self.remote(), self.dir.path().join("elsewhere")).unwrap();
    }

    /// What lies in the mirrors' folder, without the mirror's own name in front.
    fn recipes(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("state/recipes")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn in_recipes(&self, ending: &str) -> PathBuf {
        let name = self.recipes().into_iter().find(|name| name.ends_with(ending)).unwrap();
        self.dir.path().join("state/recipes").join(name)
    }
}

fn today() -> Timestamp {
    "2026-03-01T02:00:00Z".parse().unwrap()
}

async fn versions(mirror: &Mirror) -> Vec<String> {
    let published = mirror.published().await.unwrap();
    published.versions.iter().map(|(version, _)| version.to_string()).collect()
}

async fn compose(mirror: &Mirror, commit: &Commit) -> String {
    mirror.tree(commit).await.unwrap().text("compose.yml").unwrap().to_owned()
}

#[tokio::test]
async fn versions_are_tags_of_any_kind_in_their_own_order() {
    let world = World::new();
    let first = world.commit("first");
    world.git(&["tag", "1.0.0+1.9.0"]);
    let second = world.commit("second");
    world.git(&["tag", "--annotate", "--message", "annotated", "1.0.0+1.10.0"]);
    world.git(&["tag", "--annotate", "--message", "tag of a tag", "1.1.0+1.10.0", "1.0.0+1.10.0"]);
    let head = world.commit("unreleased");
    let published = world.fetched().await.published().await.unwrap();
    let found: Vec<_> = published.versions.iter().map(|(v, commit)| (v.to_string(), commit.clone())).collect();
    let expected = [("1.0.0+1.9.0", &first), ("1.0.0+1.10.0", &second), ("1.1.0+1.10.0", &second)];
    assert_eq!(found, expected.map(|(tag, commit)| (tag.to_owned(), commit.clone())));
    assert_eq!(published.head, Some(head));
    assert!(published.ignored.is_empty() && published.moved.is_empty());
}

#[tokio::test]
async fn legacy_tags_and_tags_of_no_commit_are_ignored_and_told() {
    let world = World::with_versions(&["1.0.0+1", "v2.4.8", "5.7.1_1"]);
    let blob = world.git(&["rev-parse", "HEAD:compose.yml"]);
    world.git(&["tag", "9.0.0+1", &blob]);
    let mirror = world.fetched().await;
    assert_eq!(versions(&mirror).await, ["1.0.0+1"]);
    let mut ignored = mirror.published().await.unwrap().ignored;
    ignored.sort();
    assert_eq!(ignored, ["5.7.1_1", "9.0.0+1", "v2.4.8"]);
}

#[tokio::test]
async fn a_recipe_without_tags_has_its_newest_commit() {
    let world = World::new();
    let head = world.commit("only");
    let published = world.fetched().await.published().await.unwrap();
    assert_eq!((published.versions.len(), published.head), (0, Some(head)));
}

#[tokio::test]
async fn an_empty_repository_has_nothing_and_is_no_failure() {
    let world = World::new();
    let mirror = world.fetched().await;
    assert_eq!(mirror.published().await.unwrap(), Default::default());
    let head = world.commit("first");
    assert_eq!(world.fetched().await.published().await.unwrap().head, Some(head));
}

#[tokio::test]
async fn a_fetch_follows_what_the_remote_adds_and_removes() {
    let world = World::with_versions(&["1.0.0+1", "1.1.0+1"]);
    world.fetched().await;
    world.git(&["tag", "--delete", "1.1.0+1"]);
    world.commit("newer");
    world.git(&["tag", "2.0.0+1"]);
    assert_eq!(versions(&world.fetched().await).await, ["1.0.0+1", "2.0.0+1"]);
}

#[tokio::test]
async fn a_moved_tag_is_told_and_the_version_stays_what_it_was() {
    let world = World::new();
    let first = world.commit("first");
    world.git(&["tag", "1.0.0+1"]);
    world.fetched().await;
    // Nothing but the tag held the first commit.
    world.git(&["checkout", "--quiet", "--orphan", "other"]);
    let now = world.commit("now");
    world.git(&["tag", "--force", "1.0.0+1"]);
    world.git(&["branch", "--delete", "--force", "main"]);
    let mirror = world.fetched().await;
    let published = mirror.published().await.unwrap();
    assert_eq!(published.versions, [("1.0.0+1".parse().unwrap(), first.clone())]);
    let moved = &published.moved[0];
    assert_eq!((moved.version.to_string().as_str(), &moved.first, &moved.now), ("1.0.0+1", &first, &now));
    assert_eq!(compose(&mirror, &first).await, "first");
}

#[tokio::test]
async fn the_first_sight_of_a_tag_keeps_its_time() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    world.commit("second");
    world.git(&["tag", "1.1.0+1"]);
    world.mirror().fetch("2026-03-02T02:00:00Z".parse().unwrap()).await.unwrap();
    let text = fs::read_to_string(world.in_recipes(".json")).unwrap();
    let sights: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sights["1.0.0+1"]["seen"], "2026-03-01T02:00:00Z");
    assert_eq!(sights["1.1.0+1"]["seen"], "2026-03-02T02:00:00Z");
    assert_eq!(sights["1.1.0+1"]["commit"], world.git(&["rev-parse", "HEAD"]));
}

#[tokio::test]
async fn without_the_remote_the_mirror_serves_and_says_so() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    world.lose_remote();
    let mirror = world.mirror();
    let Freshness::Stale { why } = mirror.fetch(today()).await.unwrap() else { panic!("fresh without a remote") };
    assert!(why.contains(world.remote().to_str().unwrap()) && why.contains("does not"), "{why}");
    assert_eq!(versions(&mirror).await, ["1.0.0+1"]);
}

#[tokio::test]
async fn without_remote_and_mirror_the_error_says_what_to_do() {
    let world = World::new();
    world.lose_remote();
    let mirror = world.mirror();
    let error = format!("{:#}", mirror.fetch(today()).await.unwrap_err());
    assert!(error.contains(world.remote().to_str().unwrap()), "{error}");
    assert!(error.contains("check the address") && error.contains("no mirror"), "{error}");
    assert!(world.recipes().iter().all(|name| name.ends_with(".lock")), "{:?}", world.recipes());
    let id = "0123456789abcdef0123456789abcdef01234567";
    let asked = [
        mirror.published().await.err(),
        mirror.resolve_commit(id).await.err(),
        mirror.tree(&id.parse().unwrap()).await.err(),
    ];
    for error in asked {
        let error = format!("{:#}", error.unwrap());
        assert!(error.contains("there is no mirror of") && error.contains("a run that may fetch"), "{error}");
    }
    assert!(mirror.tree_if_there(&id.parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_first_clone_that_was_killed_is_begun_anew() {
    let world = World::with_versions(&["1.0.0+1"]);
    let name = world.fetched().await;
    let mirror = world.in_recipes(".git");
    let mirror_name = mirror.file_name().unwrap().to_str().unwrap();
    // As a kill leaves it: half a repository beside, none in place.
    let half = mirror.with_file_name(format!(".{mirror_name}-a1b2c3"));
    fs::rename(&mirror, &half).unwrap();
    fs::remove_file(half.join("HEAD")).unwrap();
    assert_eq!(name.fetch(today()).await.unwrap(), Freshness::Fresh);
    assert_eq!(versions(&name).await, ["1.0.0+1"]);
    assert!(!half.exists());
}

#[tokio::test]
async fn a_later_fetch_that_was_killed_stops_no_other() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    let mirror = world.in_recipes(".git");
    for rest in ["packed-refs.lock", "shallow.lock", ".beside-a1b2c3", "objects/pack/tmp_pack_a"] {
        fs::create_dir_all(mirror.join(rest).parent().unwrap()).unwrap();
        fs::write(mirror.join(rest), "").unwrap();
    }
    world.commit("newer");
    world.git(&["tag", "2.0.0+1"]);
    world.git(&["tag", "--delete", "1.0.0+1"]);
    assert_eq!(versions(&world.fetched().await).await, ["2.0.0+1"]);
    assert!(!mirror.join("objects/pack/tmp_pack_a").exists());
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    let world = World::with_versions(&["1.0.0+1"]);
    let head = world.head();
    let damages: [fn(&Path); 4] = [
        |mirror| {
            for pack in fs::read_dir(mirror.join("objects/pack")).unwrap() {
                let pack = pack.unwrap().path();
                fs::remove_file(&pack).unwrap();
                fs::write(&pack, "PACK").unwrap();
            }
        },
        |mirror| fs::write(mirror.join("HEAD"), "").unwrap(),
        |mirror| fs::remove_dir_all(mirror.join("objects")).unwrap(),
        |mirror| {
            fs::remove_dir_all(mirror).unwrap();
            fs::write(mirror, "a file").unwrap();
        },
    ];
    for damage in damages {
        world.fetched().await;
        damage(&world.in_recipes(".git"));
        assert!(world.mirror().tree_if_there(&head).await.unwrap().is_none());
        let mirror = world.fetched().await;
        assert_eq!(versions(&mirror).await, ["1.0.0+1"]);
        assert_eq!(world.recipes().len(), 3, "{:?}", world.recipes());
    }
}

#[tokio::test]
async fn a_damaged_mirror_stays_until_there_is_a_better_one() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    let mirror = world.in_recipes(".git");
    fs::write(mirror.join("HEAD"), "").unwrap();
    world.lose_remote();
    let error = format!("{:#}", world.mirror().fetch(today()).await.unwrap_err());
    assert!(error.contains("damaged") && error.contains("cannot be fetched"), "{error}");
    assert!(mirror.join("objects").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_fetch_at_once_get_one_whole_mirror() {
    let world = World::with_versions(&["1.0.0+1", "1.1.0+1"]);
    let fetches: Vec<_> = (0..4)
        .map(|_| {
            let mirror = world.mirror();
            tokio::spawn(async move { mirror.fetch(today()).await })
        })
        .collect();
    for fetch in fetches {
        assert_eq!(fetch.await.unwrap().unwrap(), Freshness::Fresh);
    }
    assert_eq!(versions(&world.mirror()).await, ["1.0.0+1", "1.1.0+1"]);
    assert_eq!(world.recipes().len(), 3, "{:?}", world.recipes());
}

#[tokio::test]
async fn a_fetch_waits_for_a_git_that_outlived_its_run() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    let lock = fs::File::open(world.in_recipes(".lock")).unwrap();
    lock.lock().unwrap();
    let mut orphan = Command::new("sleep").arg("600").stdin(Stdio::from(lock)).spawn().unwrap();
    let mirror = world.mirror();
    let fetch = tokio::spawn(async move { mirror.fetch(today()).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!fetch.is_finished());
    orphan.kill().unwrap();
    orphan.wait().unwrap();
    assert_eq!(fetch.await.unwrap().unwrap(), Freshness::Fresh);
}

#[tokio::test]
async fn a_tree_is_what_was_committed() {
    let world = World::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    fs::create_dir_all(world.remote().join("conf/deep")).unwrap();
    fs::write(world.remote().join("conf/deep/all.bin"), &bytes).unwrap();
    fs::write(world.remote().join("empty"), "").unwrap();
    fs::write(world.remote().join("big"), vec![b'x'; (1 << 20) + 1]).unwrap();
    symlink("/etc/passwd", world.remote().join("link")).unwrap();
    // What a checkout or an archive would obey.
    fs::write(world.remote().join(".gitattributes"), "compose.yml export-ignore\n*.txt eol=crlf ident\n").unwrap();
    fs::write(world.remote().join("note.txt"), "$Id$\n").unwrap();
    let commit = world.commit("text");
    let tree = world.fetched().await.tree(&commit).await.unwrap();
    let keys: Vec<_> = tree.entries.keys().map(String::as_str).collect();
    assert_eq!(keys[..4], [".gitattributes", "big", "compose.yml", "conf/deep/all.bin"]);
    assert_eq!(tree.bytes("conf/deep/all.bin"), Ok(&bytes[..]));
    assert_eq!(tree.text("empty"), Ok(""));
    assert_eq!(tree.text("note.txt"), Ok("$Id$\n"));
    assert_eq!(tree.entries["big"], Entry::TooLarge((1 << 20) + 1));
    assert_eq!(tree.entries["link"], Entry::Symlink);
}

#[tokio::test]
async fn a_submodule_is_told_and_not_followed() {
    let world = World::new();
    let commit = world.commit("text");
    world.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},module")]);
    world.git(&["commit", "--quiet", "--message", "add a submodule"]);
    let commit = world.head();
    let tree = world.fetched().await.tree(&commit).await.unwrap();
    assert_eq!(tree.entries["module"], Entry::Submodule);
}

#[tokio::test]
async fn a_tree_without_end_is_refused() {
    let world = World::new();
    fs::create_dir(world.remote().join("many")).unwrap();
    for number in 0..5_001 {
        fs::write(world.remote().join(format!("many/{number}")), "").unwrap();
    }
    let many = world.commit_all();
    fs::remove_dir_all(world.remote().join("many")).unwrap();
    for number in 0..33 {
        fs::write(world.remote().join(number.to_string()), vec![number; 1 << 20]).unwrap();
    }
    let much = world.commit_all();
    let mirror = world.fetched().await;
    for (commit, told) in [(many, "more than 5000 files"), (much, "bytes in all")] {
        let error = format!("{:#}", mirror.tree(&commit).await.unwrap_err());
        assert!(error.contains(told) && error.contains(commit.short()), "{error}");
    }
}

#[tokio::test]
async fn a_wide_tree_within_the_bounds_is_read_whole() {
    let world = World::new();
    for number in 0..1_000 {
        let folder = world.remote().join(format!("{}", number % 100));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(number.to_string()), format!("file {number}")).unwrap();
    }
    let commit = world.commit_all();
    let tree = world.fetched().await.tree(&commit).await.unwrap();
    assert_eq!(tree.entries.len(), 1_000);
    assert_eq!(tree.text("99/999"), Ok("file 999"));
}

#[tokio::test]
async fn a_commit_is_found_by_the_beginning_of_its_id_alone() {
    let world = World::new();
    let commit = world.commit("first");
    let other = world.commit("second");
    // A branch may be named like a commit.
    world.git(&["branch", &commit.as_str()[..8], other.as_str()]);
    let mirror = world.fetched().await;
    assert_eq!(mirror.resolve_commit(&commit.as_str()[..8]).await.unwrap(), commit);
    assert_eq!(mirror.resolve_commit(commit.as_str()).await.unwrap(), commit);
    let unknown = "0123456789abcdef0123456789abcdef01234567";
    for (wrong, told) in [(unknown, "has no commit"), ("main", "not the beginning"), ("abc", "not the beginning")] {
        let error = mirror.resolve_commit(wrong).await.unwrap_err().to_string();
        assert!(error.contains(told), "{wrong}: {error}");
    }
    assert!(mirror.tree_if_there(&commit).await.unwrap().is_some());
    assert!(mirror.tree_if_there(&unknown.parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_ambiguous_beginning_is_told() {
    let world = World::new();
    // 16 bits: some two of so many begin alike.
    let history: String = (0..1_500)
        .map(|second| format!("commit refs/heads/main\ncommitter A <a@example.org> {second} +0000\ndata 0\n\n"))
        .collect();
    fs::write(world.dir.path().join("history"), history).unwrap();
    let history = fs::File::open(world.dir.path().join("history")).unwrap();
    let import =
        Command::new("git").args(["fast-import", "--quiet"]).current_dir(world.remote()).stdin(history).status();
    assert!(import.unwrap().success());
    let mut begun = BTreeSet::new();
    let commits = world.git(&["rev-list", "main"]);
    let alike = commits.lines().map(|commit| &commit[..4]).find(|beginning| !begun.insert(*beginning));
    let error = world.fetched().await.resolve_commit(alike.unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("begin with") && error.contains("more digits"), "{error}");
}

#[tokio::test]
async fn a_commit_that_the_mirror_lacks_is_told() {
    let world = World::with_versions(&["1.0.0+1"]);
    let mirror = world.fetched().await;
    let error = mirror.tree(&"0123456789abcdef0123456789abcdef01234567".parse().unwrap()).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("01234567") && error.contains("does not have it"), "{error}");
}

#[tokio::test]
async fn hooks_and_filters_of_a_repository_never_run() {
    let world = World::with_versions(&["1.0.0+1"]);
    let mirror = world.fetched().await;
    let ran = world.dir.path().join("ran");
    let hooks = world.in_recipes(".git").join("hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in ["reference-transaction", "post-update", "pre-receive"] {
        let path = hooks.join(hook);
        fs::write(&path, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    world.commit("newer");
    world.git(&["tag", "1.1.0+1"]);
    assert_eq!(mirror.fetch(today()).await.unwrap(), Freshness::Fresh);
    assert_eq!(versions(&mirror).await.len(), 2);
    assert!(!ran.exists());
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_file_address_works_as_a_path_does() {
    let world = World::with_versions(&["1.0.0+1"]);
    let url = format!("file://{}", world.remote().display());
    let mirror = Recipes::new(world.dir.path().join("state")).mirror(&url, None);
    assert_eq!(mirror.fetch(today()).await.unwrap(), Freshness::Fresh);
    assert_eq!(versions(&mirror).await, ["1.0.0+1"]);
}

#[tokio::test]
async fn hundreds_of_tags_with_long_names_are_read_whole() {
    let world = World::with_versions(&["1.0.0+1"]);
    let long = "x".repeat(200);
    let head = world.head();
    let packed: String = (0..900).map(|number| format!("{head} refs/tags/2.0.{number}+{long}\n")).collect();
    fs::write(world.remote().join(".git/packed-refs"), packed).unwrap();
    assert_eq!(versions(&world.fetched().await).await.len(), 901);
}
