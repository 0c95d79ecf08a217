//! The readers of `.env`, `abra.sh` and the files behind `env_file:`.

use std::fmt::Write as _;

use evenkeel::recipe::env::{MAX_BYTES, MAX_VALUES_BYTES, Variable, env_file, exports, parse};

use super::place::Lines;

/// Names are unique, values stay within their bounds, and a file that quotes them is read as the same variables.
pub fn env(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    dot_env(text);
    shell_exports(text);
    verbatim(text);
}

fn outer(name: &str) -> Option<String> {
    (name == "OUTER").then(|| "from outside $OUTER".to_owned())
}

fn dot_env(text: &str) {
    let lines = Lines::of(text);
    let variables = match parse(&".env".into(), text, &outer) {
        Ok(variables) => variables,
        Err(errors) => {
            assert!(errors.has_errors());
            return lines.have_all(&errors);
        }
    };
    assert!(variables.iter().all(|variable| variable.value.len() <= MAX_BYTES && lines.have(&variable.place)));
    assert!(variables.iter().map(|variable| variable.value.len()).sum::<usize>() <= MAX_VALUES_BYTES);
    let mut names: Vec<&str> = variables.iter().map(|variable| variable.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");

    let written: String = variables.iter().map(quoted).collect();
    if written.len() <= MAX_BYTES {
        let reread = parse(&".env".into(), &written, &|_| None).unwrap_or_else(|errors| panic!("{written}\n{errors}"));
        let pairs = |variables: &[Variable]| -> Vec<(String, String)> {
            variables.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect()
        };
        assert_eq!(pairs(&variables), pairs(&reread), "{written}");
    }
}

fn quoted(variable: &Variable) -> String {
    let mut line = format!("export {}=\"", variable.name);
    for character in variable.value.chars() {
        match character {
            '\r' => line.push_str("\\r"),
            '"' | '\\' | '$' => line.extend(['\\', character]),
            other => line.push(other),
        }
    }
    line.write_str("\"\n").expect("a string takes all");
    line
}

fn shell_exports(text: &str) {
    for (name, value) in exports(text) {
        assert!(name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) && !name.is_empty(), "{name:?}");
        assert!(!value.contains(['$', '`', '\n']), "{value:?}");
    }
}

fn verbatim(text: &str) {
    let lines = Lines::of(text);
    match env_file(&"e.env".into(), text, &outer) {
        Ok(variables) => {
            for (name, value) in variables {
                assert!(!name.is_empty() && !name.contains([' ', '\t', '=', '\n']), "{name:?}");
                assert!(!value.contains('\n'), "{value:?}");
            }
        }
        Err(errors) => lines.have_all(&errors),
    }
}
