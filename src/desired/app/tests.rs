use super::*;
use crate::model::secret::{Charset, Rule};
use crate::recipe::Entry;

struct World {
    stack: StackName,
    tree: Tree,
    operator: Environment,
    forced: Environment,
    frozen: Option<&'static str>,
}

impl World {
    fn of(files: &[(&str, &str)]) -> Self {
        let entry = |(path, text): &(&str, &str)| ((*path).to_owned(), Entry::File(text.as_bytes().to_vec()));
        Self {
            stack: "wiki_example_org".parse().unwrap(),
            tree: Tree { entries: files.iter().map(entry).collect() },
            operator: Environment::new(),
            forced: Environment::new(),
            frozen: None,
        }
    }

    fn operator(mut self, name: &str, value: &str) -> Self {
        self.operator.insert(name.into(), value.into());
        self
    }

    fn reading(&self) -> Reading<'_> {
        Reading {
            stack: &self.stack,
            domain: Some("wiki.example.org"),
            compose: None,
            operator_env: &self.operator,
            frozen_sample: self.frozen,
            forced: &self.forced,
            tree: &self.tree,
        }
    }

    fn environment(&self) -> Environment {
        environment(&self.reading()).unwrap()
    }

    fn read(&self) -> Result<Desired, Diagnostics> {
        let (desired, found) = read_as_far_as_it_goes(&self.reading(), &self.environment())?;
        if found.has_errors() { Err(found) } else { Ok(desired) }
    }
}

#[test]
fn later_sources_of_variables_win() {
    let mut world = World::of(&[
        (".env.sample", "A=sample\nB=sample\nC=sample\nD=sample\nE=sample\nDOMAIN=x\n"),
        ("abra.sh", "export D=abra\nexport E=abra\n"),
    ])
    .operator("C", "operator")
    .operator("D", "operator");
    world.frozen = Some("B=frozen\nC=frozen\n");
    world.forced.insert("E".into(), "forced".into());
    let environment = world.environment();
    let values = ["A", "B", "C", "D", "E", "DOMAIN", "STACK_NAME"].map(|name| environment[name].as_str());
    assert_eq!(values, ["sample", "frozen", "operator", "abra", "forced", "wiki.example.org", "wiki_example_org"]);
}

#[test]
fn frozen_defaults_follow_the_operator_and_come_back_without_him() {
    let world = |operator: Option<&str>| {
        let mut world = World::of(&[(".env.sample", "NAME=new\nHOST=$NAME.new\n")]);
        world.frozen = Some("NAME=old\nHOST=www.$NAME\n");
        match operator {
            Some(name) => world.operator("NAME", name),
            None => world,
        }
    };
    assert_eq!(world(Some("our")).environment()["HOST"], "www.our");
    assert_eq!(world(None).environment()["HOST"], "www.old");
}

#[test]
fn the_sample_refers_to_what_the_operator_says() {
    let sample = "DOMAIN=example.com\nNAME=x\nMINIO=minio.$DOMAIN\nTITLE=\"${NAME} wiki\"\n\
                  COMPOSE_FILE=\"compose.yml\"\nCOMPOSE_FILE=\"$COMPOSE_FILE:compose.db.yml\"\n";
    let environment = World::of(&[(".env.sample", sample)]).operator("NAME", "our").environment();
    assert_eq!(environment["MINIO"], "minio.wiki.example.org");
    assert_eq!(environment["TITLE"], "our wiki");
    assert_eq!(environment["COMPOSE_FILE"], "compose.yml:compose.db.yml");
}

const SECRETS: &str = "services: {app: {image: a, secrets: [db, key, other]}}\n\
    secrets:\n  db: {external: true, name: \"${STACK_NAME}_db_${SECRET_DB_VERSION}\"}\n  \
    key: {external: true, name: \"${STACK_NAME}_key_${SECRET_KEY:-v1}\"}\n  other: {external: true}\n";

#[test]
fn a_secret_is_made_by_the_rule_of_the_variable_in_its_name() {
    let sample = "SECRET_DB_VERSION=v2 # length=32 charset=hex\n#SECRET_KEY=v1\n";
    let desired = World::of(&[(".env.sample", sample), ("compose.yml", SECRETS)]).read().unwrap();
    let rule = Rule { length: Some(32), charset: Charset::Hex, generate: true };
    let found: Vec<_> = desired.secrets.iter().map(|secret| (secret.name.as_str(), secret.source.clone())).collect();
    assert_eq!(found[0], ("other", SecretSource::External));
    assert_eq!(found[1], ("wiki_example_org_db_v2", SecretSource::Generated(rule)));
    assert_eq!(found[2], ("wiki_example_org_key_v1", SecretSource::External));
    assert_eq!(desired.secrets[1].version_variable.as_deref(), Some("SECRET_DB_VERSION"));
}

#[test]
fn a_secret_without_version_names_the_variable() {
    let errors = World::of(&[("compose.yml", SECRETS)]).read().unwrap_err().to_string();
    assert!(errors.contains("secret db") && errors.contains("set SECRET_DB_VERSION"), "{errors}");
}

#[test]
fn missing_compose_files_are_all_named() {
    let world = World::of(&[]).operator("COMPOSE_FILE", "compose.yml:compose.x.yml");
    let errors = world.read().unwrap_err().to_string();
    assert!(errors.contains("compose.yml is not in the recipe") && errors.contains("compose.x.yml"), "{errors}");
}

#[test]
fn version_variables_are_known_before_they_are_set() {
    let world = World::of(&[("compose.yml", SECRETS)]);
    let named = secret_names(&world.reading(), &world.environment()).unwrap();
    let variables: Vec<(&str, Option<&str>)> =
        named.iter().map(|(key, secret)| (key.as_str(), secret.version_variable.as_deref())).collect();
    assert_eq!(variables, [("db", Some("SECRET_DB_VERSION")), ("key", Some("SECRET_KEY")), ("other", None)]);
}
