use super::*;
use crate::config::{Declared, parse};

const TRAEFIK: &str = "services: {app: {image: 'traefik:v3', secrets: [ssl_cert]}}\n\
    secrets: {ssl_cert: {external: true, name: '${STACK_NAME}_cert_${SECRET_WILDCARD_CERT_VERSION}'}}\n";
const UNVERSIONED: &str = "services: {app: {image: 'traefik:v3', secrets: [ssl_cert]}}\n\
    secrets: {ssl_cert: {external: true, name: shared_cert}}\n";

fn declared(more: &str) -> Declared {
    let text = format!("base_domain = \"example.org\"\n[app.wiki]\nrecipe = {{ url = \"/r/wiki.git\" }}\n{more}");
    parse("config.toml", &text).unwrap()
}

fn tree(compose: &str, sample: &str) -> Tree {
    let file = |name: &str, text: &str| (name.to_owned(), Entry::File(text.as_bytes().to_vec()));
    Tree { entries: [file("compose.yml", compose), file(".env.sample", sample)].into() }
}

fn revision(version: Option<&str>) -> Revision {
    Revision {
        version: version.map(str::to_owned),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
    }
}

fn given(secrets: &[(&str, &[u8])]) -> Given {
    let secrets = secrets.iter().map(|(key, bytes)| ((*key).to_owned(), SecretBytes::new(bytes.to_vec())));
    Given { env: Environment::new(), secrets: secrets.collect(), files: BTreeMap::new() }
}

struct Case<'a> {
    tree: Tree,
    given: Given,
    recorded: BTreeMap<String, SecretVersion>,
    live: &'a [&'a str],
    certificate_declared: bool,
}

impl Case<'_> {
    fn read(&self) -> Result<Read, Diagnostics> {
        let declared = declared("");
        let around = Surroundings {
            app: &declared.apps[0],
            given: &self.given,
            certificate_declared: self.certificate_declared,
            certificate: None,
            recorded: Recorded {
                sample: None,
                secret_versions: &self.recorded,
                lives: &|name, _| self.live.contains(&name),
            },
            host_key: &HostKey::new(b"key".to_vec()),
        };
        read(&self.tree, &revision(Some("1.0.0+1")), &around)
    }

    fn secret_name(&self) -> String {
        self.read().unwrap().desired.secrets[0].name.clone()
    }
}

fn case(compose: &str, sample: &str, secret: &[u8]) -> Case<'static> {
    Case {
        tree: tree(compose, sample),
        given: given(&[("ssl_cert", secret)]),
        recorded: BTreeMap::new(),
        live: &[],
        certificate_declared: false,
    }
}

#[test]
fn a_given_secret_is_named_by_its_content_and_back() {
    let (old, new) = (case(TRAEFIK, "", b"old"), case(TRAEFIK, "", b"new"));
    assert_ne!(old.secret_name(), new.secret_name());
    assert_eq!(old.secret_name(), case(TRAEFIK, "", b"old").secret_name());
    assert!(old.secret_name().starts_with("wiki_example_org_cert_c"), "{}", old.secret_name());
}

#[test]
fn services_mount_the_secret_under_its_new_name() {
    for compose in [TRAEFIK, UNVERSIONED] {
        let read = case(compose, "", b"cert").read().unwrap();
        let mounted = &read.desired.services[0].spec["TaskTemplate"]["ContainerSpec"]["Secrets"][0]["SecretName"];
        assert_eq!(mounted, read.desired.secrets[0].name.as_str());
        assert_eq!(read.desired.secrets[0].spec["Name"], read.desired.secrets[0].name.as_str());
    }
}

#[test]
fn a_secret_that_was_there_before_is_adopted_until_its_content_changes() {
    let sample = "SECRET_WILDCARD_CERT_VERSION=v1\n";
    let adopted = Case { live: &["wiki_example_org_cert_v1"], ..case(TRAEFIK, sample, b"cert") };
    assert_eq!(adopted.secret_name(), "wiki_example_org_cert_v1");
    let recorded = adopted.read().unwrap().frozen.secret_versions;

    let again = Case { recorded: recorded.clone(), ..case(TRAEFIK, sample, b"cert") };
    assert_eq!(again.secret_name(), "wiki_example_org_cert_v1");
    let changed = Case { recorded, live: &["wiki_example_org_cert_v1"], ..case(TRAEFIK, sample, b"renewed") };
    assert!(changed.secret_name().starts_with("wiki_example_org_cert_c"));
}

#[test]
fn a_secret_that_we_make_has_the_stacks_name_whatever_the_recipe_calls_it() {
    let unnamed = "services: {app: {image: a, secrets: [ssl_cert]}}\nsecrets: {ssl_cert: {external: true}}\n";
    for (compose, begin) in [(unnamed, "wiki_example_org_ssl_cert_c"), (UNVERSIONED, "wiki_example_org_shared_cert_c")]
    {
        let name = case(compose, "", b"cert").secret_name();
        assert!(name.starts_with(begin), "{name}");
    }
    let long = "services: {app: {image: a, secrets: [ssl_cert]}}\n\
                secrets: {ssl_cert: {external: true, name: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn}}\n";
    let told = case(long, "", b"cert").read().unwrap_err().to_string();
    assert!(told.contains("secret ssl_cert: the name") && told.contains("and 64 are allowed"), "{told}");
}

#[test]
fn a_secret_of_a_file_keeps_its_name_until_the_file_changes() {
    let compose = "services: {app: {image: a, secrets: [key]}}\nsecrets: {key: {file: key}}\n";
    let of = |bytes: &[u8], recorded: BTreeMap<String, SecretVersion>| {
        let mut tree = tree(compose, "");
        tree.entries.insert("key".into(), Entry::File(bytes.to_vec()));
        let read = Case { tree, given: given(&[]), recorded, ..case(TRAEFIK, "", b"") }.read().unwrap();
        (read.desired.secrets[0].name.clone(), read)
    };
    let (name, first) = of(b"one", BTreeMap::new());
    assert_eq!(name, "wiki_example_org_key");
    assert!(!first.warnings.to_string().contains("its file changed"), "{}", first.warnings);
    assert_eq!(of(b"one", first.frozen.secret_versions.clone()).0, name);

    let (changed, second) = of(b"two", first.frozen.secret_versions.clone());
    assert!(changed.starts_with("wiki_example_org_key_c"), "{changed}");
    assert_ne!(second.key, first.key);
    let mounted = &second.desired.services[0].spec["TaskTemplate"]["ContainerSpec"]["Secrets"][0]["SecretName"];
    assert_eq!(mounted, changed.as_str());
    assert!(second.warnings.to_string().contains("its file changed and its name did not"), "{}", second.warnings);
    assert_eq!(of(b"two", second.frozen.secret_versions.clone()).0, changed);
    assert_ne!(of(b"one", second.frozen.secret_versions.clone()).0, changed);

    let renamed = compose.replace("file: key", "file: key, name: key_v2");
    let mut tree = tree(&renamed, "");
    tree.entries.insert("key".into(), Entry::File(b"three".to_vec()));
    let third = Case { tree, given: given(&[]), recorded: second.frozen.secret_versions, ..case(TRAEFIK, "", b"") };
    assert_eq!(third.secret_name(), "key_v2");
}

#[test]
fn a_given_secret_that_the_recipe_lacks_is_told_with_those_it_has() {
    let mut case = case(TRAEFIK, "", b"cert");
    case.given = given(&[("ssl_crt", b"cert")]);
    let wrong = case.read().unwrap_err().to_string();
    assert!(wrong.contains("ssl_crt") && wrong.contains("it has ssl_cert"), "{wrong}");
}

#[test]
fn everything_that_is_wrong_with_a_recipe_is_told_at_once() {
    let compose = "services:\n  app:\n    image: a\n    secrets: [ssl_crt]\n    volumes: ['lost:/x']\n    deploy: {labels: \
                   [\"traefik.http.routers.r.tls.certresolver=le\"]}\nsecrets: {ssl_cert: {external: true, name: c_v1}}\n";
    let mut case = Case { certificate_declared: true, ..case(compose, "", b"") };
    case.given = given(&[("nobodys", b"x")]);
    let wrong = case.read().unwrap_err().to_string();
    for expected in [
        "compose.yml:4:15: error: service app: undefined secret \"ssl_crt\" (did you mean \"ssl_cert\"?",
        "compose.yml:5:15: error: service app: undefined volume \"lost\"",
        "compose.yml:3:12: warning: services.app.image: a has no tag",
        "error: a file is given for secret nobodys, which the recipe does not have (it has ssl_cert)",
        "tls.certresolver=le would ask for a certificate by ACME",
    ] {
        assert!(wrong.contains(expected), "{expected} is not in\n{wrong}");
    }
}

#[test]
fn a_secret_that_is_neither_given_nor_made_is_told_at_its_place() {
    let told = |sample: &str, secrets: &[(&str, &[u8])]| {
        let compose = TRAEFIK.replace("_VERSION}", "_VERSION:-v1}").replace("traefik:v3", "a:1");
        let case = Case { given: given(secrets), ..case(&compose, sample, b"") };
        case.read().unwrap().warnings.to_string()
    };
    let expected = "compose.yml:2:11: warning: secret ssl_cert is not made here, because .env.sample does not set \
                    SECRET_WILDCARD_CERT_VERSION; it has to be in the Swarm already (or give it: secrets = { ssl_cert = \"/path\" })";
    let others = "compose.yml:1:1: warning: no file uses DOMAIN";
    let warnings = told("", &[]);
    assert!(warnings.contains(expected), "{warnings}");
    assert!(!told("SECRET_WILDCARD_CERT_VERSION=v1\n", &[]).contains("ssl_cert"));
    assert!(!told("", &[("ssl_cert", b"x")]).contains("ssl_cert"));
    assert!(warnings.contains(others), "{warnings}");
    let wants_it_given = told("SECRET_WILDCARD_CERT_VERSION=v1 # generate=false\n", &[]);
    assert!(wants_it_given.contains("because the recipe wants it given"), "{wants_it_given}");
}

#[test]
fn the_key_follows_contents_by_name_and_shows_none_of_them() {
    let key = |secret: &[u8]| case(TRAEFIK, "", secret).read().unwrap().key;
    assert_eq!(key(b"one"), key(b"one"));
    assert_ne!(key(b"one"), key(b"two"));
    let printed = format!("{:?}", case(TRAEFIK, "", b"hunter2-hunter2").read().unwrap());
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn only_a_version_is_no_chaos() {
    let plain = declared("");
    assert!(!is_chaos(&plain.apps[0], &revision(Some("1.0.0+1"))));
    assert!(is_chaos(&plain.apps[0], &revision(None)));
    let by_commit = declared("version = \"0123456\"\n");
    assert!(is_chaos(&by_commit.apps[0], &revision(Some("1.0.0+1"))));
    let held = declared("version = \"fedcba9\"\n");
    assert!(!is_chaos(&held.apps[0], &revision(Some("1.0.0+1"))));
}

#[test]
fn a_declared_certificate_that_cannot_be_used_now_lets_no_app_ask_for_another_one() {
    let compose = "services: {app: {image: a, deploy: {labels: \
                   ['traefik.http.routers.r.tls.certresolver=${LETS_ENCRYPT_ENV}${MORE}']}}}\n";
    let sample = "LETS_ENCRYPT_ENV=production\n";
    let without = Case { tree: tree(compose, sample), given: given(&[]), ..case(TRAEFIK, "", b"") };
    let label = |read: Read| read.desired.services[0].spec["Labels"]["traefik.http.routers.r.tls.certresolver"].clone();
    assert_eq!(label(without.read().unwrap()), "production");

    let mut expired = Case { certificate_declared: true, ..without };
    assert_eq!(label(expired.read().unwrap()), "");
    expired.given.env.insert("MORE".to_owned(), "staging".to_owned());
    let wrong = expired.read().unwrap_err().to_string();
    assert!(wrong.contains("tls.certresolver=staging"), "{wrong}");
}

#[test]
fn a_value_of_the_configuration_beats_one_of_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "COLOUR=red\nONLY=file\n").unwrap();
    let declared = declared(&format!("env = {{ COLOUR = \"blue\" }}\nenv_files = [{:?}]\n", file.path()));

    let given = Given::gather(&declared.apps[0], OfKind::default()).unwrap();

    assert_eq!((given.env["COLOUR"].as_str(), given.env["ONLY"].as_str()), ("blue", "file"));
    let variables = ["COLOUR", "ONLY", "MORE"].map(|name| (name.to_owned(), "green".to_owned())).into();
    let given = Given::gather(&declared.apps[0], OfKind { variables, ..OfKind::default() }).unwrap();
    let value = |name: &str| given.env[name].clone();
    assert_eq!([value("COLOUR"), value("ONLY"), value("MORE")], ["blue", "file", "green"], "the kind's own come last");
}
