use crate::model::diagnostic::Diagnostics;
use crate::recipe::compose::{Loaded, Source, load};
use crate::recipe::{Entry, Tree};

const VARIABLES: [(&str, &str); 5] =
    [("FOO", "foo"), ("EMPTY", ""), ("MODE", "0444"), ("STACK_NAME", "st"), ("DB_PASSWORD", "hunter2")];

fn tree(files: &[(&str, &str)]) -> Tree {
    let entry = |(path, text): &(&str, &str)| ((*path).to_owned(), Entry::File(text.as_bytes().to_vec()));
    Tree { entries: files.iter().map(entry).collect() }
}

fn loaded_in(files: &[&str], tree: &Tree) -> Result<Loaded, Diagnostics> {
    let source = |(index, text): (usize, &&str)| Source { file: index.to_string().into(), text: (*text).to_owned() };
    let sources: Vec<Source> = files.iter().enumerate().map(source).collect();
    let variables = VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    load(&sources, &variables, tree)
}

fn loaded(files: &[&str]) -> Result<Loaded, Diagnostics> {
    loaded_in(files, &tree(&[]))
}

fn told_in(files: &[&str], tree: &Tree) -> Diagnostics {
    loaded_in(files, tree).map(|loaded| loaded.warnings).unwrap_or_else(|errors| errors)
}

fn told(files: &[&str]) -> Vec<String> {
    told_in(files, &tree(&[])).0.iter().map(ToString::to_string).collect()
}

/// The keys of service `a`, which is otherwise without fault, at line 4 and column 5.
fn service(keys: &str) -> String {
    format!("services:\n  a:\n    image: a:1\n    {keys}\n")
}

/// Each begins what is told of a service with these keys, and nothing more is told.
fn check(cases: &[(&str, &[&str])]) {
    for (keys, expected) in cases {
        let told = told(&[&service(keys)]);
        let fits =
            told.len() == expected.len() && told.iter().zip(*expected).all(|(told, start)| told.starts_with(start));
        assert!(fits, "{keys}\n{}", told.join("\n"));
        assert!(told.iter().all(|told| told.ends_with(')')), "no way out in\n{}", told.join("\n"));
    }
}

#[test]
fn what_a_stack_drops_is_told_at_its_key() {
    check(&[
        ("depends_on: [b]", &["0:4:5: warning: services.a.depends_on is ignored (a Swarm starts"]),
        ("container_name: x", &["0:4:5: warning: services.a.container_name is ignored"]),
        ("oom_score_adj: 5", &["0:4:5: warning: services.a.oom_score_adj is ignored"]),
        ("privileged: true", &["0:4:5: warning: services.a.privileged is ignored"]),
        (
            "restart: always",
            &["0:4:5: warning: services.a.restart is taken as deploy.restart_policy with condition: any"],
        ),
        ("restart: 'no'", &["0:4:5: warning: services.a.restart has no effect: Swarm starts the service again"]),
        (
            "restart: always\n    deploy: {restart_policy: {condition: none}}",
            &["0:4:5: warning: services.a.restart is ignored beside deploy.restart_policy"],
        ),
        (
            "networks: {default: {ipv4_address: 10.0.0.2}}",
            &["0:4:26: warning: services.a.networks.default.ipv4_address is ignored"],
        ),
        ("tmpfs: [/run, '/tmp']", &["0:4:5: warning: services.a.tmpfs becomes tmpfs mounts"]),
        (
            "volumes: [{type: bind, source: /a, target: /b, bind: {create_host_path: true}}]",
            &["0:4:59: warning: services.a.volumes: bind.create_host_path is ignored (bind takes propagation alone)"],
        ),
        (
            "volumes: [{type: tmpfs, target: /b, tmpfs: {size: 5, mode: 7}}]",
            &["0:4:58: warning: services.a.volumes: tmpfs.mode is ignored"],
        ),
        ("volumes: ['/a:/b:ro,z']", &["0:4:15: warning: services.a.volumes: the option \"z\" is ignored"]),
        ("extra_hosts: [lonely]", &["0:4:19: warning: services.a.extra_hosts: an entry without an address is dropped"]),
        ("ports: ['127.0.0.1:80:80']", &["0:4:13: warning: services.a.ports: the host address is ignored"]),
        ("ports: ['0.0.0.0:80:80']", &[]),
    ]);
}

#[test]
fn numbers_and_dates_that_change_their_spelling_are_told_wherever_text_is_taken() {
    check(&[
        (
            "environment: {M: 0444}",
            &["0:4:22: warning: services.a.environment.M: 0444 reads as 292 (put it in quotes)"],
        ),
        ("labels: {v: 1.50}", &["0:4:17: warning: services.a.labels.v: 1.50 reads as 1.5"]),
        (
            "deploy: {labels: {d: 2024-01-01}}",
            &["0:4:26: warning: services.a.deploy.labels.d: 2024-01-01 reads as 2024-01-01 00:00:00 +0000 UTC"],
        ),
        ("logging: {options: {n: 1e3}}", &["0:4:28: warning: services.a.logging.options.n: 1e3 reads as 1000"]),
        ("sysctls: {n: 0x10}", &["0:4:18: warning: services.a.sysctls.n: 0x10 reads as 16"]),
        ("ports: [8_080]", &["0:4:13: warning: services.a.ports[0]: 8_080 reads as 8080"]),
        ("environment: {M: '0444', N: 5, O: null}", &["0:4:36: warning: services.a.environment: O is set nowhere"]),
    ]);
    let volume = "services: {a: {image: a:1, volumes: ['data:/d']}}\nvolumes: {data: {driver_opts: {mode: 0700}}}";
    assert_eq!(
        told(&[volume]),
        ["0:2:38: warning: volumes.data.driver_opts.mode: 0700 reads as 448 (put it in quotes)"]
    );
}

#[test]
fn an_interpolated_mode_is_decimal_and_told() {
    let keys = "configs: [{source: c, mode: \"${MODE}\"}]";
    let text = format!("{}configs: {{c: {{external: true}}}}", service(keys));
    let expected = "0:4:33: warning: services.a.configs: the mode ${MODE} is the decimal number 444, which is mode 0674 \
                    (write the mode itself, or give 292, which is 0444)";
    assert_eq!(told(&[&text]), [expected]);
}

#[test]
fn environment_from_outside_is_told() {
    check(&[
        (
            "environment: [FOO, EMPTY]",
            &["0:4:19: warning: services.a.environment: FOO takes its value from the app's env"],
        ),
        (
            "environment: {FOO: ''}",
            &["0:4:19: warning: services.a.environment.FOO is empty here, and takes the value of FOO"],
        ),
        ("environment: ['EMPTY=', FOO=bar]", &[]),
        (
            "environment: [A, B, FOO]",
            &[
                "0:4:19: warning: services.a.environment: A and B are set nowhere",
                "0:4:25: warning: services.a.environment: FOO takes its value",
            ],
        ),
    ]);
}

#[test]
fn secrets_in_plain_sight_are_told_and_never_shown() {
    check(&[
        (
            "environment: {DB_PASSWORD: hunter2}",
            &["0:4:19: warning: services.a.environment.DB_PASSWORD is a secret in plain sight"],
        ),
        (
            "environment: {DB_PASSWORD: '${DB_PASSWORD}'}",
            &["0:4:19: warning: services.a.environment.DB_PASSWORD is a secret"],
        ),
        ("environment: {DB_PASSWORD_FILE: /run/secrets/p}", &[]),
        (
            "environment: [DB_PASSWORD]",
            &[
                "0:4:19: warning: services.a.environment.DB_PASSWORD is",
                "0:4:19: warning: services.a.environment: DB_PASSWORD takes",
            ],
        ),
    ]);
    assert!(!told(&[&service("environment: {DB_PASSWORD: hunter2}")]).join("").contains("hunter2"));
    let number = told(&[&service("environment: {DB_PASSWORD: 0123456}")]).join("");
    assert!(number.contains("another text than the one written") && !number.contains("0123456"), "{number}");
}

#[test]
fn a_variable_that_nothing_sets_is_told_once_and_many_of_a_file_together() {
    check(&[
        (
            "command: [$NOPE, '${NOPE}x', \"$NOPE\"]",
            &["0:4:15: warning: NOPE is set nowhere, and empty here, and 2 times more"],
        ),
        ("command: ['${NOPE:-}', '$EMPTY', '$$NOPE', '$FOO']", &[]),
        (
            "command: [$A, $B, $C, $D]",
            &[
                "0:4:15: warning: 4 variables are set nowhere, and empty: A (line 4), B (line 4), C (line 4) and D (line 4)",
            ],
        ),
    ]);
    let sample = tree(&[(".env.sample", "#NOPE=5\nA=1\n"), ("abra.sh", "")]);
    let told = told_in(&[&service("command: [$NOPE]").replace("a:\n", "app:\n")], &sample);
    assert_eq!(told.to_string(), "", "a sample may leave variables to the operator");
}

/// It may be what is wrong with the files.
#[test]
fn a_variable_that_nothing_sets_is_told_beside_errors() {
    let told = told(&[&service("deploy: {replicas: \"$COUNT\"}\n    environment: [~, NOPE]")]);
    let starts = [
        "0:4:24: error: error while interpolating services.a.deploy.replicas",
        "0:5:19: error: services.a.environment[0] must be a string, not null",
        "0:4:24: warning: COUNT is set nowhere, and empty here",
        "0:5:22: warning: services.a.environment: NOPE is set nowhere",
    ];
    let fits = told.len() == starts.len() && told.iter().zip(starts).all(|(told, start)| told.starts_with(start));
    assert!(fits, "{}", told.join("\n"));
}

#[test]
fn an_anchored_value_is_told_once() {
    let text = "x-e: &e {M: 0444, N: $FOO-bar}\nservices: {a: {image: a:1, environment: *e}, b: {image: a:1, environment: {<<: *e}}}";
    let told = told(&[text]);
    assert_eq!(told.len(), 2, "{}", told.join("\n"));
    assert!(told[0].starts_with("0:1:13: warning: services.a.environment.M: 0444"), "{}", told[0]);
}

#[test]
fn zeros_that_override_nothing_are_told_at_the_zero() {
    let base = service(
        "tty: true\n    hostname: h\n    init: true\n    stop_grace_period: 5s\n    command: [a]\n    deploy: {replicas: 3}",
    );
    let over = "services:\n  a:\n    tty: false\n    hostname: ''\n    init: false\n    stop_grace_period: 0s\n    command: []\n    \
                read_only: false\n    deploy: {replicas: 0}\n";
    let told = told(&[&base, over]);
    let expected = [
        "1:3:10: warning: services.a.tty: false does not override the value at 0:4:10",
        "1:4:15",
        "1:5:11",
        "1:6:24",
        "1:7:14",
    ];
    let fits =
        told.len() == expected.len() && expected.iter().all(|start| told.iter().any(|told| told.starts_with(start)));
    assert!(fits, "{}", told.join("\n"));
}

/// A setting of service `a` in a file of its own.
fn setting(dotted: &str, value: &str) -> String {
    let nested = dotted.rsplit('.').fold(value.to_owned(), |inner, key| format!("{{{key}: {inner}}}"));
    format!("services: {{a: {nested}}}")
}

/// The list of the warning and the rules of the merge stand apart: here they meet.
#[test]
fn a_zero_is_told_where_the_merge_drops_it_and_nowhere_else() {
    let values = ["true", "start-first", "5s", "1m", "1", "[x]"];
    let zeros = ["false", "''", "'0'", "0s", "0b", "0", "0.0", "[]"];
    let plain = "services: {a: {image: i}}";
    for dotted in super::merged::STICKY {
        let without = loaded(&[plain]).unwrap().project;
        let texts = values.map(|value| setting(dotted, value));
        let set = |text: &&String| loaded(&[plain, text]).is_ok_and(|loaded| loaded.project != without);
        let text = texts.iter().find(set).unwrap_or_else(|| panic!("{dotted} takes none of {values:?}"));
        let before = loaded(&[plain, text]).unwrap().project;
        let mut drops = false;
        for zero in zeros {
            let Ok(after) = loaded(&[plain, text, &setting(dotted, zero)]) else { continue };
            let is_dropped = after.project == before;
            let is_told = after.warnings.to_string().contains("does not override");
            assert_eq!(is_dropped, is_told, "{dotted}: {zero} after {text}\n{}", after.warnings);
            drops |= is_dropped;
        }
        assert!(drops, "no zero of {dotted} is dropped");
    }
}

#[test]
fn what_a_merge_loses_or_joins_is_told_at_the_later_file() {
    let cases = [
        (
            "environment: {A: b}",
            "environment: {A: ''}",
            "1:3:19: warning: services.a.environment.A: the empty value does not override",
        ),
        (
            "healthcheck: {test: [CMD, a]}",
            "healthcheck: {test: [CMD, b]}",
            "1:3:19: warning: services.a.healthcheck.test of two files is joined",
        ),
        (
            "ports: ['53:53/udp', '53:53/tcp']",
            "tty: true",
            "1:2:3: warning: services.a.ports: 53:53/udp is lost to 53:53/tcp",
        ),
        (
            "ports: ['53:53/udp']",
            "ports: ['53:53/tcp']",
            "1:3:5: warning: services.a.ports: 53:53/udp is lost to 53:53/tcp",
        ),
        (
            "dns: [1.1.1.1]",
            "dns: [9.9.9.9, 1.1.1.1]",
            "1:3:20: warning: services.a.dns: 1.1.1.1 is there already, and now twice",
        ),
        (
            "deploy: {placement: {constraints: [x]}}",
            "deploy: {placement: {constraints: [x]}}",
            "1:3:40: warning: services.a.deploy.placement.constraints: x is there",
        ),
        (
            "logging: {driver: json-file}",
            "logging: {options: {max-size: 5m}}",
            "1:3:15: warning: services.a.logging.options are lost",
        ),
        (
            "networks: {default: {aliases: [x]}}",
            "networks: {default: {}}",
            "1:3:16: warning: services.a.networks.default: the earlier aliases x are lost",
        ),
        (
            "networks: {default: {aliases: [x]}}",
            "networks: {default: {aliases: [x], driver_opts: {a: b}}}",
            "1:3:40: warning: services.a.networks.default.driver_opts are lost",
        ),
    ];
    for (base, over, expected) in cases {
        let told = told(&[&service(base), &format!("services:\n  a:\n    {over}\n")]);
        assert!(
            told.len() == 1 && told[0].starts_with(expected) && told[0].ends_with(')'),
            "{over}\n{}",
            told.join("\n")
        );
    }
}

#[test]
fn a_merge_that_does_what_is_meant_is_not_told() {
    let base = service("ports: ['80:80', '443:443']\n    environment: {A: b}\n    tty: true");
    let over = "services:\n  a:\n    ports: [{target: 80, published: 80, mode: host}]\n    environment: {A: c}\n    tty: true\n";
    assert_eq!(told(&[&base, over]), Vec::<String>::new());
}

#[test]
fn a_top_level_entry_that_replaces_another_tells_what_is_lost() {
    let base = format!("{}networks: {{default: {{internal: true, driver: overlay}}}}\nx-a: 1", service("tty: true"));
    let told = told(&[&base, "networks: {default: {driver: overlay}}\nx-a: 2\nx-b: 1"]);
    assert_eq!(told.len(), 2, "{}", told.join("\n"));
    assert!(
        told[0].starts_with(
            "1:1:12: warning: networks.default replaces the entry at 0:5:12 whole, and its internal is lost"
        )
    );
    assert!(told[1].starts_with("1:2:1: warning: x-a changes nothing at 0:6:1"));
}

#[test]
fn unused_objects_have_their_place() {
    let top = "networks: {n: }\nvolumes: {v: }\nsecrets: {s: {file: f}, e: {external: true}}\nconfigs: {c: {file: f}}";
    let told = told(&[&format!("{}{top}", service("tty: true"))]);
    let expected = [
        "0:5:12: warning: no service uses the network \"n\" (",
        "0:6:11: warning: no service uses the volume \"v\" (",
        "0:7:11: warning: no service uses the secret \"s\", and it is made all the same (",
        "0:7:25: warning: no service uses the secret \"e\" (",
        "0:8:11: warning: no service uses the config \"c\", and it is made all the same (",
    ];
    assert!(
        told.len() == 5 && told.iter().zip(expected).all(|(told, start)| told.starts_with(start)),
        "{}",
        told.join("\n")
    );
}

#[test]
fn what_is_said_of_an_external_object_is_told_as_ignored() {
    let text = service("networks: [n]") + "networks: {n: {external: true, driver: overlay, name: x}}";
    let told = told(&[&text]);
    assert!(
        told.len() == 1 && told[0].starts_with("0:5:32: warning: networks.n.driver is ignored"),
        "{}",
        told.join("\n")
    );
}

#[test]
fn further_documents_are_told_where_they_begin() {
    let first = "# one\n---\nservices: {a: {image: a:1}}\n";
    assert_eq!(told(&[&format!("{first}---\n# nothing\n...\n")]), Vec::<String>::new());
    let told = told(&[&format!("{first}---\nservices: {{b: {{image: b:1}}}}\n")]);
    assert_eq!(
        told,
        ["0:4:1: warning: this is another document of the same file, and is ignored (make it a file of its own)"]
    );
}
