//! The registries' logins: what is told of their file, and that nothing of its contents is.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use crate::refusing::{Host, PLAIN, tells};
use crate::world::Said;

/// "keeper:hidden-horse".
const LOGIN: &str = "a2VlcGVyOmhpZGRlbi1ob3JzZQ==";

/// A host whose file of logins has this text and mode; `None` for one that is not there.
fn host(file: Option<(&str, u32)>) -> Host {
    let host = Host::new();
    let path = host.path("registries.json");
    if let Some((text, mode)) = file {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    host.table(&format!("registry_auth = \"{}\"\n", path.display()))
}

fn check(host: &Host) -> Said {
    let said = host.run(&["check"]);
    for secret in [LOGIN, "hidden-horse"] {
        assert!(!format!("{said:?}").contains(secret), "{said:#?}");
    }
    said
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_with_the_way_out() {
    let broken = format!("{{\"auths\": {{\"a.example\": {{\"auth\": \"{LOGIN}\"}}}}");
    let odd = "{\"auths\": {\"a.example\": {\"auth\": \"hidden-horse\"}}}";
    let line = "a.example keeper:hidden-horse\nkeeper:hidden-horse\n";
    let table = [
        (None, ["No such file", "put it there, readable by who runs this"]),
        (Some((broken.as_str(), 0o600)), ["not JSON at line 1", "mend it, or log in anew with `docker login`"]),
        (Some((odd, 0o600)), ["the login for a.example is not base64", "mend it"]),
        (Some((line, 0o600)), ["line 2 is not of the form `REGISTRY USER:TOKEN`", "mend it"]),
    ];
    for (file, words) in table {
        let host = host(file).app("wiki", &[("compose.yml", PLAIN), (".env.sample", "")], "");
        let path = host.path("registries.json").display().to_string();
        let said = check(&host);
        tells(&said, 1, &words);
        assert!(said.err.contains(&format!("{path} (registry_auth)")), "{said:#?}");
        assert!(said.out.contains("wiki: fine") && !said.out.contains("nothing is wrong"), "{said:#?}");
        tells(&host.run(&["check", "--config-only"]), 0, &["nothing is wrong"]);
        host.refuses(&["app", "wiki"], 1, &words);
    }
}

#[test]
fn a_file_that_everybody_may_read_is_told_and_used() {
    let text = format!("{{\"auths\": {{\"a.example\": {{\"auth\": \"{LOGIN}\"}}}}}}");

    let open = check(&host(Some((&text, 0o644))));
    tells(&open, 0, &["nothing is wrong", "warning: registry_auth: everybody may read", "(mode 0644); chmod 0600"]);
    assert_eq!(check(&host(Some((&text, 0o600)))).err, "");
}

#[test]
fn logins_of_credential_helpers_are_told_to_have_no_effect() {
    let helpers = check(&host(Some(("{\"credHelpers\": {\"ghcr.io\": \"pass\"}}", 0o600))));
    tells(&helpers, 0, &["a credential helper has the login for ghcr.io", "put them under \"auths\""]);
    let store = check(&host(Some(("{\"credsStore\": \"desktop\", \"auths\": {\"ghcr.io\": {}}}", 0o600))));
    tells(&store, 0, &["the credential store \"desktop\" has the logins", "credential helpers are not called"]);
}
