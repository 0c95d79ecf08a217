use super::*;
use crate::recipe::Entry;

fn load_all(texts: &[&str]) -> Result<Loaded, Diagnostics> {
    let source =
        |(index, text): (usize, &&str)| Source { file: format!("{index}.yml").into(), text: (*text).to_owned() };
    let sources: Vec<Source> = texts.iter().enumerate().map(source).collect();
    let environment = [("FOO", "foo"), ("HOME", "/root")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let tree = Tree { entries: [("web.env".to_owned(), Entry::File(b"A=file\nFOO\nNONE\n".to_vec()))].into() };
    load(&sources, &environment, &tree)
}

fn errors(text: &str) -> String {
    load_all(&[text]).map(|loaded| loaded.project).unwrap_err().to_string()
}

#[test]
fn all_faults_are_told_at_once_with_place_and_nearest_key() {
    let text =
        "services:\n  app:\n    imag: a\n    tty: 1\n    volumes_from: [x]\n    environment: {A: true}\nnetwork: {}\n";
    let errors = errors(text);
    for expected in [
        "0.yml:3:5: error: services.app has no key \"imag\" (did you mean \"image\"?)",
        "0.yml:4:10: error: services.app.tty must be true or false, not an integer",
        "0.yml:5:5: error: services.app.volumes_from is not supported in a stack",
        "services.app.environment.A must be a string, number or null, not a boolean (put it in quotes)",
        "0.yml:7:1: error: the top level has no key \"network\" (did you mean \"networks\"?)",
    ] {
        assert!(errors.contains(expected), "{expected} is not in\n{errors}");
    }
}

#[test]
fn what_follows_from_a_fault_in_a_list_is_not_told() {
    let text = "services:\n  app:\n    image: a\n    ports: [{target: \"${FOO}\"}, \"${PORT:?which port}\"]\n    \
                configs: [{source: c, mode: \"${FOO}\"}]\n    cap_add: [\"$\", \"${\"]\nconfigs: {c: {file: web.env}}\n";
    let errors = errors(text);
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 5, "{errors}");
    let stated = |line: &&str| line.contains("failed to cast") || line.contains("invalid interpolation format");
    assert!(lines.iter().all(stated), "{errors}");
}

#[test]
fn the_name_of_a_secret_is_kept_as_written() {
    let text = "secrets: {s: {external: true, name: \"${FOO}_s_${S_VERSION:-v1}\"}}";
    let project = load_all(&[text]).unwrap().project;
    assert_eq!(project.secrets["s"].name, "foo_s_v1");
    assert_eq!(project.secrets["s"].name_template, "${FOO}_s_${S_VERSION:-v1}");
}

#[test]
fn empty_entries_take_the_variable_of_their_name() {
    let text = "services: {app: {image: a, env_file: web.env, environment: {B: , FOO: ''}}}";
    let project = load_all(&[text]).unwrap().project;
    let environment = &project.services["app"].environment;
    assert_eq!(environment["A"].as_deref(), Some("file"));
    assert_eq!(environment["FOO"].as_deref(), Some("foo"));
    assert_eq!(environment["B"], None);
    assert!(!environment.contains_key("NONE"));
}

#[test]
fn files_of_different_versions_go_together() {
    let loaded = load_all(&["version: '3.8'\nservices: {a: {image: a}}", "services: {a: {image: b}}"]).unwrap();
    assert_eq!(loaded.project.services["a"].image, "b");
    assert!(loaded.warnings.to_string().contains("docker stack deploy refuses that"));
}

#[test]
fn interpolated_durations_are_read() {
    let text = "services: {a: {image: a, stop_grace_period: \"${NOPE:-2m}\"}}";
    let project = load_all(&[text]).unwrap().project;
    assert_eq!(project.services["a"].stop_grace_period, Some(120_000_000_000));
}

#[test]
fn what_is_silently_ignored_elsewhere_is_told() {
    let text = "services:\n  a:\n    image: a\n    depends_on: [b]\n    container_name: x\n    environment: {M: 0444}\n\
                volumes: {lost: }";
    let warnings = load_all(&[text]).unwrap().warnings.to_string();
    for expected in ["depends_on is ignored", "container_name is ignored", "0444 reads as 292", "the volume \"lost\""] {
        assert!(warnings.contains(expected), "{expected} is not in\n{warnings}");
    }
}

#[test]
fn a_one_letter_volume_is_refused_with_the_reason() {
    let errors = errors("services: {a: {image: a, volumes: ['v:/x']}}");
    assert!(errors.contains("taken for a Windows drive"), "{errors}");
}

#[test]
fn merges_that_lose_something_are_told() {
    let base = "services: {a: {image: a, ports: ['53:53/udp', '53:53/tcp'], healthcheck: {test: [CMD, a]}}}";
    let over = "services: {a: {healthcheck: {test: [CMD, b]}}}";
    let loaded = load_all(&[base, over]).unwrap();
    let warnings = loaded.warnings.to_string();
    assert!(warnings.contains("is lost") && warnings.contains("joined into one command"), "{warnings}");
    assert_eq!(loaded.project.services["a"].ports.len(), 1);
    let test = &loaded.project.services["a"].healthcheck.as_ref().unwrap().test;
    assert_eq!(test.join(" "), "CMD a CMD b");
}

/// As the Docker CLI compares them: as JSON, every number as a float of 64 bits.
#[test]
fn items_that_are_equal_as_json_are_listed_twice() {
    let expose = |items: &str| format!("services: {{a: {{image: b, expose: {items}}}}}");
    let equal = [
        "[80, 80.0]",
        "[9007199254740993, 9007199254740992]",
        "[9223372036854775807, 9223372036854775808]",
        "[18446744073709551615, 18446744073709551616.0]",
        "[2001-12-14, 2001-12-14]",
    ];
    for items in equal {
        let told = "services.a.expose lists an entry twice: [0] and [1]";
        assert!(errors(&expose(items)).contains(told), "{items}");
    }
    for items in ["[0, -0.0]", "[\"80\", 80]", "[a, 'a ']", "[\"1,2\", \"1\", 2]"] {
        assert!(load_all(&[&expose(items)]).is_ok(), "{items}");
    }
    let ports = |items: &str| format!("services: {{a: {{image: b, ports: {items}}}}}");
    let twice = "[{target: 80, mode: host}, 80, {mode: host, target: 80}]";
    assert!(errors(&ports(twice)).contains("services.a.ports lists an entry twice: [0] and [2]"));
    assert!(load_all(&[&ports("[{target: 80, mode: host}, {target: 81, mode: host}, 80, 81]")]).is_ok());
}

#[test]
fn very_many_distinct_items_are_read() {
    let items: String = (0..50_000).map(|number| format!("C{number}, ")).collect();
    let text = format!("services: {{app: {{image: a, cap_add: [{items}], tmpfs: [{}]}}}}", items.replace('C', "/"));
    let project = load_all(&[&text]).unwrap().project;
    assert_eq!((project.services["app"].cap_add.len(), project.services["app"].tmpfs.len()), (50_000, 50_000));
}

#[test]
fn ranges_of_ports_are_bounded_together() {
    let text = |ports: &str| format!("services: {{a: {{image: b, ports: [{ports}]}}}}");
    let all = load_all(&[&text("'1-65535', 1")]).unwrap().project;
    assert_eq!(all.services["a"].ports.len(), 65_536);
    let many: String = (0..10_000).map(|number| format!("'1-65535:1-65535-{number}', ")).collect();
    let errors = errors(&text(&many));
    assert!(errors.contains("services.a.ports[1]: more than 65536 ports in one file"), "{}", &errors[..200]);
}

#[test]
fn what_services_take_from_outside_is_bounded_together() {
    let services =
        |entry: &str| -> String { (0..2_000).map(|number| format!("\n  s{number}: {{image: a, {entry}}}")).collect() };
    let environment = [("BIG".to_owned(), "x".repeat(10_000))].into();
    let tree = Tree { entries: [("env".to_owned(), Entry::File(b"A=1\n".repeat(2000)))].into() };
    for entry in ["environment: [BIG]", "env_file: env"] {
        let source = Source { file: "compose.yml".into(), text: format!("services:{}", services(entry)) };
        let errors = load(&[source], &environment, &tree).unwrap_err().to_string();
        assert!(errors.contains("the services take more than 4194304 bytes from env files and variables"), "{entry}");
    }
}

#[test]
fn the_files_of_a_recipe_are_bounded_together() {
    let service = "services: {app: {image: a}}\n".to_owned();
    let told = |files: usize, text: &str| {
        let texts: Vec<&str> = (0..files).map(|_| text).collect();
        load_all(&texts).map(|_| ()).map_err(|errors| errors.to_string())
    };
    assert_eq!(told(64, &service), Ok(()));
    assert!(told(65, &service).unwrap_err().contains("there are 65 compose files, more than the 64 that are read"));
    let long = format!("{service}#{}", "c".repeat(600_000));
    assert_eq!(told(1, &long), Ok(()));
    assert!(told(2, &long).unwrap_err().contains("the compose files have 1200058 bytes together"));
    let list = "x, ".repeat(300);
    let aliases = format!("x-a: &a [{list}]\nx-b: [{}]\n{service}", "*a, ".repeat(300));
    assert_eq!(told(2, &aliases), Ok(()));
    assert!(told(9, &aliases).unwrap_err().contains("more than 200000 nodes"));
    let variables = format!("x-a: &a {}$HOME\nx-b: [{}]\n{service}", "y".repeat(10_000), "*a, ".repeat(100));
    assert_eq!(told(3, &variables), Ok(()));
    assert!(told(5, &variables).unwrap_err().contains("bytes in the compose files up to this one"));
}

#[test]
fn the_entries_of_a_recipe_are_bounded_together() {
    let entries = |start: usize, count: usize, entry: &str| -> String {
        (start..start + count).map(|number| format!("\n  n{number}: {entry}")).collect()
    };
    let services = |start: usize, count: usize| format!("services:{}", entries(start, count, "{image: 'a:1'}"));
    assert_eq!(load_all(&[&services(0, 1000), &services(1000, 1000)]).unwrap().project.services.len(), 2000);
    let above = load_all(&[&services(0, 1000), &services(1000, 1001)]).unwrap_err().to_string();
    assert!(above.starts_with("1.yml:1:1: error: more than 2000 services"), "{above}");
    let networks = |count: usize| format!("{}\nnetworks:{}", services(0, 1), entries(0, count, "{}"));
    assert_eq!(load_all(&[&networks(10_000)]).unwrap().project.networks.len(), 10_000);
    assert!(errors(&networks(10_001)).contains("or 10000 networks, volumes, secrets and configs"));
}
