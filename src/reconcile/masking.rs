//! Secrets in what is told: logs, health checks, tasks' errors. All of it is kept, shown and sent on.
//!
//! What is hidden is found as it stands: passwords as the app writes them in some other way are not known here. The
//! surprise: a log's line may have been cut in the middle of a password, so the beginning of one is hidden at the end of
//! a text, too.

use std::ops::Range;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::model::secret::Hidden;
use crate::plan::diff::sounds_secret;

/// A line of a secret below this length is found in any text.
const SHORTEST_LINE: usize = 5;
/// A variable's value that is shorter (`false`, `enabled`) is a setting.
const SHORTEST_VALUE: usize = 8;
const INSTEAD: &str = "[secret]";
/// What the log of a service puts where it cuts a line.
const CUT: char = '…';

/// What must not be repeated.
#[derive(Default)]
pub struct Masking {
    secrets: Vec<SecretString>,
}

impl Masking {
    /// Every line of a secret.
    pub fn secret(&mut self, text: &str) {
        self.add(text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE));
    }

    /// The variables of a service's spec: those that are secrets by their names, those that the operator's files give,
    /// and the logins within URLs. Where nobody knows what the files give, any may be one of theirs.
    pub fn variables_of(&mut self, spec: &Value, hidden: Option<&Hidden>) {
        let env = spec.pointer("/TaskTemplate/ContainerSpec/Env").and_then(Value::as_array);
        let variables = env.into_iter().flatten().filter_map(|variable| variable.as_str()?.split_once('='));
        for (name, value) in variables {
            let is_hidden = hidden.is_none_or(|hidden| hidden.hides(name, value));
            if (is_hidden || sounds_secret(name)) && value.len() >= SHORTEST_VALUE {
                self.add(value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_VALUE));
            }
            self.add(passwords_of_urls(value).into_iter().filter(|password| password.len() >= SHORTEST_LINE));
        }
    }

    pub fn values(&mut self, hidden: &Hidden) {
        self.add(hidden.values());
    }

    fn add<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        self.secrets.extend(texts.into_iter().map(SecretString::from));
    }

    /// The text without any of it, and without the login of any URL.
    pub fn over(&self, text: &str) -> String {
        let mut found: Vec<Range<usize>> = logins(text);
        for secret in self.secrets.iter().map(|secret| secret.expose_secret()) {
            found.extend(text.match_indices(secret).map(|(at, _)| at..at + secret.len()));
            found.extend(cut_short(text, secret));
        }
        without(text, found)
    }
}

/// Where a secret's beginning ends a text that was cut.
fn cut_short(text: &str, secret: &str) -> Option<Range<usize>> {
    let kept = text.strip_suffix(CUT)?;
    let beginnings = secret.char_indices().map(|(end, _)| &secret[..end]).rev();
    let longest = beginnings.take_while(|beginning| beginning.len() >= SHORTEST_LINE).find(|it| kept.ends_with(*it))?;
    Some(kept.len() - longest.len()..kept.len())
}

/// Secrets may overlap: what is left of one tells a part of it.
fn without(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_by_key(|range| range.start);
    let (mut told, mut end) = (String::new(), 0);
    for range in found {
        if range.start >= end && !range.is_empty() {
            told.push_str(&text[end..range.start]);
            told.push_str(INSTEAD);
        }
        end = end.max(range.end);
    }
    told + &text[end..]
}

/// Where the logins of a text's URLs stand, `user:password` of `scheme://user:password@host`. A password that was not
/// encoded may have a slash in it; a port is none.
fn logins(text: &str) -> Vec<Range<usize>> {
    let begins = text.match_indices("://").map(|(at, mark)| at + mark.len());
    begins.filter_map(|begin| Some(begin..begin + login(&text[begin..])?)).collect()
}

fn login(rest: &str) -> Option<usize> {
    let word = rest.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')).next()?;
    // Another URL of the same word, as in a list, has its own.
    let word = word.split("://").next()?;
    let host_ends = word.find(['/', '?', '#']).unwrap_or(word.len());
    if let Some(end) = word[..host_ends].rfind('@') {
        return Some(end);
    }
    let (_, port) = word[..host_ends].split_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port { None } else { word.rfind('@') }
}

/// As they stand there, and as whoever reads the URL has them.
fn passwords_of_urls(text: &str) -> Vec<&str> {
    let logins = logins(text).into_iter().map(|login| &text[login]);
    logins.filter_map(|login| Some(login.split_once(':')?.1)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn spec(env: &[String]) -> Value {
        json!({"TaskTemplate": {"ContainerSpec": {"Env": env}}})
    }

    fn masking(env: &[&str], files: &[(&str, &str)]) -> Masking {
        let env: Vec<String> = env.iter().map(|&variable| variable.to_owned()).collect();
        let hidden = Hidden::new(files.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut masking = Masking::default();
        masking.variables_of(&spec(&env), Some(&hidden));
        masking.values(&hidden);
        masking
    }

    #[test]
    fn a_password_in_a_variable_is_not_repeated() {
        let env = [
            "SMTP_PASSWORD=hunter2hunter2",
            "DB_PASSWORD_FILE=/run/secrets/db",
            "USE_TOKENS=false",
            "LANG=en_GB.UTF-8",
            "API_TOKEN=hunter2hunter2-and-more",
            "DATABASE_URL=postgres://wiki:correct-horse@db/wiki",
        ];
        let line = "hunter2hunter2-and-more hunter2hunter2 /run/secrets/db false en_GB.UTF-8 pw=correct-horse";
        assert_eq!(masking(&env, &[]).over(line), "[secret] [secret] /run/secrets/db false en_GB.UTF-8 pw=[secret]");
    }

    #[test]
    fn what_the_operators_files_give_is_not_repeated_under_any_name() {
        let masking =
            masking(&["GREETING=from-my-file", "OTHER=in the open"], &[("X", "file-value-1"), ("GREETING", "")]);
        assert_eq!(masking.over("file-value-1, from-my-file, in the open"), "[secret], [secret], in the open");
        let mut unknown = Masking::default();
        unknown.variables_of(&spec(&["GREETING=from-my-file".into(), "N=12".into()]), None);
        assert_eq!(unknown.over("from-my-file 12"), "[secret] 12");
    }

    #[test]
    fn of_a_url_the_login_is_not_repeated() {
        let masking = Masking::default();
        let told = [
            ("dial postgres://wiki:s3cr3t@db:5432/w?x=1: refused", "dial postgres://[secret]@db:5432/w?x=1: refused"),
            ("\"amqp://u:p@ss@mq\" and redis://:pw@r/0", "\"amqp://[secret]@mq\" and redis://[secret]@r/0"),
            ("mysql://u:a/b?c#d@db/x", "mysql://[secret]@db/x"),
            ("https://tok3n@git.example.org/x.git", "https://[secret]@git.example.org/x.git"),
            ("a=http://u:p@h,b=http://v:q@i", "a=http://[secret]@h,b=http://[secret]@i"),
            ("https://example.org:8443/@someone", "https://example.org:8443/@someone"),
            ("https://example.org/@someone?a=b@c", "https://example.org/@someone?a=b@c"),
            ("GET https://example.org/ answers 502; mail a@b.c", "GET https://example.org/ answers 502; mail a@b.c"),
            ("http://", "http://"),
        ];
        told.iter().for_each(|(line, wanted)| assert_eq!(masking.over(line), *wanted));
    }

    #[test]
    fn neither_the_rest_of_one_nor_the_beginning_of_a_cut_one_is_told() {
        let masking = masking(&["A_SECRET=abcdefgh1234", "B_SECRET=1234stuvwxyz"], &[]);
        assert_eq!(masking.over("x abcdefgh1234stuvwxyz y"), "x [secret] y");
        assert_eq!(masking.over("x abcdefg…"), "x [secret]…");
        assert_eq!(masking.over("x abcd…"), "x abcd…");
    }

    proptest! {
        /// However it came to the app, and whatever the app writes around it.
        #[test]
        fn no_told_text_holds_a_secret(
            password in "[A-Za-z0-9!%+,./=@_~é-]{8,40}",
            before in ".{0,30}",
            after in ".{0,30}",
            way in 0..5_usize,
        ) {
            let url = format!("postgres://wiki:{}@db.example.org/wiki", password.replace(['/', '@'], "-"));
            let (named, plain) = (format!("WIKI_PASSWORD={password}"), format!("SETTING={password}"));
            let whole = ["Z=1", named.as_str(), plain.as_str(), "Z=1", "Z=1"][way];
            let in_url = format!("DATABASE_URL={url}");
            let mut masking = match way {
                2 => masking(&[whole], &[("SETTING", "")]),
                3 => masking(&[whole], &[("SETTING", password.as_str())]),
                4 => masking(&[whole, &in_url], &[]),
                _ => masking(&[whole], &[]),
            };
            let secret = if way == 4 { password.replace(['/', '@'], "-") } else { password };
            if way == 0 {
                masking.secret(&format!("\n{secret}\n"));
            }
            let line = format!("{before}{secret}{after} {url} {secret}{secret}");
            let told = masking.over(&line);
            prop_assert!(!told.contains(&secret), "{}", told);
        }
    }
}
