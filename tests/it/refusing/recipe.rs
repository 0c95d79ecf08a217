//! What is wrong with a recipe or its remote.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{Host, PLAIN, files_under};
use crate::fixtures::RecipeRepo;

#[test]
fn a_version_that_nobody_published_is_told_with_those_that_are() {
    let mut recipe = RecipeRepo::empty();
    recipe.publish("1.0.0+1.0.0", &[("compose.yml", PLAIN)]);
    recipe.publish("1.1.0+1.1.0", &[("release/1.1.0+1.1.0", "News.\n")]);
    let table = format!("[app.wiki]\nrecipe = {{ url = \"{}\" }}\nversion = \"1.0.9+1.0.0\"\n", recipe.url());
    let host = Host::new().table(&table);
    host.refuses(
        &["app"],
        12,
        &["wiki: blocked: version 1.0.9+1.0.0 was never published; the nearest ones are", "1.0.0+1.0.0", "1.1.0+1.1.0"],
    );
}

#[test]
fn an_undefined_secret_of_a_recipe_is_told_with_its_place() {
    let compose = format!("{PLAIN}    secrets: [nope]\n");
    let host = Host::new().app("wiki", &[("compose.yml", &compose)], "");
    let words = [
        "wiki: blocked: the recipe at 1.0.0+1.0.0",
        "compose.yml:4:15: error: service app: undefined secret \"nope\"",
        "declare it",
    ];
    host.refuses(&["app"], 12, &words);
}

#[test]
fn a_secrets_name_that_the_engine_would_not_take_is_told_before_it_is_asked() {
    let long = "x".repeat(60);
    let compose =
        format!("{PLAIN}    secrets: [a]\nsecrets:\n  a: {{ external: true, name: \"${{STACK_NAME}}_{long}\" }}\n");
    let host = Host::new().app("wiki", &[("compose.yml", &compose)], "");
    host.refuses(
        &["app"],
        12,
        &["secret a: the name", "has 75 characters, and 64 are allowed", "use a shorter domain"],
    );
}

#[test]
fn a_secret_that_is_not_to_be_generated_is_asked_for() {
    let compose = format!(
        "{PLAIN}    secrets: [key]\nsecrets:\n  key: {{ external: true, name: \"${{STACK_NAME}}_key_${{SECRET_KEY_VERSION}}\" }}\n"
    );
    let sample = "SECRET_KEY_VERSION=v1 # generate=false\n";
    let host = Host::new().app("wiki", &[("compose.yml", &compose), (".env.sample", sample)], "");
    let words = [
        "secret wiki_x_example_key_v1 is one that the recipe does not want generated",
        "secrets = { key = \"/path\" }",
    ];
    host.refuses(&["app"], 12, &words);
    host.refuses(&["plan"], 12, &words);
}

#[test]
fn an_external_network_that_is_missing_and_not_the_shared_one_is_told_with_what_makes_it() {
    let compose = format!("{PLAIN}    networks: [edge]\nnetworks:\n  edge: {{ external: true }}\n");
    let host = Host::new().app("wiki", &[("compose.yml", &compose)], "");
    host.refuses(&["app"], 12, &["wiki: blocked: network edge is external and does not exist: create it (`docker"]);
}

#[test]
fn a_remote_that_cannot_be_reached_is_told_in_one_line_when_nothing_was_fetched_before() {
    let table = "[app.wiki]\nrecipe = { url = \"/nowhere/wiki\" }\n[app.notes]\nrecipe = { url = \"http://127.0.0.1:1/n.git\" }\n";
    let host = Host::new().table(table);
    host.leaves_all(
        1,
        &["wiki: error: there is no mirror", "/nowhere/wiki cannot be fetched", "check the address"],
        || {
            let said = host.run(&["app"]);
            assert_eq!(said.out.lines().count(), 2, "{said:#?}");
            said
        },
    );
}

#[test]
fn a_mirror_stands_in_for_a_remote_that_cannot_be_reached_and_that_is_said() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    assert_eq!(host.run(&["plan"]).code, 2);
    fs::rename(host.recipe().path().join(".git"), host.recipe().path().join("gone")).unwrap();
    let words = [
        "the recipe is taken from its mirror as it was fetched before",
        "cannot be fetched",
        "image evenkeel-test/nowhere:1",
    ];
    host.leaves_all(1, &words, || {
        let said = host.run(&["app"]);
        // The registry is asked for the image, which is no change to anything.
        host.engine.take();
        said
    });
}

#[test]
fn a_damaged_mirror_is_made_anew_or_told() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    assert_eq!(host.run(&["plan"]).code, 2);
    let damage = || {
        for file in files_under(&host.mirror().join("objects")) {
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            fs::write(file, "").unwrap();
        }
    };
    damage();
    assert_eq!(host.run(&["plan"]).code, 2);
    damage();
    fs::rename(host.recipe().path().join(".git"), host.recipe().path().join("gone")).unwrap();
    host.refuses(
        &["app"],
        1,
        &["wiki: error: the mirror ", "is damaged, or was changed by somebody else", "cannot be fetched"],
    );
}
