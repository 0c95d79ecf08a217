use proptest::prelude::*;

use super::*;
use crate::model::secret::Charset;

fn outer(name: &str) -> Option<String> {
    (name == "OUTER").then(|| "from outside".to_owned())
}

fn read(text: &str) -> Result<Vec<Variable>, Diagnostics> {
    parse(&".env".into(), text, &outer)
}

/// The value of `A` at the end of the file.
fn a(text: &str) -> String {
    let variables = read(text).unwrap_or_else(|diagnostics| panic!("{text}: {diagnostics}"));
    variables.into_iter().find(|variable| variable.name == "A").unwrap().value
}

fn complaints(text: &str) -> Vec<String> {
    read(text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn values_are_read_as_godotenv_does() {
    let table = [
        ("A=1", "1"),
        ("A: 1", "1"),
        ("export A=1", "1"),
        ("  \t export\tA = 1  ", "1"),
        ("export=x\nA=1", "1"),
        ("A=x#y", "x#y"),
        ("A=x #y", "x"),
        ("A=x # y # z", "x"),
        ("A=#x", "#x"),
        ("A= # comment", ""),
        ("A=", ""),
        ("A=\nB=1", ""),
        ("A=/ /var/lib/docker", "/ /var/lib/docker"),
        ("A='*/5 * * * *'", "*/5 * * * *"),
        ("A=1\r\nB=2\r\n", "1"),
        ("# c\n\n---\nA=1 # end", "1"),
        ("\u{feff}A=1", "1"),
        ("A='$OUTER \\n'", "$OUTER \\n"),
        ("A='two\nlines'", "two\nlines"),
        ("A=', `www.example.com`'", ", `www.example.com`"),
        ("A=\"x\" # comment", "x"),
        ("A=\"a\\\"b\\\"\"", "a\"b\""),
        ("A=\"a\\nb\\rc\\td\\\\e\"", "a\nb\rctd\\e"),
        ("A=\"a\\\\\"", "a\\"),
        ("A=a=b:c", "a=b:c"),
        ("A=1\nA=2", "2"),
    ];
    for (text, expected) in table {
        assert_eq!(a(text), expected, "{text:?}");
    }
}

#[test]
fn references_see_earlier_lines_then_the_outside() {
    let table = [
        ("A=$OUTER", "from outside"),
        ("A=\"<${OUTER}>\"", "<from outside>"),
        ("OUTER=here\nA=$OUTER", "here"),
        ("A=$LATER\nLATER=1", ""),
        ("A=$lower ${lower}", "$lower ${lower}"),
        ("A=\\$OUTER \\${OUTER}", "$OUTER ${OUTER}"),
        ("A=\"\\$OUTER\"", "$OUTER"),
        ("A=$(cmd) $(CMD)", "$(cmd) $(CMD)"),
        ("A=${OUTER:-x}", "from outside:-x}"),
        ("A=100$", "100$"),
        ("DOMAIN=example.org\nA=$DOMAIN", "example.org"),
        ("FLAVOUR=classic\nA=demo/demo:latest-${FLAVOUR}-amd64", "demo/demo:latest-classic-amd64"),
        ("A=\"compose.yml\"\nA=\"$A:compose.postgres.yml\"", "compose.yml:compose.postgres.yml"),
        ("B='$OUTER'\nA=$B", "$OUTER"),
    ];
    for (text, expected) in table {
        assert_eq!(a(text), expected, "{text:?}");
    }
}

#[test]
fn a_backslash_before_a_line_end_loses_only_itself() {
    let text = "DOMAIN=example.org\nA=\"\\\n\tdefine('HOME', '${DOMAIN}');\n\t\\$_SERVER['HTTPS'] = 'on';\"\n";
    assert_eq!(a(text), "\n\tdefine('HOME', 'example.org');\n\t$_SERVER['HTTPS'] = 'on';");
}

#[test]
fn comments_tell_how_secrets_are_made() {
    let rule = |text: &str| read(text).unwrap().remove(0).rule;
    let made = |length, charset, generate| Some(Rule { length, charset, generate });
    assert_eq!(rule("SECRET_A_VERSION=v1 # length=128"), made(Some(128), Charset::Default, true));
    assert_eq!(rule("SECRET_A_VERSION=v1 # length=64 charset=hex"), made(Some(64), Charset::Hex, true));
    assert_eq!(rule("A=\"v1\"  #charset=alnum"), made(None, Charset::Alphanumeric, true));
    assert_eq!(rule("A=v1 # generate=false"), made(None, Charset::Default, false));
    assert_eq!(rule("A=v1 # charset=default,special"), made(None, Charset::Special, true));
    assert_eq!(rule("A=v1 # charset=emoji length=long"), made(None, Charset::Default, true));
    assert_eq!(rule("A=v1 # set me=now"), None);
    assert_eq!(rule("A=v1"), None);
    assert_eq!(rule("A=v1 # length=9\nA=v2"), made(Some(9), Charset::Default, true));
}

/// Lines of recipes in use, with what their own tool makes of them.
#[test]
fn lines_of_recipes_in_use_have_their_values() {
    let overlays = "COMPOSE_FILE=\"compose.yml\"\n# COMPOSE_FILE=\"$COMPOSE_FILE:compose.s3.yml\"\n\
                    COMPOSE_FILE=\"$COMPOSE_FILE:compose.postgres.yml\"\n";
    let php = "DOMAIN=wiki.x.example\nWORDPRESS_CONFIG_EXTRA=\"\\\n\tdefine('A', 1);\n\tdefine('WP_HOME', '${DOMAIN}');\n\
               \tif (\\$_SERVER['HTTP_HOST']) {\n\t\t\\$_SERVER['HTTPS'] = 'on';\n\t}\n\" # more\nNEXT=1\n";
    let table = [
        (overlays, "COMPOSE_FILE", "compose.yml:compose.postgres.yml"),
        ("SECRET_SECRET_KEY_BASE_VERSION=v1 # length=128", "SECRET_SECRET_KEY_BASE_VERSION", "v1"),
        (
            "FLAVOUR=classic\nAPP_DOCKER_IMAGE=demo/demo:latest-${FLAVOUR}-amd64",
            "APP_DOCKER_IMAGE",
            "demo/demo:latest-classic-amd64",
        ),
        ("DOMAIN=wiki.x.example\nHOSTNAME=$DOMAIN", "HOSTNAME", "wiki.x.example"),
        ("EXTRA_DOMAINS=', `www.example.com`'", "EXTRA_DOMAINS", ", `www.example.com`"),
        (
            php,
            "WORDPRESS_CONFIG_EXTRA",
            "\n\tdefine('A', 1);\n\tdefine('WP_HOME', 'wiki.x.example');\n\tif ($_SERVER['HTTP_HOST']) {\n\
             \t\t$_SERVER['HTTPS'] = 'on';\n\t}\n",
        ),
        (php, "NEXT", "1"),
        ("CRON_SCHEDULE='*/5 * * * *'", "CRON_SCHEDULE", "*/5 * * * *"),
        ("MOUNTS=/ /var/lib/docker", "MOUNTS", "/ /var/lib/docker"),
        ("B=x#y", "B", "x#y"),
        ("C=x #y", "C", "x"),
        ("E=$lower", "E", "$lower"),
        ("TYPE=wiki:1.7.1+1.27.2", "TYPE", "wiki:1.7.1+1.27.2"),
        ("# ADMIN_PUBKEY=                      # Set after first login\nA=1", "A", "1"),
        ("ADMIN_PUBKEY=                      # Set after first login", "ADMIN_PUBKEY", ""),
        ("DOMAIN=x.example\nMINIO_DOMAIN=minio.${DOMAIN}", "MINIO_DOMAIN", "minio.x.example"),
        ("A=\"B\"\nC.D-e_1 : 'f'", "C.D-e_1", "f"),
        ("PRICE=\"\\$5 \\\\$OUTER\"", "PRICE", "$5 $OUTER"),
    ];
    for (text, name, expected) in table {
        let variables = read(text).unwrap_or_else(|diagnostics| panic!("{text}: {diagnostics}"));
        let found = variables.iter().find(|variable| variable.name == name).map(|variable| variable.value.as_str());
        assert_eq!(found, Some(expected), "{text:?}");
    }
}

#[test]
fn every_modifier_of_recipes_in_use_is_known() {
    let table = [
        ("# length=128", Some(128), Charset::Default),
        ("#length=32", Some(32), Charset::Default),
        ("# charset=default", None, Charset::Default),
        ("# charset=hex length=64", Some(64), Charset::Hex),
        ("# length=16  charset=alnum", Some(16), Charset::Alphanumeric),
        ("# charset=special", None, Charset::named("special")),
        ("# charset=default,special", None, Charset::Special),
        ("# charset=safespecial", None, Charset::named("safespecial")),
        ("# charset=default,safespecial", None, Charset::named("default,safespecial")),
        ("# for the mail, length=20 characters", Some(20), Charset::Default),
    ];
    for (comment, length, charset) in table {
        for value in ["v1", "\"v1\"", "'v1'", ""] {
            let variable = read(&format!("SECRET_A_VERSION={value} {comment}\n")).unwrap().remove(0);
            assert_eq!(variable.value, value.trim_matches(['"', '\'']), "{comment}");
            assert_eq!(variable.rule, Some(Rule { length, charset, generate: true }), "{value} {comment}");
        }
    }
    let given = read("SECRET_A_VERSION=v1 # generate=false").unwrap().remove(0);
    assert_eq!(given.rule.map(|rule| rule.generate), Some(false));
}

/// Functions, comments, a leftover of another recipe, and no end of the last line.
#[test]
fn a_script_of_recipes_in_use_gives_its_versions() {
    let script = "#!/bin/bash\n\n# Set any config versions here\n# Docs: https://docs.example/#versions\n\
                  export APP_ENTRYPOINT_VERSION=v1\nexport NGINX_CONF_VERSION=v22 # was v21\r\nexport 1X=no\n\
                  # export OLD_VERSION=v9\n  export INDENTED_VERSION=v2\nabra_backup_app() {\n  _abra_backup_dir \
                  \"app:/var/www\"\n  cat > x <<EOF\n  export IN_A_TEXT=v5\nEOF\n}\n\nsub_wp() { export ONE_LINE=1; }\n\
                  export POSTGRES_VERSION='v3'\nexport MEILI_BACKUP_VERSION=v2";
    let found = exports(script);
    let shown: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected =
        ["APP_ENTRYPOINT_VERSION=v1", "MEILI_BACKUP_VERSION=v2", "NGINX_CONF_VERSION=v22", "POSTGRES_VERSION=v3"];
    assert_eq!(shown, expected);
}

#[test]
fn every_variable_has_its_place_and_its_order() {
    let variables = read("B=1\n  export A='x\ny'\nC=3").unwrap();
    let shown: Vec<_> = variables.iter().map(|v| format!("{} {}", v.name, v.place)).collect();
    assert_eq!(shown, ["B .env:1:1", "A .env:2:3", "C .env:4:1"]);
}

#[test]
fn all_statements_that_cannot_be_read_are_told() {
    assert_eq!(
        complaints("A B\nB!=1\n=2\nC=3\n  D='open\nE=1"),
        [
            ".env:1:1: error: a variable's name without = behind it (write NAME=value, or # before a comment)",
            ".env:2:1: error: unexpected character '!' in variable name",
            ".env:3:1: error: no variable name before the value",
            ".env:5:3: error: the quote ' of this value is not closed",
        ]
    );
}

#[test]
fn values_that_grow_beyond_bounds_are_refused() {
    let doubling = format!("A={}\n{}", "x".repeat(1000), "A=$A$A\n".repeat(40));
    assert!(complaints(&doubling)[0].contains("more than 1048576 bytes"));
    let wide = format!("A={}\nB={}", "x".repeat(100_000), "$A".repeat(450_000));
    assert!(complaints(&wide)[0].contains("more than 1048576 bytes"));
    let again = format!("A={}\n{}", "x".repeat(1_000_000), "B=$A$A\n".repeat(5000));
    assert_eq!(complaints(&again).len(), 3);
    let many = format!("A={}\n{}", "x".repeat(500_000), "B=$A\n".repeat(1000));
    assert!(complaints(&many)[0].contains("more than 4194304 bytes"));
}

#[test]
fn only_top_level_exports_of_a_script_count() {
    let script = "#!/bin/bash\nexport A_CONF_VERSION=v3\nexport B=\"v 1\" # why\nexport C='x;y'; export Z=1\nexport D=1 E=2\nexport  F=\n\
                  export G=$(date)\nexport H=\"unclosed\\\nexport PATH\nexported=1\nI=5\n\
                  f() {\n  export J=1\n  cat <<X\n{{ $k }}\nX\n}\nexport A_CONF_VERSION=v4\n";
    let found: Vec<_> = exports(script).into_iter().map(|(name, value)| name + "=" + &value).collect();
    assert_eq!(found, ["A_CONF_VERSION=v4", "B=v 1", "C=x;y", "D=1", "E=2", "F="]);
}

/// Each line as the Docker CLI sends it.
#[test]
fn env_files_are_read_verbatim() {
    let text = "\u{feff}# c\n  A=\"q\"\nB= x \nNOPE\nOUTER\nD=\n\u{a0}E=1\nF=a=b\r\n";
    let found = env_file(&"e.env".into(), text, &outer).unwrap();
    let shown: Vec<_> = found.into_iter().map(|(name, value)| name + "=" + &value).collect();
    assert_eq!(shown, ["A=\"q\"", "B= x ", "OUTER=from outside", "D=", "E=1", "F=a=b"]);
}

#[test]
fn all_faults_of_an_env_file_are_told() {
    let found = env_file(&"e.env".into(), "X Y=1\n  =x\nA=1\nC =\n", &outer).unwrap_err();
    assert_eq!(
        found.to_string(),
        "e.env:1:1: error: variable 'X Y' contains whitespaces\ne.env:2:3: error: no variable name before the =\n\
         e.env:4:1: error: variable 'C ' contains whitespaces"
    );
}

/// Takes minutes when any part of the line is looked at once per statement.
#[test]
fn a_long_line_of_many_statements_ends_quickly() {
    assert_eq!(a(&"A='".repeat(333_000)), "A=");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_the_readers_panic(text in "[A=:'\"\\\\$({} #\\n\\r]{0,40}|(export A=[v'\"$;]{0,4}\\n){0,3}|\\PC{0,20}") {
        let _ = read(&text);
        let _ = exports(&text);
        let _ = env_file(&"e.env".into(), &text, &outer);
    }

    #[test]
    fn a_single_quoted_value_is_itself(value in "[^'\\\\\r\u{feff}]{0,30}") {
        prop_assert_eq!(a(&format!("A='{value}'")), value);
    }
}
