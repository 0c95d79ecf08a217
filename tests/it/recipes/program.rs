//! The real program and a recipe's remote.

use std::fs;

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
    fs::set_permissions(trap.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
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
