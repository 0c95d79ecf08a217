//! Which variables of a container are secrets that stand in plain sight.

/// Last words of names whose values are secrets.
const SECRETS: &[&str] = &["PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "PWD", "PW", "SECRET", "TOKEN", "KEY", "APIKEY"];

/// Last words that say so only with another word before them.
const VAGUE: &[&str] = &["PASS", "PWD", "PW", "KEY"];

/// With one of these before it, or `PUBLIC` anywhere, a key is none of a lock's.
const OTHER_KEYS: &[&str] = &["PUB", "SITE", "PRIMARY", "FOREIGN", "SORT", "PARTITION", "CACHE", "CLIENT"];

/// What stands for yes, no and nothing.
const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "none", "null"];

/// Whether a variable of that name with that value gives a secret away. Paths, switches and small numbers do not, and an
/// address does with a password in it.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    (is_named_so(name) && !is_harmless(value)) || has_password(value)
}

fn is_named_so(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(['_', '-', '.']).collect();
    let (Some(last), before) = (words.last(), words.iter().rev().nth(1)) else { return false };
    if name.ends_with("SECRET_KEY_BASE") {
        return true;
    }
    if !SECRETS.contains(last) || words.contains(&"PUBLIC") || (VAGUE.contains(last) && before.is_none()) {
        return false;
    }
    *last != "KEY" || before.is_some_and(|before| !OTHER_KEYS.contains(before))
}

fn is_harmless(value: &str) -> bool {
    let value = value.trim();
    value.is_empty()
        || value.starts_with(['/', '.'])
        || value.starts_with("file:")
        || value.contains("/run/secrets/")
        || value.contains("{{")
        || WORDS.contains(&value.to_ascii_lowercase().as_str())
        || (value.len() <= 4 && value.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `scheme://user:password@host`
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user).unwrap_or_default();
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn secrets_are_known_by_name_and_value() {
        let secrets = [
            ("DB_PASSWORD", "hunter2"),
            ("MYSQL_ROOT_PASSWORD", "wordpress"),
            ("password", "p"),
            ("SMTP_PASS", "p"),
            ("ADMIN_PW", "p"),
            ("JWT_SECRET", "x"),
            ("GITHUB_TOKEN", "ghp_1"),
            ("TOKEN", "12345678"),
            ("MEILI_MASTER_KEY", "k"),
            ("AWS_SECRET_ACCESS_KEY", "k"),
            ("SECRET_KEY_BASE", "k"),
            ("DATABASE_URL", "postgres://app:hunter2@db/app"),
            ("SMTP_URL", "smtp://a%40b:p@mail:25"),
        ];
        for (name, value) in secrets {
            assert!(is_secret(name, value), "{name}={value}");
        }
    }

    #[test]
    fn what_only_looks_like_a_secret_is_none() {
        let harmless = [
            ("DB_PASSWORD", ""),
            ("DB_PASSWORD", "/run/secrets/db_password"),
            ("DB_PASSWORD_FILE", "/run/secrets/db_password"),
            ("TLS_KEY", "/etc/tls/key.pem"),
            ("SSH_HOST_KEY", "./keys/host"),
            ("SECRET_DB_PASSWORD_VERSION", "v1"),
            ("SECRET_KEY_BASE_FILE", "x"),
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("KEY", "sort"),
            ("PWD", "app"),
            ("VAPID_PUBLIC_KEY", "B"),
            ("SSH_PUBLIC_HOST_KEY", "ssh-ed25519"),
            ("RECAPTCHA_SITE_KEY", "s"),
            ("REQUIRE_TOKEN", "true"),
            ("MIN_PASS", "8"),
            ("ADMIN_PASSWORD", "{{ secret \"admin\" }}"),
            ("COMPASS", "north"),
            ("KEYBOARD", "de"),
            ("TOKEN_LIFETIME", "3600s"),
            ("URL", "https://user@example.org/a:b@c"),
            ("URL", "https://example.org:8443/"),
        ];
        for (name, value) in harmless {
            assert!(!is_secret(name, value), "{name}={value}");
        }
    }
}
