//! Repositories that nobody made with good intentions.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use evenkeel::host::recipes::{Freshness, Mirror};
use evenkeel::model::version::Commit;
use evenkeel::recipe::Entry;

use super::{World, compose, today, versions};

/// Mode, name and id.
type RawEntry<'a> = (&'a str, &'a [u8], &'a str);

impl World {
    /// Writes an object as it is, whatever git thinks of it.
    fn object(&self, kind: &str, bytes: &[u8]) -> String {
        let mut git = Command::new("git");
        git.args(["hash-object", "-t", kind, "-w", "--literally", "--stdin"]).current_dir(self.remote());
        let mut git = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        git.stdin.take().unwrap().write_all(bytes).unwrap();
        String::from_utf8(git.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    }

    /// A folder with these entries.
    fn folder(&self, entries: &[RawEntry]) -> String {
        let raw = |(mode, name, id): &RawEntry| [mode.as_bytes(), b" ", name, b"\0", &bytes_of(id)].concat();
        self.object("tree", &entries.iter().flat_map(raw).collect::<Vec<_>>())
    }

    /// The newest commit of the main branch, with this folder as its root.
    fn commit_folder(&self, folder: &str) -> Commit {
        let commit = self.git(&["commit-tree", "-m", "a change", folder]);
        self.git(&["update-ref", "refs/heads/main", &commit]);
        commit.parse().unwrap()
    }

    async fn refusal(&self, commit: &Commit) -> String {
        let error = format!("{:#}", self.fetched().await.tree(commit).await.unwrap_err());
        assert!(!error.contains(char::is_control) && error.len() < 6_000, "{error:?}");
        error
    }
}

fn bytes_of(id: &str) -> Vec<u8> {
    (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test]
async fn nothing_that_a_repository_says_about_its_files_changes_them() {
    let world = World::new();
    let attributes = "compose.yml export-ignore\n* ident export-subst filter=evil\n*.txt text eol=crlf\n\
                      *.ucs working-tree-encoding=UTF-16\n";
    let text = "$Id$ $Format:%H$\nline\n";
    for (path, text) in [(".gitattributes", attributes), ("a.txt", text), ("sub/.gitattributes", "* -text\n")] {
        fs::create_dir_all(world.remote().join("sub")).unwrap();
        fs::write(world.remote().join(path), text).unwrap();
    }
    // As they lie in the repository: adding them by the attributes would change them on the way in.
    let blob = world.object("blob", text.as_bytes());
    world.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},b.ucs")]);
    world.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},a.txt")]);
    let attributes = world.object("blob", attributes.as_bytes());
    world.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{attributes},.gitattributes")]);
    world.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},compose.yml")]);
    world.git(&["commit", "--quiet", "--message", "a change"]);
    let tree = world.fetched().await.tree(&world.head()).await.unwrap();
    for path in ["a.txt", "b.ucs", "compose.yml"] {
        assert_eq!(tree.text(path), Ok(text), "{path}");
    }
}

#[tokio::test]
async fn folders_that_git_does_not_make_are_refused() {
    let world = World::new();
    let blob = world.object("blob", b"x");
    let empty = world.folder(&[]);
    let head = world.commit("first");
    let file = "100644";
    let rows: [(&[RawEntry], &str); 9] = [
        (&[(file, b"..", &blob)], "the path /.. is none"),
        (&[(file, b".git", &blob)], "the path /.git is git's own"),
        (&[(file, b"a/b", &blob)], "the path /a/b is none"),
        (&[(file, b"a\x1b[2J\n", &blob)], "the path /a\\u{1b}[2J\\n has control characters"),
        (&[(file, b"a\xff", &blob)], "is not UTF-8"),
        (&[(file, b"a", &blob), ("40000", b"a", &empty)], "a is there twice"),
        (&[("100000", b"a", &blob)], "a has mode 100000"),
        (&[(file, b"a", &empty)], "\"a\" is a tree where a file has to be"),
        (&[("40000", b"a", head.as_str())], "\"a\" is a commit where a folder has to be"),
    ];
    for (entries, told) in rows {
        let commit = world.commit_folder(&world.folder(entries));
        let mirror = world.mirror();
        // Some of them git itself refuses to take; what has come is refused by its reader.
        if mirror.fetch(today()).await.ok() != Some(Freshness::Fresh) {
            assert!(told.contains("where a"), "{told}");
            continue;
        }
        let error = format!("{:#}", mirror.tree(&commit).await.unwrap_err());
        assert!(error.contains(told) && !error.contains(char::is_control), "{told}: {error:?}");
    }
}

#[tokio::test]
async fn odd_names_are_only_names() {
    let world = World::new();
    let blob = world.object("blob", b"x");
    let names = ["C:\\windows", "COMPOSE.yml", "a b", "compose.yml", "git~1", "\u{202e}lmy.esopmoc"];
    let mut entries: Vec<_> = names.iter().map(|name| ("100644", name.as_bytes(), blob.as_str())).collect();
    entries.sort_by_key(|(_, name, _)| name.to_vec());
    let commit = world.commit_folder(&world.folder(&entries));
    let tree = world.fetched().await.tree(&commit).await.unwrap();
    assert_eq!(tree.entries.len(), names.len());
    assert!(names.iter().all(|name| tree.entries[*name] == Entry::File(b"x".to_vec())));
}

#[tokio::test]
async fn few_objects_that_unfold_to_many_are_refused_at_once() {
    let world = World::new();
    let names: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    let blob = world.object("blob", b"x");
    let files: Vec<_> = names.iter().map(|name| ("100644", name.as_bytes(), blob.as_str())).collect();
    let mut folder = world.folder(&files);
    for _ in 0..10 {
        let same: Vec<_> = names.iter().map(|name| ("40000", name.as_bytes(), folder.as_str())).collect();
        folder = world.folder(&same);
    }
    // 10 to the power of 11 files.
    let commit = world.commit_folder(&folder);
    assert!(world.refusal(&commit).await.contains("more than 5000 files and folders"));
}

#[tokio::test]
async fn one_file_many_times_counts_each_time() {
    let world = World::new();
    let blob = world.object("blob", &vec![b'x'; 1 << 20]);
    let names: Vec<_> = (100..133).map(|number| number.to_string()).collect();
    let files: Vec<_> = names.iter().map(|name| ("100644", name.as_bytes(), blob.as_str())).collect();
    let commit = world.commit_folder(&world.folder(&files));
    assert!(world.refusal(&commit).await.contains("bytes in all"));
}

/// Folders in each other, as git's importer makes them.
fn deep(world: &World, depth: usize) -> Commit {
    let path = "d/".repeat(depth);
    let history = format!(
        "commit refs/heads/main\ncommitter A <a@example.org> 0 +0000\ndata 0\nM 644 inline {path}f\ndata 1\nx\n\n"
    );
    let mut import = Command::new("git");
    import.args(["fast-import", "--quiet", "--force"]).current_dir(world.remote()).stdin(Stdio::piped());
    let mut import = import.spawn().unwrap();
    import.stdin.take().unwrap().write_all(history.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    world.git(&["rev-parse", "main"]).parse().unwrap()
}

#[tokio::test]
async fn depth_is_bounded_by_the_length_of_a_path() {
    let world = World::new();
    let commit = deep(&world, 1_000);
    let tree = world.fetched().await.tree(&commit).await.unwrap();
    assert_eq!(tree.entries.len(), 1);
    let world = World::new();
    let commit = deep(&world, 2_100);
    assert!(world.refusal(&commit).await.contains("more than 4096"));
}

#[tokio::test]
async fn a_link_is_told_wherever_it_leads() {
    let world = World::new();
    let targets = ["/etc/passwd", "../../../etc", "compose.yml", "b", "."];
    for (name, target) in ["a", "b", "c", "d", "e"].iter().zip(targets) {
        std::os::unix::fs::symlink(target, world.remote().join(name)).unwrap();
    }
    let commit = world.commit("text");
    let tree = world.fetched().await.tree(&commit).await.unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        let error = tree.bytes(name).unwrap_err().to_string();
        assert!(error.contains("is a symbolic link"), "{error}");
    }
    assert!(tree.bytes("b/passwd").is_err());
}

#[tokio::test]
async fn tags_that_lead_nowhere_are_ignored() {
    let world = World::with_versions(&["1.0.0+1"]);
    let head = world.head();
    let mut id = head.to_string();
    let mut kind = "commit".to_owned();
    for depth in 0..60 {
        let tagger = "tagger A <a@example.org> 0 +0000";
        let text = format!("object {id}\ntype {kind}\ntag nested-{depth}\n{tagger}\n\nnested\n");
        (id, kind) = (world.object("tag", text.as_bytes()), "tag".to_owned());
    }
    world.git(&["tag", "2.0.0+1", &id]);
    world.git(&["tag", "3.0.0+1", "HEAD^{tree}"]);
    let blob = world.git(&["rev-parse", "HEAD:compose.yml"]);
    world.git(&["tag", "--annotate", "--message", "of a file", "4.0.0+1", &blob]);
    let mirror = world.fetched().await;
    let published = mirror.published().await.unwrap();
    assert_eq!(published.versions[1], ("2.0.0+1".parse().unwrap(), head));
    assert_eq!((published.versions.len(), published.ignored), (2, vec!["3.0.0+1".to_owned(), "4.0.0+1".to_owned()]));
}

/// A remote that is only files, as any web server has them: its list of tags can hold what git would refuse.
async fn files_over_http(world: &World, list: Vec<u8>) -> Mirror {
    use axum::extract::Path as Asked;
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    let root = world.remote().join(".git");
    let served = move |Asked(path): Asked<String>| {
        let answer = match path.strip_prefix("wiki/").unwrap_or_default() {
            "info/refs" => list.clone().into_response(),
            path => match fs::read(root.join(Path::new(path))) {
                Ok(bytes) => bytes.into_response(),
                Err(_) => StatusCode::NOT_FOUND.into_response(),
            },
        };
        async { answer }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/wiki", listener.local_addr().unwrap());
    let app = axum::Router::new().route("/{*path}", axum::routing::get(served));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    evenkeel::host::recipes::Recipes::new(world.dir.path().join("state")).mirror(&url, None)
}

#[tokio::test]
async fn names_of_tags_and_branches_stop_no_fetch_and_reach_no_terminal() {
    let world = World::with_versions(&["1.0.0+1"]);
    let head = world.head();
    let mut list = Vec::new();
    let long = "y".repeat(4096);
    let names: [&[u8]; 8] = [
        b"refs/heads/main",
        b"refs/tags/1.0.0+1",
        b"refs/tags/2.0.0+\xff",
        b"refs/tags/3.0.0+\x1b[2J",
        b"refs/tags/../../../../etc/cron.d/evil",
        b"refs/tags/1.0.0+1/below",
        b"refs/heads/\x07",
        &[b"refs/tags/", long.as_bytes()].concat(),
    ];
    for name in names {
        list.extend([head.as_str().as_bytes(), b"\t", name, b"\n"].concat());
    }
    let mirror = files_over_http(&world, list).await;
    mirror.fetch(today()).await.unwrap();
    assert_eq!(versions(&mirror).await, ["1.0.0+1"]);
    assert_eq!(compose(&mirror, &head).await, "version 1.0.0+1");
    let published = mirror.published().await.unwrap();
    assert_eq!(published.ignored.len(), 5, "{:?}", published.ignored);
    let told = published.others().unwrap();
    assert!(told.contains("3.0.0+\\u001b[2J") && !told.contains(char::is_control) && told.len() < 400, "{told}");
}
