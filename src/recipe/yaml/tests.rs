use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Node, Diagnostics> {
    parse(&"f.yml".into(), text)
}

fn value(text: &str) -> Value {
    read(text).unwrap().value
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn complaints(text: &str) -> Vec<String> {
    read(text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn plain_scalars_are_what_go_takes_them_for() {
    let integers = [
        ("0444", 292),
        ("0o444", 292),
        ("-012", -10),
        ("007", 7),
        ("0xff", 255),
        ("0b11", 3),
        ("1_000", 1000),
        ("+5", 5),
        ("-0", 0),
        ("-9223372036854775808", i64::MIN),
        ("!!int \"5\"", 5),
        ("! 12", 12),
    ];
    for (text, expected) in integers {
        assert_eq!(value(text), Value::Int(expected), "{text}");
    }
    let floats = [
        ("1.50", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-1.5", -1.5),
        ("!!float 5", 5.0),
        ("08", 8.0),
        ("-09", -9.0),
        ("0999", 999.0),
    ];
    for (text, expected) in floats {
        assert_eq!(value(text), Value::Float(expected), "{text}");
    }
    for text in ["true", "True", "TRUE", "!!bool \"true\""] {
        assert_eq!(value(text), Value::Bool(true), "{text}");
    }
    for text in ["~", "null", "Null", "NULL", "", "# only a comment", "---\n...\n", "!!null ''"] {
        assert_eq!(value(text), Value::Null, "{text}");
    }
    assert_eq!(value("12345678901234567890"), Value::Uint(12_345_678_901_234_567_890));
}

#[test]
fn what_looks_like_a_value_to_others_is_a_string() {
    let texts = "yes no on off y n tRUE 22:22 190:20:30 0x1.8p1 1e 10% a:b = 0x 1e999 1.2.3 ._5 + . _1 2024-13-01 \
                 2024-02-30 2024-01-01T10:00:00 2024-01-01T10:00:00ÅÅÅ 2024-01-01T10:00:00+ÅÅÅ 1-2-3 ٣";
    for text in texts.split(' ') {
        assert_eq!(value(text), string(text), "{text}");
    }
    for text in ["\"5\"", "'5'", "!!str 5", "!custom 5", "|-\n  5", ">-\n  5", "!!binary NQ==", "!!binary NR=="] {
        assert_eq!(value(text), string("5"), "{text}");
    }
}

/// Each line as the Docker CLI sends it when it stands as a label's value.
#[test]
fn scalars_used_as_text_are_printed_as_go_does() {
    let table = [
        ("0444", "292"),
        ("08", "8"),
        ("0999999999", "9.99999999e+08"),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("999999.0", "999999"),
        ("1000001.0", "1.000001e+06"),
        ("1e21", "1e+21"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("-0.0", "-0"),
        ("123456789012345678901234", "1.2345678901234569e+23"),
        ("+18446744073709551615", "1.8446744073709552e+19"),
        ("1_0.5", "10.5"),
        ("true", "true"),
        ("2024-01-01", "2024-01-01 00:00:00 +0000 UTC"),
        ("2024-01-01T10:00:00Z", "2024-01-01 10:00:00 +0000 UTC"),
        ("2024-01-01T10:00:00+02:00", "2024-01-01 10:00:00 +0200 +0200"),
        ("2024-01-01T10:00:00-00:00", "2024-01-01 10:00:00 +0000 UTC"),
        ("2024-01-01t10:00:00.123456789123Z", "2024-01-01 10:00:00.123456789 +0000 UTC"),
        ("2024-1-1   1:2:3.500", "2024-01-01 01:02:03.5 +0000 UTC"),
    ];
    for (text, expected) in table {
        assert_eq!(text_of(&value(text)), expected, "{text}");
    }
}

#[test]
fn a_scalar_that_changes_its_spelling_as_text_is_known() {
    let node = read("[0444, 1.50, 2024-01-01, 5, true, text, '0444', ~]").unwrap();
    let Value::Seq(items) = node.value else { panic!("a list") };
    let respelled: Vec<_> = items.iter().filter_map(Node::respelled).collect();
    assert_eq!(respelled, ["0444", "1.50", "2024-01-01"]);
}

#[test]
fn every_node_and_key_has_its_place_from_one() {
    let node = read("a:\n  ümlaut: [x, \"y\"]\n").unwrap();
    let inner = node.get("a").unwrap();
    let Value::Map(entries) = &inner.value else { panic!("a mapping") };
    assert_eq!(entries[0].0.place.to_string(), "f.yml:2:3");
    let Value::Seq(items) = &entries[0].1.value else { panic!("a list") };
    assert_eq!(items[1].place.to_string(), "f.yml:2:15");
}

#[test]
fn merged_keys_lose_to_own_ones_and_earlier_mappings_win() {
    let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 9}\nd:\n  <<: *a\n  k: *b\ne: {\"<<\": 5}\n\
                f: {<<: {q: 1}}";
    let node = read(text).unwrap();
    let texts = |name: &str| {
        let Some(Value::Map(entries)) = node.get(name).map(|node| &node.value) else { panic!("a mapping") };
        entries.iter().map(|(key, node)| format!("{}={}", key.text, text_of(&node.value))).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(texts("c"), "x=9 y=1 z=2");
    assert_eq!(texts("d"), "k= x=1 y=1");
    assert_eq!(texts("e"), "<<=5");
    assert_eq!(texts("f"), "q=1");
}

/// What Go refuses although a YAML of today takes it.
#[test]
fn a_merge_key_takes_no_alias_of_a_list() {
    let expected = ["f.yml:1:4: error: map merge requires map or sequence of maps as the value"];
    assert_eq!(complaints("l: &l [{a: 1}]\nm: {<<: *l}"), expected);
    assert_eq!(complaints("l: &l [{a: 1}]\nm: {<<: [*l]}"), expected);
    let node = read("k: &k <<\nm: {*k : {a: 1}}").unwrap();
    assert!(node.get("m").unwrap().get("<<").is_some());
}

#[test]
fn a_block_at_the_end_of_a_file_has_the_line_ends_of_the_file() {
    let ends = ["a: |\n  b", "a: |+\n  b", "a: >\n  b\n\n  c", "a: |\n  b # c", "a: |2\n    b", "a: |\n  b\n   "];
    let expected = ["b", "b", "b\nc", "b # c", "  b", "b\n "];
    for (text, expected) in ends.into_iter().zip(expected) {
        assert_eq!(read(text).unwrap().get("a").unwrap().value, string(expected), "{text:?}");
    }
    for text in ["a: |\n  b\n", "a: |\n  b\n\n", "a: |\n  b\n# c", "a: |\n  b\nc: 1", "a: |\n  b\n "] {
        assert_eq!(read(text).unwrap().get("a").unwrap().value, string("b\n"), "{text:?}");
    }
}

#[test]
fn only_the_first_document_counts() {
    assert_eq!(value("a\n---\n{ broken"), string("a"));
}

/// As the Docker CLI takes and refuses them.
#[test]
fn another_yaml_than_1_1_is_refused() {
    for head in ["%YAML 1.1\n", "# c\n\n%YAML  1.1 # c\n", "%TAG ! x\n", "%YAML 01.1\n"] {
        assert!(read(&format!("{head}---\na: 1\n")).is_ok(), "{head}");
    }
    for directive in ["%YAML 1.2", "%YAML 1.0", "%YAML 2.0", "%YAML 1", "%FOO bar"] {
        let told = complaints(&format!("# c\n{directive}\n---\na: 1\n"));
        assert_eq!(told, [format!("f.yml:2:1: error: {directive:?} is not known here (leave the line out)")]);
    }
    assert!(read("---\na: 1\n---\n%YAML 1.2\n").is_ok());
}

#[test]
fn all_faults_of_a_readable_text_are_told_at_once() {
    let found =
        complaints("a: 1\na: 2\n5: x\n? [k]\n: y\nm: {<<: text}\nb: !!bool yes\nn: {~: 1}\ni: [.inf, -.Inf, !!int 08]");
    assert_eq!(
        found,
        [
            "f.yml:2:1: error: mapping key \"a\" already defined at line 1",
            "f.yml:3:1: error: a key must be a string, not a number (put quotes around it)",
            "f.yml:4:3: error: a key must be a string, not a list (put quotes around it)",
            "f.yml:6:9: error: map merge requires map or sequence of maps as the value",
            "f.yml:7:4: error: cannot decode `yes` as a !!bool",
            "f.yml:8:5: error: a key must be a string, not empty (put quotes around it)",
            "f.yml:9:5: error: `.inf` is no number that can be sent",
            "f.yml:9:11: error: `-.Inf` is no number that can be sent",
            "f.yml:9:18: error: cannot decode `08` as a !!int",
        ]
    );
}

#[test]
fn a_text_that_is_no_yaml_is_refused_with_its_place() {
    for (text, expected) in [
        ("a: *nope", "f.yml:1:4: error: not YAML: while parsing node, found unknown anchor"),
        ("a:\n\tb: 1", "f.yml:2:2: error: not YAML: tabs"),
        ("a: [1, 2", "f.yml:2:1: error: not YAML: "),
        ("a: &x {b: *x}", "f.yml:1:11: error: the anchor of this alias contains the alias itself"),
        ("a: b\nc: \u{0}d", "f.yml:2:4: error: control character U+0000 is not allowed"),
    ] {
        let found = complaints(text);
        assert!(found[0].starts_with(expected), "{text:?}: {found:?}");
    }
}

#[test]
fn lines_end_with_each_of_the_four_line_ends() {
    let node = read("a: 1\r\nb: x\ry: 2\u{85}c: |\r  d\u{85}  e\r\u{85}f: 3 # x\u{85}g: 4").unwrap();
    let Value::Map(entries) = &node.value else { panic!("a mapping") };
    let shown = entries.iter().map(|(key, node)| format!("{} {}={}", key.place, key.text, text_of(&node.value)));
    assert_eq!(
        shown.collect::<Vec<_>>().join("\n"),
        "f.yml:1:1 a=1\nf.yml:2:1 b=x\nf.yml:3:1 y=2\nf.yml:4:1 c=d\ne\n\nf.yml:8:1 f=3\nf.yml:9:1 g=4"
    );
    assert_eq!(
        complaints("a: 1\rb: \u{7f}\u{7f}\u{85}c: \u{2028}"),
        [
            "f.yml:2:4: error: control character U+007F is not allowed (write it as an escape inside double quotes)",
            "f.yml:3:4: error: character U+2028 is not allowed (write it as an escape inside double quotes)",
        ]
    );
}

#[test]
fn bounds_end_hostile_texts_quickly() {
    let mut bomb = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..60 {
        writeln!(bomb, "a{level}: &a{level} [*a{0}, *a{0}, *a{0}]", level - 1).unwrap();
    }
    assert!(complaints(&bomb)[0].contains("more than 200000 nodes"));

    let long = format!("a: &a {}\nb: [{}]", "x".repeat(500_000), "*a, ".repeat(10_000));
    assert!(complaints(&long)[0].contains("with all aliases replaced"));

    let mut chain = format!("a0: &a0 {}{}\n", "[".repeat(90), "]".repeat(90));
    writeln!(chain, "a1: &a1 {}*a0{}", "[".repeat(90), "]".repeat(90)).unwrap();
    assert!(complaints(&chain)[0].contains("more than 100 levels"));

    let indented: String = (0..1000).fold(String::new(), |text, level| text + &" ".repeat(level) + "a:\n");
    assert!(complaints(&indented)[0].contains("more than 100 levels"));
    assert!(read(&"[".repeat(100_000)).is_err());
    assert!(complaints(&" ".repeat(MAX_BYTES + 1))[0].contains("1048577 bytes"));
}

#[test]
fn a_hundred_levels_are_read() {
    assert!(read(&format!("{}{}", "[".repeat(100), "]".repeat(100))).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\\n\\t]{0,60}|[-\\[\\]{}:,&*a!<|>\"' \\n0-9.]{0,60}|\\PC{0,40}") {
        let _ = read(&text);
    }

    #[test]
    fn a_float_prints_as_text_that_reads_back(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
        let text = text_of(&Value::Float(number)).into_owned();
        prop_assert_eq!(text.parse::<f64>().unwrap(), number);
    }

    #[test]
    fn an_integer_is_itself_in_every_base(number in any::<i64>()) {
        let (sign, size) = (if number < 0 { "-" } else { "" }, number.unsigned_abs());
        let hexadecimal = format!("0x{size:X}");
        let octals = [format!("0o{size:o}"), format!("0{size:o}")];
        for text in octals.into_iter().chain([hexadecimal, format!("0b{size:b}"), size.to_string()]) {
            prop_assert_eq!(value(&format!("{sign}{text}")), Value::Int(number), "{}", text);
        }
        prop_assert_eq!(value(&format!("'{sign}{size}'")), Value::String(format!("{sign}{size}")));
    }

    #[test]
    fn a_quoted_text_is_itself(text in "[^\\p{C}\\p{Zl}\\p{Zp}]{0,40}") {
        prop_assert_eq!(value(&serde_json::to_string(&text).unwrap()), Value::String(text.clone()));
        prop_assert_eq!(value(&format!("'{}'", text.replace('\'', "''"))), Value::String(text));
    }
}

#[test]
fn a_key_is_bounded() {
    let key = |length: usize| format!("? {}\n: 1\n", "k".repeat(length));
    assert!(parse(&"f".into(), &key(MAX_KEY_BYTES)).is_ok());
    let errors = parse(&"f".into(), &key(MAX_KEY_BYTES + 1)).unwrap_err().to_string();
    assert_eq!(errors, "f:1:3: error: a key of 4097 bytes, more than the 4096 that are read");
}
