use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// The example of the documentation, with every kind of table.
const FULL: &str = r#"
base_domain = "ci.example.org"
state_dir   = "/var/lib/ci-warm"
engine      = "unix:///run/docker.sock"

[network]
name   = "proxy"
subnet = "10.200.0.0/16"

[proxy]
recipe      = { url = "https://git.coopcloud.tech/coop-cloud/traefik.git" }
compose     = ["compose.yml", "compose.wildcard.yml"]
env         = { LETS_ENCRYPT_ENV = "", WILDCARDS_ENABLED = "1" }
certificate = { chain = "/run/secrets/wildcard_chain", key = "/run/secrets/wildcard_key" }

[drone]
recipe  = { url = "https://git.coopcloud.tech/coop-cloud/drone.git" }
compose = ["compose.yml", "compose.gitea.yml"]
secrets = { rpc_secret = "/run/secrets/drone_rpc", client_secret = "/run/secrets/drone_client" }
gitea   = { server = "https://git.example.org", client_id = "some-id" }
builds  = { timeout_minutes = 60, repositories = ["org/repo"], token = "/run/secrets/drone_admin" }

[warm_keycloak]
recipe = { url = "https://git.coopcloud.tech/coop-cloud/keycloak.git" }
policy = { auto = "minor", notes = "hold", min_age = "24h", window = "02:00-05:00" }
gate   = { http = [{ path = "/realms/master", status = [200] }], stable_for = "10s", within = "10m" }

[canonical.custom-html]
recipe = { url = "https://git.coopcloud.tech/coop-cloud/custom-html.git" }

[app.wiki]
recipe = { url = "https://git.example.org/recipes/wiki.git", credentials = "/run/secrets/git" }
domain = "wiki.ci.example.org"
version = "2.4.0+1.9.1"
env = { PORT = 8080, DEBUG = false, NAME = "Wiki" }
secrets = { smtp_password = "/run/secrets/smtp" }
"#;

const MINIMAL: &str = "base_domain = \"example.org\"\n";
const RECIPE: &str = "recipe = { url = \"https://example.org/r.git\" }\n";

fn declared(text: &str) -> Declared {
    parse("config.toml", text).unwrap_or_else(|findings| panic!("{findings}"))
}

fn refused(text: &str) -> String {
    parse("config.toml", text).expect_err("must be refused").to_string()
}

#[test]
fn the_full_example_parses() {
    let declared = declared(FULL);
    let names: Vec<_> = declared.apps.iter().map(|app| (app.name.as_str(), app.domain.as_str())).collect();
    let expected = [
        ("proxy", "traefik.ci.example.org"),
        ("drone", "drone.ci.example.org"),
        ("warm-keycloak", "warm-keycloak.ci.example.org"),
        ("custom-html", "warm-custom-html.ci.example.org"),
        ("wiki", "wiki.ci.example.org"),
    ];
    assert_eq!(names, expected);
    assert_eq!(declared.certificate.as_ref().unwrap().key, PathBuf::from("/run/secrets/wildcard_key"));

    let wiki = declared.app("wiki").unwrap();
    assert_eq!(wiki.stack.as_str(), "wiki_ci_example_org");
    assert_eq!(wiki.wanted, "2.4.0+1.9.1".parse().unwrap());
    assert_eq!(
        wiki.env.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        ["DEBUG=false", "NAME=Wiki", "PORT=8080"]
    );
    let Special::Drone(drone) = &declared.app("drone").unwrap().special else { panic!("no Drone settings") };
    assert_eq!(drone.builds.as_ref().unwrap().settings.timeout_minutes, Some(60));
    let keycloak = declared.of(Kind::WarmKeycloak).next().unwrap();
    assert_eq!(keycloak.gate.stable_for, Duration::from_secs(10));
    assert_eq!(keycloak.gate.http.as_ref().unwrap()[0].status, [200]);
    assert_eq!(keycloak.policy.min_age, Duration::from_secs(86400));
}

#[test]
fn nothing_of_the_full_example_is_worth_a_warning() {
    assert_eq!(declared(FULL).warnings.0, []);
}

#[test]
fn a_canonical_has_every_key_of_an_app_and_a_domain_of_its_own() {
    let lines = "version = \"1.0.0+1\"\ncompose = [\"compose.yml\"]\nenv = { A = 1 }\nenv_files = [\"/run/env\"]\n\
                 secrets = { a = \"/run/a\" }\nresolve = \"never\"\npolicy = { auto = \"major\" }\n\
                 gate = { within = \"5m\" }\nsnapshot = { exclude = [\"cache\"] }\n";
    let declared = declared(&format!("{MINIMAL}[canonical.wiki]\n{RECIPE}{lines}[app.keycloak]\n{RECIPE}"));
    let wiki = declared.app("wiki").unwrap();
    assert_eq!((wiki.kind, wiki.domain.as_str()), (Kind::Canonical, "warm-wiki.example.org"));
    assert_eq!((wiki.stack.as_str(), wiki.gate.within.as_secs()), ("warm-wiki_example_org", 300));
    assert_eq!(declared.warnings.0, []);
    let own = format!("{MINIMAL}[canonical.wiki]\n{RECIPE}domain = \"wiki.example.org\"\n");
    assert_eq!(self::declared(&own).apps[0].domain.as_str(), "wiki.example.org");
    let engine = refused(&format!("{MINIMAL}[canonical.wiki]\n{RECIPE}engine = \"drone\"\n"));
    assert!(engine.contains("unknown key \"engine\" in canonical.wiki"), "{engine}");
}

#[test]
fn two_owners_of_one_stack_are_both_named_with_their_places() {
    let two = |first: &str, second: &str| refused(&format!("{MINIMAL}{first}\n{RECIPE}{second}\n{RECIPE}"));
    let keycloak = "config.toml:4:12: error: canonical.keycloak: warm_keycloak (config.toml:2:2) has the domain \
                    warm-keycloak.example.org too, and so the same stack (give one of them another `domain`)";
    assert_eq!(two("[warm_keycloak]", "[canonical.keycloak]"), keycloak);
    assert_eq!(
        two("[canonical.wiki]", "[app.warm-wiki]"),
        "config.toml:4:6: error: app.warm-wiki: canonical.wiki (config.toml:2:12) has the domain warm-wiki.example.org \
         too, and so the same stack (give one of them another `domain`)"
    );
    let by_name = two("[canonical.wiki]", "[app.wiki]");
    assert!(by_name.contains("4:6: error: app.wiki: canonical.wiki (config.toml:2:12) has the same name"), "{by_name}");
    let explicit = format!(
        "{MINIMAL}[canonical.wiki]\n{RECIPE}domain = \"w.example.org\"\n[canonical.notes]\n{RECIPE}[app.other]\n{RECIPE}\
         domain = \"w.example.org\"\n[proxy]\n{RECIPE}domain = \"warm-notes.example.org\"\n"
    );
    let report = refused(&explicit);
    for told in [
        "7:6: error: app.other: canonical.wiki (config.toml:2:12) has the domain w.example.org too",
        "error: canonical.notes: proxy (config.toml:10:2) has the domain warm-notes.example.org too",
    ] {
        assert!(report.contains(told), "{told}: {report}");
    }
    // What else is wrong with one of them hides nothing.
    let faulty = refused(&format!("{MINIMAL}[warm_keycloak]\n[canonical.keycloak]\nrecipe = {{ url = \"\" }}\n"));
    assert!(faulty.contains("warm_keycloak (config.toml:2:2) has the domain warm-keycloak.example.org"), "{faulty}");
}

#[test]
fn a_canonical_whose_throw_away_stack_would_have_no_name_is_refused() {
    let base = |length: usize| format!("base_domain = \"{}.org\"\n", "a".repeat(length));
    let table = |length| format!("{}[canonical.wiki]\n{RECIPE}", base(length));
    declared(&table(45));
    let report = refused(&table(46));
    let told =
        "config.toml:2:12: error: canonical.wiki: a sweep has no stack to try its versions in: \"wiki-000000_aaa";
    assert!(report.starts_with(told) && report.ends_with("(choose a shorter base_domain)"), "{report}");
    assert_eq!(report.lines().count(), 1, "{report}");
}

#[test]
fn a_base_domain_is_enough_and_defaults_are_the_documented_ones() {
    let declared = declared(MINIMAL);
    assert_eq!(declared.state_dir, PathBuf::from(DEFAULT_STATE_DIR));
    assert_eq!((declared.engine, declared.max_tests), (None, 1));
    assert_eq!(
        (declared.network.name.as_str(), declared.network.subnet.to_string()),
        ("proxy", "10.200.0.0/16".into())
    );
    assert_eq!(declared.proxy_address.to_string(), "127.0.0.1");
    assert!(declared.apps.is_empty() && declared.certificate.is_none() && declared.warnings.0.is_empty());
}

/// One file with everything that people get wrong.
const BAD: &str = r#"base_domian = "ci.example.org"
state_dir = "var/lib/ci-warm"
engine = "tcp://10.0.0.1:2375"
max_tests = 0
prune = { watermark = "85%" }

[network]
name = "-proxy"
subnet = "10.200.0.1/16"

[proxy]
recipe = { ulr = "https://git.example.org/traefik.git" }
domain = "Traefik.example.org"
address = "localhost"
certificate = { chain = "wildcard.pem" }
compose = "compose.yml:compose.wildcard.yml"

[canonical.wiki]
recipe = { url = "https://me:hunter2@git.example.org/wiki.git" }

[app.wiki]
recipe = { url = "ext::sh -c id" }
version = "2.4"
polcy = { auto = "minor" }
secrets = { smtp_password = "hunter2" }
policy = { auto = "everything", min_age = "1 day", window = "2-5", never = ["1.x"] }
gate = { http = [{ status = 99 }, { path = "health" }], within = "10s" }
env = { "1ST" = "x", RATIO = 1.10, LIST = [1] }
resolve = true

[app.recipes]
recipe = { url = "https://git.example.org/recipes.git" }

[app.Wiki_2]
recipe = { url = "https://git.example.org/wiki.git" }

[app.one]
domain = "same.example.org"
recipe = { url = "https://git.example.org/one.git" }

[app.two]
domain = "same.example.org"
recipe = { url = "https://git.example.org/two.git" }
"#;

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    insta::assert_snapshot!(refused(BAD));
}

#[test]
fn no_finding_shows_a_value_that_may_be_a_secret() {
    let report = refused(BAD);
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn syntax_errors_come_with_the_findings_of_the_rest() {
    let report =
        refused("base_domain = \"example.org\nmax_tests = 0\n[app.wiki\n[proxy]\nrecipes = 1\nmax_tests = 2\n");
    let lines: Vec<_> = report.lines().collect();
    assert!(lines[0].starts_with("config.toml:1:"), "{report}");
    assert!(lines.iter().any(|line| line.starts_with("config.toml:2:13: error: max_tests")), "{report}");
    assert!(lines.iter().any(|line| line.starts_with("config.toml:3:")), "{report}");
    assert!(lines.iter().any(|line| line.contains("unknown key \"recipes\"")), "{report}");
    assert!(!report.contains("is missing"), "{report}");
}

#[test]
fn a_key_given_twice_is_an_error() {
    let report = refused("base_domain = \"a.b\"\nbase_domain = \"c.d\"\n");
    assert!(report.starts_with("config.toml:2:1: error: duplicate key"), "{report}");
}

#[test]
fn singletons_names_and_state_directory_words_are_reserved() {
    for name in ["proxy", "drone", "warm-keycloak", "recipes", "alerts", "sweep", "all"] {
        let report = refused(&format!("{MINIMAL}[app.{name}]\n{RECIPE}"));
        assert_eq!(
            report,
            format!("config.toml:2:6: error: app.{name}: {name:?} is a reserved word (choose another name)")
        );
    }
}

#[test]
fn a_domain_too_long_for_a_stack_is_refused() {
    let domain = format!("{}.example.org", "a".repeat(55));
    let report = refused(&format!("{MINIMAL}[app.wiki]\n{RECIPE}domain = \"{domain}\"\n"));
    assert!(report.starts_with("config.toml:4:10: error: app.wiki.domain:"), "{report}");
    assert!(report.contains("choose a shorter domain"), "{report}");
}

#[test]
fn a_webhook_is_written_to_as_json_or_as_ntfy_has_it() {
    let format = |alerts: &str| declared(&format!("alerts = {{ {alerts} }}\n{MINIMAL}")).alerts.format;
    assert_eq!(format("webhook = \"https://h/t\""), WebhookFormat::Json);
    assert_eq!(format("webhook = \"/run/secrets/hook\", format = \"ntfy\""), WebhookFormat::Ntfy);
    for wrong in ["webhook = \"https://h/t\", format = \"xml\"", "command = [\"/bin/mail\"], format = \"ntfy\""] {
        refused(&format!("alerts = {{ {wrong} }}\n{MINIMAL}"));
    }
}

#[test]
fn places_count_characters() {
    let report = refused("base_domain = \"a.b\"\nalerts = { webhook = \"https://äöü.example\", comand = [] }\n");
    assert!(report.contains("config.toml:2:45: error: unknown key \"comand\" in alerts (did you mean"), "{report}");
}

#[test]
fn git_urls_of_every_harmless_form_are_taken() {
    for url in ["https://h/r.git", "ssh://git@h:22/r.git", "git@h:r.git", "file:///srv/r.git", "/srv/r.git"] {
        declared(&format!("{MINIMAL}[app.wiki]\nrecipe = {{ url = \"{url}\" }}\n"));
    }
    for url in ["--upload-pack=id", "ext::id", "r.git", "https://token@h/r.git", "ssh://u:p@h/r", "https://h/a b"] {
        refused(&format!("{MINIMAL}[app.wiki]\nrecipe = {{ url = \"{url}\" }}\n"));
    }
}

#[test]
fn secret_files_in_the_store_are_warned_about() {
    let text = format!("{MINIMAL}[app.wiki]\n{RECIPE}secrets = {{ a = \"/nix/store/x-a\" }}\n");
    let warnings = declared(&text).warnings.to_string();
    assert!(warnings.starts_with("config.toml:4:17: warning: app.wiki.secrets.a:"), "{warnings}");
}

#[test]
fn one_mistake_is_told_once() {
    assert_eq!(
        refused(&format!("{MINIMAL}proxy = 3\n")),
        "config.toml:2:9: error: proxy: expected a table, found a whole number"
    );
}

proptest! {
    /// Whatever a slip of the hand makes of a file, the answer is a configuration or errors with places inside it.
    #[test]
    fn mangled_files_are_answered(cut in 0..FULL.len(), length in 0usize..40, typed in "[\\[\\]{}=\"'#, .a-z0-9é\\n]{0,6}") {
        let end = (cut + length).min(FULL.len());
        prop_assume!(FULL.is_char_boundary(cut) && FULL.is_char_boundary(end));
        let text = format!("{}{typed}{}", &FULL[..cut], &FULL[end..]);
        if let Err(findings) = parse("config.toml", &text) {
            prop_assert!(findings.has_errors());
            let lines = u32::try_from(text.lines().count()).unwrap() + 1;
            prop_assert!(findings.0.iter().all(|f| f.place.as_ref().is_some_and(|place| place.line <= lines)));
        }
    }
}

#[test]
fn what_this_version_only_reads_is_named() {
    let text = "base_domain = \"example.org\"\nmax_tests = 2\n[proxy]\n\
                recipe = { url = \"https://git.example.org/traefik.git\" }\n[app.wiki]\n\
                recipe = { url = \"https://git.example.org/wiki.git\" }\npolicy = { auto = \"patch\" }\n\
                snapshot = { exclude = [\"cache\"] }\n";
    let warned = declared(text).warnings.to_string();
    assert!(warned.contains("max_tests: has no effect without [drone]"), "{warned}");
    assert!(!warned.contains("app.wiki"), "{warned}");
}

#[test]
fn a_pin_that_the_policy_never_takes_is_told() {
    let table =
        |never| format!("{MINIMAL}[app.wiki]\n{RECIPE}version = \"1.0.0+1\"\npolicy = {{ never = [\"{never}\"] }}\n");
    let warned = declared(&table("1.0.0+1")).warnings.to_string();
    assert!(warned.contains("app.wiki.version: `policy.never` names it, too"), "{warned}");
    assert!(!declared(&table("1.0.1+1")).warnings.to_string().contains("never"));
}

#[test]
fn a_gate_that_nobody_would_ask_is_refused() {
    let app = "[app.wiki]\nrecipe = { url = \"/r/wiki\" }\n";
    let report = refused(&format!("{MINIMAL}{app}gate = {{ http = [{{ path = \"/\" }}] }}\n"));
    assert!(report.contains("without [proxy] nobody is asked"), "{report}");
    let report = refused(&format!("{MINIMAL}{app}gate = {{ certificate = {{ fail_days = 3 }} }}\n"));
    assert!(report.contains("without [proxy] nobody is asked"), "{report}");
    declared(&format!("{MINIMAL}{app}gate = {{ http = [] }}\n"));
}

#[test]
fn every_key_of_a_gate_is_read() {
    let gate = "gate = { http = [{ path = \"/\", assets = true, body = \"a.c\", pattern = \"v[0-9]\" }], tcp = 22, successes = 2, \
                certificate = { warn_days = 30, fail_days = 3 }, within = \"2m\", stable_for = \"30s\" }\n";
    let text = format!("{MINIMAL}[proxy]\n{RECIPE}[app.wiki]\n{RECIPE}{gate}");
    let declared = declared(&text);
    assert_eq!(declared.warnings.0, []);
    let wanted = Gate {
        http: Some(vec![HttpCheck {
            assets: true,
            body: Some("a.c".into()),
            pattern: Some("v[0-9]".parse().unwrap()),
            ..HttpCheck::at("/")
        }]),
        tcp: vec![22],
        certificate: Some(CertificateDays { warn: 30, fail: 3 }),
        within: Duration::from_secs(120),
        stable_for: Duration::from_secs(30),
        successes: 2,
    };
    assert_eq!(declared.app("wiki").unwrap().gate, wanted);
}

#[test]
fn a_pattern_that_is_none_is_refused_at_its_place() {
    for wrong in ["(a", "a{1000}{1000}{1000}"] {
        let gate = format!("gate = {{ http = [{{ path = \"/\", pattern = \"{wrong}\" }}] }}\n");
        let report = refused(&format!("{MINIMAL}[proxy]\n{RECIPE}[app.wiki]\n{RECIPE}{gate}"));
        assert!(report.contains("config.toml:6:42: error: app.wiki.gate.http[0].pattern: "), "{report}");
    }
}

#[test]
fn days_that_would_never_warn_and_assets_of_no_page_are_refused() {
    let report = |gate: &str| refused(&format!("{MINIMAL}[proxy]\n{RECIPE}[app.wiki]\n{RECIPE}gate = {{ {gate} }}\n"));
    let days = report("certificate = { warn_days = 3, fail_days = 5 }");
    assert!(days.contains("gate.certificate: warn_days (3) is less than fail_days (5)"), "{days}");
    for other in ["redirect = \"/x\"", "status = [301, 404]"] {
        let assets = report(&format!("http = [{{ path = \"/\", assets = true, {other} }}]"));
        assert!(assets.contains("gate.http[0].assets: only an answer 200 has assets"), "{assets}");
    }
    let late =
        format!("{MINIMAL}[proxy]\n{RECIPE}[app.wiki]\n{RECIPE}gate = {{ certificate = {{ fail_days = 20 }} }}\n");
    let days = CertificateDays { warn: 20, fail: 20 };
    assert_eq!(declared(&late).app("wiki").unwrap().gate.certificate, Some(days));
}
