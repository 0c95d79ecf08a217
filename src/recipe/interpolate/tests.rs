use proptest::prelude::*;

use super::*;
use crate::recipe::yaml;

fn environment() -> Environment {
    [("FOO", "foo"), ("EMPTY", ""), ("PRICE", "$FOO"), ("N", "3"), ("MODE", "0440"), ("lower", "low")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn filled(template: &str) -> Result<String, InterpolateError> {
    text(template, &environment())
}

/// Each line as the Docker CLI reads it.
#[test]
fn templates_are_filled_with_the_quirks_of_the_cli() {
    let table = [
        ("plain", "plain"),
        ("$FOO ${FOO}", "foo foo"),
        ("${lower}$lower", "lowlow"),
        ("$$FOO $${FOO} $$$$", "$FOO ${FOO} $$"),
        ("${NOPE}|$NOPE", "|"),
        ("${NOPE:-d} ${EMPTY:-d} ${FOO:-d}", "d d foo"),
        ("${NOPE-d} ${EMPTY-d} ${FOO-d}", "d  foo"),
        ("${NOPE:-}", ""),
        ("${FOO:?m} ${EMPTY?m}", "foo "),
        ("$PRICE", "$FOO"),
        ("$FOO-bar", "foo"),
        ("$NOPE-bar", "bar"),
        ("$FOO-a ${FOO}", "foo}"),
        ("$NOPE-a ${FOO}", "a ${FOO}"),
        ("$FOO:8080", "foo:8080"),
        ("$FOO.example.org", "foo.example.org"),
        ("${NOPE:-${FOO}}", "${FOO}"),
        ("${A-http://x:-y}", "y"),
        ("${NOPE?a-b}", "b"),
        ("${NOPE:-a\nb}", "a\nb"),
        ("ü$FOOü", "üfooü"),
    ];
    for (template, expected) in table {
        assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn a_dollar_that_begins_nothing_is_a_fault() {
    for template in
        ["$", "a $ b", "${", "${}", "${1}", "$1", "${FOO:+x}", "${FOO", "${FOO!}", "$ ${FOO}", "${FOO:-x", "$ü"]
    {
        assert_eq!(filled(template), Err(InterpolateError::Invalid(template.to_owned())), "{template}");
    }
}

#[test]
fn a_required_variable_without_value_is_a_fault() {
    for template in ["${NOPE:?tell me}", "${EMPTY:?tell me}", "${NOPE?tell me}", "${NOPE?tell me} $FOO"] {
        let Err(InterpolateError::Required { message, .. }) = filled(template) else { panic!("{template}") };
        assert_eq!(message, "tell me");
    }
}

#[test]
fn variables_of_a_template_are_named_once() {
    let template = "${STACK_NAME}_db_${SECRET_DB_VERSION:-v1}_$STACK_NAME-x$$NOT";
    assert_eq!(variables(template), ["STACK_NAME", "SECRET_DB_VERSION"]);
}

fn interpolated(text: &str) -> (Node, Vec<String>) {
    let mut node = yaml::parse(&"compose.yml".into(), text).unwrap();
    let mut diagnostics = Diagnostics::default();
    document(&mut node, &environment(), &mut diagnostics);
    (node, diagnostics.0.iter().map(ToString::to_string).collect())
}

fn value_at<'a>(node: &'a Node, path: &str) -> &'a Value {
    &path.split('.').fold(node, |node, key| node.get(key).unwrap()).value
}

#[test]
fn values_change_and_keys_do_not() {
    let (node, told) = interpolated("$FOO: $FOO\nx-a: [\"${FOO}\", 5, {k: a$FOO}]\n");
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(value_at(&node, "$FOO"), &Value::String("foo".into()));
    let Value::Seq(items) = value_at(&node, "x-a") else { panic!("a list") };
    assert_eq!((items[0].as_str(), &items[1].value), (Some("foo"), &Value::Int(5)));
    assert_eq!(items[2].get("k").unwrap().as_str(), Some("afoo"));
}

#[test]
fn numbers_and_booleans_appear_where_the_cli_casts_and_only_there() {
    let text = "services:\n  a:\n    tty: \"${T:-Yes}\"\n    init: \"${T:-true}\"\n    hostname: $N\n    \
                deploy:\n      replicas: $N\n      update_config: {max_failure_ratio: \"0.$N\"}\n    \
                ulimits: {nofile: $N, nproc: {soft: $N}}\n    secrets: [{source: s, mode: \"${MODE}\"}]\n    \
                ports: [{target: \"$N\"}]\n    privileged: \"true\"\nvolumes: {v: {external: \"${T:-off}\"}}\n\
                networks: {n: {attachable: \"${T:-on}\"}}\n";
    let (node, told) = interpolated(text);
    assert_eq!(told, Vec::<String>::new());
    let string = |text: &str| Value::String(text.into());
    for (path, expected) in [
        ("tty", Value::Bool(true)),
        ("init", string("true")),
        ("hostname", string("3")),
        ("privileged", string("true")),
        ("deploy.replicas", Value::Int(3)),
        ("deploy.update_config.max_failure_ratio", Value::Float(0.3)),
        ("ulimits.nofile", Value::Int(3)),
        ("ulimits.nproc.soft", Value::Int(3)),
    ] {
        assert_eq!(value_at(&node, &format!("services.a.{path}")), &expected, "{path}");
    }
    let Value::Seq(secrets) = value_at(&node, "services.a.secrets") else { panic!("a list") };
    assert_eq!(value_at(&secrets[0], "mode"), &Value::Int(440));
    let Value::Seq(ports) = value_at(&node, "services.a.ports") else { panic!("a list") };
    assert_eq!(value_at(&ports[0], "target"), &Value::Int(3));
    assert_eq!(value_at(&node, "volumes.v.external"), &Value::Bool(false));
    assert_eq!(value_at(&node, "networks.n.attachable"), &Value::Bool(true));
}

#[test]
fn all_faults_are_told_with_place_and_path() {
    let text = "services:\n  a:\n    hostname: \"${\"\n    user: ${NOPE:?who}\n    deploy:\n      replicas: $FOO\n    \
                tty: \"${ONE:-1}\"\n    command: [$FOO-bar]\n";
    let (_, told) = interpolated(text);
    assert_eq!(
        told,
        [
            "compose.yml:3:15: error: invalid interpolation format for services.a.hostname: \"${\"; you may need to \
             escape any $ with another $",
            "compose.yml:4:11: error: invalid interpolation format for services.a.user: \"required variable NOPE is \
             missing a value: who\"",
            "compose.yml:6:17: error: error while interpolating services.a.deploy.replicas: failed to cast to expected \
             type: strconv.Atoi: parsing \"foo\": invalid syntax",
            "compose.yml:7:10: error: error while interpolating services.a.tty: failed to cast to expected type: \
             invalid boolean: 1",
            "compose.yml:8:15: warning: in `$FOO-bar` the text behind the name is a default or message, not text \
             (write ${FOO}-bar)",
        ]
    );
}

#[test]
fn an_anchored_trap_is_told_once() {
    let (_, told) = interpolated("x-a: &a {k: $FOO-bar}\nb: *a\nc: *a\n");
    assert_eq!(told.len(), 1);
}

#[test]
fn values_that_grow_beyond_bounds_are_refused() {
    let environment: Environment = [("LONG".to_owned(), "x".repeat(1000))].into();
    assert_eq!(text(&"$LONG ".repeat(2000), &environment), Err(InterpolateError::TooLong));
}

/// Takes minutes when the rest of the template is searched once per brace.
#[test]
fn many_open_braces_end_quickly() {
    let template = "${A:-".repeat(200_000);
    assert_eq!(variables(&template), Vec::<String>::new());
    assert!(filled(&template).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn text_without_dollar_stays_as_it_is(template in "[^$]{0,40}") {
        prop_assert_eq!(filled(&template), Ok(template));
    }

    #[test]
    fn doubled_dollars_give_the_text_back(plain in "[a$}{:?-]{0,30}") {
        prop_assert_eq!(filled(&plain.replace('$', "$$")), Ok(plain));
    }

    #[test]
    fn no_template_makes_it_panic(template in "[$A{}:?\\-_1 ü]{0,30}|\\PC{0,10}") {
        let _ = filled(&template);
        let _ = variables(&template);
    }
}
