//! The CI server behind the real proxy, with the real Gitea to sign in at.
//!
//! The server is a stand-in (`tests/images/files/drone`): the real one is in no package registry. One test tells the whole
//! story in order, since each of its parts needs a proxy that routes and a Gitea that knows people.

mod forge;
mod server;
mod web;

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use serde_json::json;

use super::{Run, Town, certificate};
use crate::engine::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{load, on_engine};
use forge::{Application, Forge, PASSWORD};
use server::Server;
use web::{Browser, Web};

/// What the program and a world call it.
const APP: &str = "drone";
/// The app that is Gitea.
const GIT: &str = "git";
const OLD: &str = "2.8.0+2.25.0";
const NEW: &str = "2.9.0+2.26.0";
/// Migrates its data, is well by its own word, and lets nobody sign in.
const BAD: &str = "2.10.0+2.27.0";
/// Schemas of their databases.
const SCHEMA_OF_OLD: u32 = 25;
const SCHEMA_OF_NEW: u32 = 26;
/// Secrets that runner and server share, one after the other.
const RPC: [&str; 2] = ["rpc-one-5f2c9d", "rpc-two-8a41e7"];
const IMAGES: [&str; 4] = ["gitea-1.26.0", "drone-2.25.0", "drone-2.26.0", "drone-2.27.0"];

struct Ci {
    town: Town,
    web: Web,
    host: String,
    git: String,
    application: Application,
    /// More of the operator's values for the recipe.
    env: String,
    /// Everything that the program has said.
    said: RefCell<Vec<String>>,
}

#[test]
fn people_sign_in_by_gitea_and_server_runner_and_data_stay_together() {
    let mut ci = Ci::begin();
    installs_the_server_and_gives_the_runner_its_environment(&mut ci);
    let token = a_person_signs_in(&ci);
    ci.server().begins_build(&token, "anna/site", "first");
    sets_what_is_declared_for_builds_once(&mut ci, &token);
    warns_of_repositories_that_are_out_of_reach(&mut ci, &token);
    upgrades_with_its_builds(&mut ci, &token);
    puts_a_bad_version_back_with_its_builds(&mut ci, &token);
    rotates_the_shared_secret_on_both_sides(&mut ci, &token);
    takes_the_runners_secret_back_by_hand(&mut ci, &token);
    only_warns_while_gitea_is_away(&ci);
    leaves_what_runs_where_the_client_id_is_another(&mut ci, &token);
    tells_no_secret(&ci, &[&token]);
}

impl Ci {
    /// The proxy and Gitea run; Anna and Ben have accounts there, and the CI server an application.
    fn begin() -> Self {
        let mut town = Town::new();
        load(&IMAGES);
        // Its log is searched for secrets in the end.
        town.world.environment.insert("EVENKEEL_LOG".to_owned(), "trace".to_owned());
        town.give(&certificate::good(&town.world.base));
        town.looks_often();
        town.ends(&["proxy"], 0, "proxy: applied: installed");
        let (host, git) = (town.world.domain(APP), town.world.domain(GIT));
        town.declare(GIT, "gitea", "3.5.0+1.26.0", &format!("env = {{ GITEA_DOMAIN = \"{git}\" }}"));
        town.ends(&["app", GIT], 0, "git: applied: installed");
        let web = Web::of(&[&host, &git], town.https());
        let forge = Forge { web: &web, host: &git };
        forge.begins_with(PrivateEngine::shared().endpoint(), &town.service(GIT), "anna");
        forge.has("anna", "ben");
        forge.has_repository("anna", "site");
        forge.has_repository("ben", "private");
        let application = forge.application("anna", &format!("https://{host}/login"));
        town.recipes.insert(APP.to_owned(), recipe());
        let ci = Self { town, web, host, git, application, env: String::new(), said: RefCell::default() };
        ci.town.world.file("client_secret", ci.application.secret.as_bytes());
        ci.shares(RPC[0]);
        ci
    }

    /// The operator's file of the secret that server and runner share. An editor has ended its line.
    fn shares(&self, secret: &str) {
        self.town.world.file("rpc_secret", format!("{secret}\n").as_bytes());
    }

    fn declare(&mut self, version: &str, more: &str) {
        self.declare_within("90s", version, more);
    }

    /// With a gate that waits so long.
    fn declare_within(&mut self, within: &str, version: &str, more: &str) {
        let url = self.town.recipe(APP);
        let file = |name: &str| self.town.world.dir.path().join(name).display().to_string();
        let table = format!(
            r#"
[drone]
recipe = {{ url = "{url}" }}
version = "{version}"
domain = "{host}"
compose = ["compose.yml", "compose.gitea.yml", "{overlay}"]
env = {{ DRONE_ADMIN_USERNAME = "anna", {env} }}
secrets = {{ rpc_secret = "{rpc}", client_secret = "{client}" }}
gitea = {{ server = "https://{git}", client_id = "{id}" }}
gate = {{ stable_for = "1s", within = "{within}" }}
{more}"#,
            host = self.host,
            git = self.git,
            id = self.application.id,
            overlay = self.overlay().display(),
            env = self.env,
            rpc = file("rpc_secret"),
            client = file("client_secret"),
        );
        self.town.world.table(APP, &table);
    }

    /// No public name leads here, and no authority has signed the certificate.
    fn overlay(&self) -> PathBuf {
        let chain = self.town.world.dir.path().join("chain.pem");
        let text = format!(
            r#"
version: "3.8"
services:
  app:
    environment:
      - SSL_CERT_FILE=/run/authority.pem
      - SIGN_IN_AS=${{SIGN_IN_AS:-}}
    extra_hosts:
      - "{git}:{address}"
    deploy:
      update_config:
        monitor: 1s
    configs:
      - source: authority
        target: /run/authority.pem
configs:
  authority:
    name: ${{STACK_NAME}}_authority
    file: {chain}
"#,
            git = self.git,
            address = self.town.address,
            chain = chain.display(),
        );
        self.town.world.file("here.yml", text.as_bytes())
    }

    /// Lines of its table: what builds are to be like, set with this token.
    fn builds(&self, token: &str, repositories: &[&str]) -> String {
        let file = self.town.world.file("token", token.as_bytes());
        let (file, names) = (file.display(), repositories.join("\", \""));
        format!("builds = {{ timeout_minutes = 30, trusted = true, repositories = [\"{names}\"], token = \"{file}\" }}")
    }

    fn server(&self) -> Server<'_> {
        Server { web: &self.web, host: &self.host }
    }

    #[track_caller]
    fn run(&self, code: i32, with: &str) -> Run {
        self.ends(&[APP], code, with)
    }

    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32, with: &str) -> Run {
        let run = self.town.ends(arguments, code, with);
        self.said.borrow_mut().extend([run.said.out.clone(), run.said.err.clone()]);
        run
    }

    #[track_caller]
    fn converges_without_a_warning(&self) {
        let run = self.run(0, "drone: converged\n");
        run.wrote_nothing();
    }

    /// It is as declared, and this is told besides.
    #[track_caller]
    fn warns(&self, of: &[&str]) {
        let run = self.run(0, "drone: converged: warning: ");
        run.wrote_nothing();
        of.iter().for_each(|words| assert!(run.said.out.contains(*words), "{words}: {run:#?}"));
    }

    /// This version runs on such a schema, and has these builds.
    #[track_caller]
    fn stands_at(&self, version: &str, schema: u32, token: &str, builds: &[&str]) {
        let server = self.server();
        assert_eq!((server.version().as_str(), self.schema()), (version, schema));
        assert_eq!(server.builds(token, "anna/site"), builds);
    }

    /// The runner's environment, which nobody but root may read.
    #[track_caller]
    fn runner(&self) -> String {
        let path = self.town.world.state_dir().join("drone/runner.env");
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o600, 0, 0), "{}", path.display());
        fs::read_to_string(path).unwrap()
    }

    /// Server and runner share this one of the secrets, and no other one is taken.
    #[track_caller]
    fn is_shared(&self, secret: &str) {
        let wanted = format!("DRONE_RPC_SECRET='{secret}'");
        let runner = self.runner();
        assert!(runner.lines().any(|line| line == wanted), "{runner}");
        for other in RPC {
            assert_eq!(self.server().ping(other), if other == secret { 200 } else { 401 }, "{other}");
            assert!(other == secret || !runner.contains(other), "{runner}");
        }
    }

    /// The number of the schema, as the database's file has it.
    fn schema(&self) -> u32 {
        let volume = format!("volumes/{}_data/_data/database.sqlite", self.town.world.stack(APP));
        let bytes = fs::read(PrivateEngine::shared().data_root().join(volume)).unwrap();
        u32::from_be_bytes(bytes[60..64].try_into().unwrap())
    }
}

/// The fixture with two versions more.
fn recipe() -> RecipeRepo {
    let mut repo = RecipeRepo::build(APP);
    let compose = repo.read("compose.yml");
    for version in [NEW, BAD] {
        let (_, server) = version.split_once('+').expect("the server's version stands behind it");
        let compose = compose.replace(OLD, version).replace("drone/drone:2.25.0", &format!("drone/drone:{server}"));
        repo.publish(version, &[("compose.yml", &compose)]);
    }
    repo
}

impl Town {
    /// The proxy looks at the Swarm every two seconds.
    fn looks_often(&mut self) {
        let repo = self.recipes.get_mut("traefik").unwrap();
        let often = "    network: proxy\n    refreshSeconds: 2\n";
        let template = repo.read("traefik.yml.tmpl").replace("    network: proxy\n", often);
        assert!(template.contains(often), "{template}");
        let versions = repo.read("abra.sh").replace("TRAEFIK_YML_VERSION=v2", "TRAEFIK_YML_VERSION=v3");
        repo.publish("5.2.0+v3.6.12", &[("traefik.yml.tmpl", &template), ("abra.sh", &versions)]);
        self.declare_proxy("5.2.0+v3.6.12", "");
    }
}

fn installs_the_server_and_gives_the_runner_its_environment(ci: &mut Ci) {
    ci.declare(OLD, "");
    ci.run(0, "drone: applied: installed 2.8.0+2.25.0");
    ci.is_shared(RPC[0]);
    let runner = ci.runner();
    let host = format!("DRONE_RPC_HOST='{}'", ci.host);
    for line in [host.as_str(), "DRONE_RPC_PROTO='https'", "DRONE_RUNNER_CAPACITY='1'"] {
        assert!(runner.lines().any(|found| found == line), "{line}: {runner}");
    }
    ci.run(0, "drone: converged").wrote_nothing().was_quick();
    assert_eq!(ci.runner(), runner);
}

/// By Gitea's own pages. Her token is what programs sign in with.
fn a_person_signs_in(ci: &Ci) -> String {
    signs_in(ci, "anna")
}

fn signs_in(ci: &Ci, name: &str) -> String {
    let mut browser = Browser::on(&ci.web);
    let page = browser.opens(&ci.server().url("/login"));
    assert_eq!(page.url.host_str(), Some(ci.git.as_str()), "{page:#?}");
    let page = browser.sends(&page, "/user/login", &[("user_name", name), ("password", PASSWORD)]);
    let page = browser.sends(&page, "/login/oauth/grant", &[("granted", "true")]);
    assert_eq!(page.url.host_str(), Some(ci.host.as_str()), "{page:#?}");
    let page = browser.opens(&ci.server().url("/api/user"));
    assert_eq!(page.json()["login"], name, "{page:#?}");
    browser.token(&ci.server().url("/api/user/token"))
}

/// The first answers are the ones of a server that is not quite up.
fn sets_what_is_declared_for_builds_once(ci: &mut Ci, token: &str) {
    ci.server().fails_next_with("empty 502");
    ci.declare(OLD, &ci.builds(token, &["anna/site"]));
    ci.converges_without_a_warning();
    assert_eq!(ci.server().repository(token, "anna/site")["timeout"], 30);
    let once = ci.server().patches();
    assert!(once.len() == 1 && once[0]["asked"] == json!({ "timeout": 30, "trusted": true }), "{once:?}");

    ci.converges_without_a_warning();
    assert_eq!(ci.server().patches(), once);
}

/// Ben sees his own repository alone and is no administrator, whose word on time-outs is not taken.
fn warns_of_repositories_that_are_out_of_reach(ci: &mut Ci, anna: &str) {
    let ben = signs_in(ci, "ben");
    ci.declare(OLD, &ci.builds(&ben, &["anna/site", "ben/private"]));
    ci.warns(&["the builds' settings of anna/site are not set", "the builds' settings of ben/private are not set"]);
    assert_eq!(ci.server().repository(anna, "ben/private")["timeout"], 60);
    ci.declare(OLD, &ci.builds("no-token-of-anybody", &["anna/site"]));
    ci.warns(&["the builds' settings cannot be set"]);
    ci.declare(OLD, &ci.builds(anna, &["anna/site"]));
    ci.converges_without_a_warning();
}

fn upgrades_with_its_builds(ci: &mut Ci, token: &str) {
    ci.declare(NEW, &ci.builds(token, &["anna/site"]));
    ci.run(0, &format!("drone: upgraded: {OLD} -> {NEW} passed its gate"));
    ci.stands_at("2.26.0", SCHEMA_OF_NEW, token, &["first"]);
    ci.is_shared(RPC[0]);
    ci.server().begins_build(token, "anna/site", "second");
}

fn puts_a_bad_version_back_with_its_builds(ci: &mut Ci, token: &str) {
    let runner = ci.runner();
    ci.declare_within("16s", BAD, &ci.builds(token, &["anna/site"]));
    let run = ci.run(11, &format!("drone: rolled-back: the upgrade {NEW} -> {BAD} did not pass its gate"));
    assert!(run.said.out.contains("/login"), "{run:#?}");
    ci.stands_at("2.26.0", SCHEMA_OF_NEW, token, &["second", "first"]);
    ci.is_shared(RPC[0]);
    assert_eq!(ci.runner(), runner);
}

fn rotates_the_shared_secret_on_both_sides(ci: &mut Ci, token: &str) {
    ci.declare(NEW, &ci.builds(token, &["anna/site"]));
    ci.shares(RPC[1]);
    ci.run(0, "drone: applied: changed");
    ci.is_shared(RPC[1]);
    let path = ci.town.world.state_dir().join("drone/runner.env");
    fs::remove_file(&path).unwrap();
    ci.ends(&["runner-env"], 0, &path.display().to_string());
    ci.is_shared(RPC[1]);
}

/// The secret was rotated since, and the server that comes back does not know the new one.
fn takes_the_runners_secret_back_by_hand(ci: &mut Ci, token: &str) {
    ci.ends(&["rollback", APP, "--yes"], 0, &format!("drone: applied: {OLD} runs again"));
    ci.stands_at("2.25.0", SCHEMA_OF_OLD, token, &["first"]);
    ci.is_shared(RPC[0]);

    ci.declare(OLD, &ci.builds(token, &["anna/site"]));
    ci.shares(RPC[0]);
    ci.converges_without_a_warning();
}

fn only_warns_while_gitea_is_away(ci: &Ci) {
    let gitea = ci.town.service(GIT);
    on_engine(async move |swarm| swarm.scale_to_nothing(&gitea).await.unwrap());
    Forge { web: &ci.web, host: &ci.git }.is_gone();
    ci.warns(&[&ci.git]);
}

/// An id that the recipe would not get, and one that it gets and does not use.
fn leaves_what_runs_where_the_client_id_is_another(ci: &mut Ci, token: &str) {
    let (id, builds) = (ci.application.id.clone(), ci.builds(token, &["anna/site"]));
    ci.env = "GITEA_CLIENT_ID = \"another\"".to_owned();
    ci.declare(OLD, &builds);
    let run = ci.run(12, "DRONE_GITEA_CLIENT_ID=another");
    assert!(run.said.out.contains(&id), "{run:#?}");
    run.wrote_nothing();

    ci.env = "SIGN_IN_AS = \"another\"".to_owned();
    ci.declare_within("25s", OLD, &builds);
    let run = ci.run(14, "drone: unhealthy");
    assert!(run.said.out.contains("/login") && run.said.out.contains("the previous one runs again"), "{run:#?}");
    assert_eq!(ci.server().client_id(), Some(id));
    ci.is_shared(RPC[0]);
}

/// Nothing that was said or written down for people holds a secret.
fn tells_no_secret(ci: &Ci, tokens: &[&str]) {
    for arguments in [&["status"][..], &["history", APP], &["alerts", "list", "--json"], &["plan", APP], &["check"]] {
        let said = ci.town.world.run(arguments);
        ci.said.borrow_mut().extend([said.out, said.err]);
    }
    let mut told = ci.said.borrow().clone();
    let state = ci.town.world.state_dir();
    let alerts = fs::read_dir(state.join("alerts")).unwrap().map(|entry| entry.unwrap().path());
    let files =
        alerts.filter(|path| path.is_file()).chain([state.join("history.jsonl"), state.join("drone/state.json")]);
    told.extend(files.map(|path| fs::read_to_string(path).unwrap()));
    let is_told = |words: &str| told.iter().any(|text| text.contains(words));
    assert!(is_told("rolled-back") && is_told("TRACE "), "what is searched is not there");
    for secret in RPC.iter().chain([&ci.application.secret.as_str()]).chain(tokens) {
        let shown: Vec<_> = told.iter().filter(|text| text.contains(*secret)).collect();
        assert!(shown.is_empty(), "{secret}: {shown:#?}");
    }
}
