//! The real program and a recipe's remote.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use evenkeel::model::state::{Release, ReleaseBody, State};
use evenkeel::model::version::{Commit, Revision};

use crate::refusing::{Host, PLAIN};

use super::World;
use super::server::{Answer, Server};

impl World {
    /// A host with one app of this recipe.
    fn host(&self, url: &str, version: &str) -> Host {
        let table = format!("[app.wiki]\nrecipe = {{ url = \"{url}\" }}\nversion = \"{version}\"\n");
        Host::new().table(&table)
    }
}

#[test]
fn tags_that_are_no_versions_are_listed_by_check_and_beside_an_unknown_version() {
    let world = World::new();
    world.commit(PLAIN);
    for tag in ["1.0.0+1", "v2.4.8", "5.7.1_1"] {
        world.git(&["tag", tag]);
    }
    let url = world.remote().display().to_string();
    let said = world.host(&url, "1.0.0+1").run(&["check"]);
    let listed = "tags that are no versions (x.y.z+app): 5.7.1_1, v2.4.8\n";
    assert!(said.out.starts_with(&format!("wiki: fine at 1.0.0+1\n    {listed}")), "{said:#?}");
    let said = world.host(&url, "2.4.8+1").run(&["check"]);
    let expected = format!("version 2.4.8+1 was never published; the nearest ones are 1.0.0+1; {listed}");
    assert!(said.code == 1 && said.out.contains(&expected), "{said:#?}");
}

#[test]
fn a_commit_is_never_shown_as_a_version() {
    let world = World::new();
    let head = world.commit(PLAIN);
    let url = world.remote().display().to_string();
    let host = world.host(&url, "latest");
    let commit = format!("commit {}", head.short());
    let said = host.run(&["check"]);
    let note = format!("{commit} is no version: the recipe had none, and its newest commit was taken");
    assert!(said.out.contains(&format!("wiki: fine at {commit}\n    {note}\n")), "{said:#?}");
    assert!(host.run(&["plan"]).out.starts_with(&format!("wiki at {commit}:\n")));
    for name in [head.as_str()[..7].to_owned(), head.as_str().to_uppercase(), head.to_string()] {
        let said = world.host(&url, &name).run(&["check"]);
        assert!(said.out.starts_with(&format!("wiki: fine at {commit}\n")) && !said.out.contains("none"), "{said:#?}");
    }
}

#[test]
fn a_commit_that_came_after_the_last_fetch_is_fetched() {
    let world = World::new();
    world.commit(PLAIN);
    let url = world.remote().display().to_string();
    let host = world.host(&url, "latest");
    assert_eq!(host.run(&["check"]).code, 0);
    world.git(&["checkout", "--quiet", "-b", "feature"]);
    let newer = world.commit(&format!("{PLAIN}# newer\n"));
    let table = format!("[app.notes]\nrecipe = {{ url = \"{url}\" }}\nversion = \"{}\"\n", &newer.as_str()[..9]);
    let said = host.table(&table).run(&["check"]);
    assert!(said.out.contains(&format!("notes: fine at commit {}", newer.short())), "{said:#?}");
}

#[test]
fn a_moved_tag_is_told_and_what_it_named_first_is_taken() {
    let world = World::new();
    let first = world.commit(PLAIN);
    world.git(&["tag", "1.0.0+1"]);
    let url = world.remote().display().to_string();
    let host = world.host(&url, "latest");
    assert_eq!(host.run(&["check"]).code, 0);
    let now = world.commit("services: {}\n");
    world.git(&["tag", "--force", "1.0.0+1"]);
    // A run fetches, and is blocked later for want of the image.
    let ran = host.run(&["app"]);
    let told = format!("the tag 1.0.0+1 names commit {} now, and named {} when", now.short(), first.short());
    assert!(ran.err.contains(&told), "{ran:#?}");
    let said = host.run(&["check"]);
    assert!(said.out.starts_with("wiki: fine at 1.0.0+1\n") && said.out.contains(&told), "{said:#?}");
}

/// The state of an app that was installed at this version and commit, whatever it consists of.
fn installed(version: Option<&str>, commit: &Commit) -> String {
    let revision = Revision { version: version.map(str::to_owned), commit: commit.clone() };
    let body = ReleaseBody {
        revision,
        networks: BTreeMap::new(),
        external_networks: Vec::new(),
        secrets: BTreeMap::new(),
        configs: BTreeMap::new(),
        services: BTreeMap::new(),
        images: BTreeMap::new(),
    };
    let current =
        Some(Release { body, key: "a key".to_owned(), since: "2026-01-01T00:00:00Z".to_owned(), snapshot: None });
    let state = State { current, ..State::new(&"wiki_x_example".parse().unwrap()) };
    serde_json::to_string(&state).unwrap()
}

#[test]
fn a_moved_tag_is_held_for_an_app_that_runs_it_even_when_all_else_is_lost() {
    let world = World::new();
    let first = world.commit(PLAIN);
    world.git(&["tag", "1.0.0+1"]);
    let host = world.host(&world.remote().display().to_string(), "latest");
    assert_eq!(host.run(&["check"]).code, 0);
    let now = world.commit(&format!("{PLAIN}# now\n"));
    world.git(&["tag", "--force", "1.0.0+1"]);
    host.put_state("wiki", &installed(Some("1.0.0+1"), &first));
    for lost in [false, true] {
        if lost {
            fs::remove_dir_all(host.state_dir().join("recipes")).unwrap();
        }
        let told = format!("the tag of version 1.0.0+1 was moved to commit {}", now.short());
        let ran = host.run(&["app"]);
        let status = host.run(&["status"]);
        let check = host.run(&["check"]);
        assert!(status.out.contains(&format!("held: {told}")), "{lost}: {status:#?}{ran:#?}");
        assert!(check.out.contains("wiki: fine at 1.0.0+1\n") && check.out.contains(&told), "{lost}: {check:#?}");
    }
}

#[test]
fn status_names_a_commit_and_no_version_for_an_app_without_one() {
    let world = World::new();
    let head = world.commit(PLAIN);
    let host = world.host(&world.remote().display().to_string(), "latest");
    host.put_state("wiki", &installed(None, &head));
    let said = host.run(&["status"]);
    assert!(said.out.contains(&format!("wiki             commit {} ", head.short())), "{said:#?}");
    let said: serde_json::Value = serde_json::from_str(&host.run(&["status", "--json"]).out).unwrap();
    assert_eq!((&said[0]["version"], &said[0]["commit"]), (&serde_json::Value::Null, &head.to_string().into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_cannot_be_used_or_that_everybody_can_read_are_told() {
    let world = World::new();
    world.commit(PLAIN);
    let server = Server::start(world.dir.path()).await;
    let url = server.url("wiki");
    let file = world.dir.path().join("credentials");
    let table = format!(
        "[app.wiki]\nrecipe = {{ url = \"{url}\", credentials = \"{}\" }}\nversion = \"latest\"\n",
        file.display()
    );
    let host = Host::new().table(&table);
    let told = |words: &str| {
        let said = host.run(&["check"]);
        assert!(said.code == 1 && said.out.contains(words), "{words}: {said:#?}");
        assert!(!format!("{said:?}").contains("s3cret"), "{said:#?}");
    };
    told("credentials: No such file");
    fs::create_dir(&file).unwrap();
    told("credentials: it is a folder");
    fs::remove_dir(&file).unwrap();
    for text in ["", "robot:s3cret\nrobot:s3cret\n", "s3cret", "robot:s3cret\u{0}", ":s3cret"] {
        fs::write(&file, text).unwrap();
        told("it has to be one line `user:token`");
    }
    assert!(server.asked().is_empty());
    fs::write(&file, "robot:s3cret\n").unwrap();
    for (mode, warned) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let _ = fs::remove_dir_all(host.state_dir());
        let said = host.run(&["check"]);
        assert!(said.out.contains("wiki: fine at commit"), "{said:#?}");
        assert_eq!(said.err.contains("everybody on this host can read the credentials"), warned, "{said:#?}");
    }
}

#[test]
fn nothing_in_our_environment_changes_what_git_does() {
    let world = World::new();
    world.commit(PLAIN);
    world.git(&["tag", "1.0.0+1"]);
    let host = world.host(&world.remote().display().to_string(), "1.0.0+1");
    let trap = host.path("trap");
    fs::create_dir(&trap).unwrap();
    let ran = trap.join("ran");
    let script = format!("#!/bin/sh\ntouch {}\n", ran.display());
    fs::write(trap.join("run"), script).unwrap();
    fs::set_permissions(trap.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    let run = trap.join("run").display().to_string();
    fs::write(trap.join(".gitconfig"), format!("[core]\n\tfsmonitor = {run}\n[url \"/nowhere\"]\n\tinsteadOf = /\n"))
        .unwrap();
    let mut command = host.command(&["check"]);
    for name in
        ["GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE"]
    {
        command.env(name, "nowhere");
    }
    for name in
        ["GIT_SSH_COMMAND", "GIT_SSH", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_PROXY_COMMAND", "GIT_PAGER", "GIT_EDITOR"]
    {
        command.env(name, &run);
    }
    for name in ["GIT_TRACE", "GIT_TRACE_CURL", "GIT_TRACE_PACKET", "GIT_TRACE2", "GIT_CURL_VERBOSE"] {
        command.env(name, trap.join("trace"));
    }
    command.env("GIT_EXEC_PATH", &trap).env("GIT_TEMPLATE_DIR", &trap).env("GIT_ALLOW_PROTOCOL", "none");
    command.env("GIT_CONFIG_GLOBAL", trap.join(".gitconfig")).env("HOME", &trap).env("XDG_CONFIG_HOME", &trap);
    command.env("GIT_CONFIG_PARAMETERS", "'core.bare=false'").env("GIT_CONFIG_COUNT", "1");
    command.env("GIT_CONFIG_KEY_0", "url./nowhere.insteadOf").env("GIT_CONFIG_VALUE_0", "/");
    let said = crate::refusing::said(&mut command);
    assert!(said.out.starts_with("wiki: fine at 1.0.0+1\n"), "{said:#?}");
    assert!(!ran.exists() && !trap.join("trace").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_the_operators_that_is_missing_is_named_by_check() {
    let world = World::new();
    world.commit(PLAIN);
    world.git(&["tag", "1.0.0+1"]);
    let server = Server::start(world.dir.path()).await;
    let url = server.url("wiki");
    let recipe = |more: &str| format!("recipe = {{ url = \"{url}\"{more} }}\nversion = \"1.0.0+1\"\n");
    let host = Host::new().table(&format!("[app.wiki]\n{}", recipe("")));
    assert_eq!(host.run(&["check"]).code, 0, "its recipe is fetched");
    let files = ["credentials", "secret", "env", "gate", "chain", "key", "logins", "webhook"];
    let [credentials, secret, env, gate, chain, key, logins, webhook] =
        files.map(|name| world.dir.path().join(name).display().to_string());
    let recipe = recipe(&format!(", credentials = \"{credentials}\""));
    let host = host.without_tables().table(&format!(
        "registry_auth = \"{logins}\"\nalerts = {{ webhook = \"{webhook}\" }}\n\
         [app.wiki]\n{recipe}env_files = [\"{env}\"]\nsecrets = {{ a = \"{secret}\" }}\n\
         gate = {{ http = [{{ path = \"/\", auth = \"{gate}\" }}] }}\n\
         [proxy]\n{recipe}certificate = {{ chain = \"{chain}\", key = \"{key}\" }}\n"
    ));

    let said = host.run(&["check"]);

    assert_eq!(said.code, 1);
    for file in [credentials, secret, env, gate, chain, key, logins, webhook] {
        let named =
            format!("{}{}", said.out, said.err).lines().any(|line| line.contains(&file) && line.contains("No such"));
        assert!(named, "{file}: {said:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_in_the_middle_of_a_fetch_stops_no_other() {
    let world = World::new();
    world.commit(PLAIN);
    let mut server = Server::start(world.dir.path()).await;
    let url = server.url("wiki");
    let mut host = Host::new();
    // The first clone, and a later fetch.
    for (app, version) in [("wiki", "1.0.0+1"), ("notes", "1.1.0+1")] {
        world.commit(&format!("{PLAIN}# {version}\n"));
        world.git(&["tag", version]);
        host = host.table(&format!("[app.{app}]\nrecipe = {{ url = \"{url}\" }}\nversion = \"{version}\"\n"));
        server.answers_fetches(Answer::First(40));
        let mut run = host.command(&["check"]).spawn().unwrap();
        server.is_asked_for_objects().await;
        run.kill().unwrap();
        run.wait().unwrap();
        server.answers(Answer::Git);
        server.hangs_up();
        let said = host.run(&["check"]);
        assert!(said.code == 0 && said.out.contains(&format!("{app}: fine at {version}\n")), "{said:#?}");
    }
}
