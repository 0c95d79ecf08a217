//! The runner's environment file: what its lines are, and which secrets can stand in one.
//!
//! Three programs read it, with three minds about quotes: godotenv 1.3 in Drone's exec runner, godotenv 1.5 in Woodpecker's
//! agent, and systemd (`EnvironmentFile=`). So only what all of them read the same way is written: one line each, the value
//! in single quotes, in which nothing means anything; and a secret with a character that could end them is refused.

use super::ci::{Ci, Runner};
use super::secret::SecretBytes;

/// For whoever opens it.
const HEAD: &str = "# Written by evenkeel for the runner; changes are overwritten.\n";

/// Why a secret cannot be shared with a runner. Tells nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSayable {
    #[error("holds nothing but line ends; put the secret into it")]
    Empty,
    #[error("has more than one line, and the runner's environment file takes one; put a secret of one line into it")]
    Lines,
    #[error("begins or ends with a space, which is lost on its way; put a secret without one into it")]
    Space,
    #[error(
        "has a character that not every reader of the runner's environment file takes for itself ({0}); make one of letters \
         and digits, such as `openssl rand -hex 16` does"
    )]
    Character(&'static str),
}

/// The secret as server and runner both know it: line ends at its end are no part of it, since recipes read it as a shell
/// does.
///
/// # Errors
/// What keeps it from being told a runner.
pub fn shared(bytes: &SecretBytes) -> Result<&str, NotSayable> {
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| NotSayable::Character("no UTF-8"))?;
    let secret = text.trim_end_matches('\n');
    if secret.is_empty() {
        return Err(NotSayable::Empty);
    }
    if secret.starts_with(' ') || secret.ends_with(' ') {
        return Err(NotSayable::Space);
    }
    match secret.chars().find(|c| !matches!(c, ' '..='~') || matches!(c, '\'' | '"' | '\\')) {
        None => Ok(secret),
        Some('\n') => Err(NotSayable::Lines),
        Some('\'' | '"') => Err(NotSayable::Character("a quote")),
        Some('\\') => Err(NotSayable::Character("a backslash")),
        Some(c) if c.is_ascii() => Err(NotSayable::Character("a control character")),
        Some(_) => Err(NotSayable::Character("none of ASCII")),
    }
}

/// The whole file, for a secret that [`shared`] gave. No other value of it has a character that is not one of a host name
/// or a word.
pub fn file(ci: &Ci, runner: Runner<'_>) -> SecretBytes {
    let lines = ci.runner_variables(runner).into_iter().map(|(name, value)| format!("{name}='{value}'\n"));
    SecretBytes::new(std::iter::once(HEAD.to_owned()).chain(lines).collect::<String>().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ci::ENGINES;

    fn secret(text: &[u8]) -> SecretBytes {
        SecretBytes::new(text.to_vec())
    }

    #[test]
    fn a_secret_is_what_a_shell_would_read_from_its_file() {
        for (bytes, text) in
            [(&b"s3cret"[..], "s3cret"), (b"s3cret\n", "s3cret"), (b"a #$b=:!{}`~\n\n", "a #$b=:!{}`~")]
        {
            assert_eq!(shared(&secret(bytes)), Ok(text));
        }
    }

    #[test]
    fn what_a_reader_would_take_for_something_else_is_refused_without_being_shown() {
        let rows: [(&[u8], &str); 12] = [
            (b"", "nothing but line ends"),
            (b"\n\n", "nothing but line ends"),
            (b"hunter2\nDRONE_RPC_HOST=evil", "more than one line"),
            (b"hunter2 ", "ends with a space"),
            (b" hunter2\n", "ends with a space"),
            (b"hunter'2", "a quote"),
            (b"hunter\"2", "a quote"),
            (b"hunter2\\", "a backslash"),
            (b"hunter2\r\n", "a control character"),
            (b"hunter\x002", "a control character"),
            ("hünter2".as_bytes(), "none of ASCII"),
            (b"hunter\xff2", "no UTF-8"),
        ];
        for (bytes, why) in rows {
            let told = shared(&secret(bytes)).unwrap_err().to_string();
            assert!(told.contains(why) && !told.contains("unter"), "{told}");
        }
    }

    #[test]
    fn the_file_of_each_engine_is_the_written_one() {
        for (word, engine) in ENGINES {
            let runner = Runner { server: "drone.ci.example.org", secret: "5e0c4b-#$", capacity: 1 };
            let file = file(engine.ci(), runner);
            insta::assert_snapshot!(format!("runner.env_{word}"), std::str::from_utf8(file.expose()).unwrap());
        }
    }
}
