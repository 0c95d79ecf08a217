//! Image references, as people write them.

const HUB: &str = "docker.io";
const LONGEST_NAME: usize = 255;

/// The reference in the short form in which a service holds it: without Docker Hub's domain and `library/`, with
/// `:latest` where neither tag nor digest is given; a bare image id stays as it is.
///
/// # Errors
/// What the Docker CLI says behind `invalid image reference for service a: `.
pub fn image_reference(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("no image specified".to_owned());
    }
    if is_image_id(text) {
        return Ok(text.to_owned());
    }
    familiar(text).map_err(|refusal| match refusal {
        Refusal::Format => "invalid reference format".to_owned(),
        Refusal::Uppercase(name) => format!("invalid reference format: repository name ({name}) must be lowercase"),
        Refusal::TooLong => format!("repository name must not be more than {LONGEST_NAME} characters"),
        Refusal::Digest(why) => why.to_owned(),
    })
}

enum Refusal {
    Format,
    Uppercase(String),
    TooLong,
    Digest(&'static str),
}

/// 64 hexadecimal digits, with or without `sha256:`.
fn is_image_id(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    digits.len() == 64 && digits.bytes().all(is_lower_hex)
}

fn familiar(text: &str) -> Result<String, Refusal> {
    let (domain, remainder) = split_domain(text);
    let lower_part = remainder.split(':').next().unwrap_or_default();
    if lower_part.chars().any(char::is_uppercase) && !lower_part.contains('@') {
        return Err(Refusal::Uppercase(lower_part.to_owned()));
    }
    let (named, digest) = match remainder.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (remainder.as_str(), None),
    };
    let (path, tag) = match named.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (named, None),
    };
    if !is_domain(domain) || !path.split('/').all(is_path_component) || !tag.is_none_or(is_tag) {
        return Err(Refusal::Format);
    }
    digest.map_or(Ok(()), check_digest)?;
    if path.len() > LONGEST_NAME {
        return Err(Refusal::TooLong);
    }
    let path = if domain == HUB { short_path(path).to_owned() } else { format!("{domain}/{path}") };
    Ok(match (tag, digest) {
        (None, None) => format!("{path}:latest"),
        (Some(tag), None) => format!("{path}:{tag}"),
        (None, Some(digest)) => format!("{path}@{digest}"),
        (Some(tag), Some(digest)) => format!("{path}:{tag}@{digest}"),
    })
}

/// The registry and the rest. The first part is a registry when it looks like a host: a dot, a port, an upper-case
/// letter, or `localhost`.
fn split_domain(text: &str) -> (&str, String) {
    let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first;
    let (domain, remainder) = match text.split_once('/') {
        Some(("index.docker.io", remainder)) => (HUB, remainder),
        Some((first, remainder)) if is_host(first) => (first, remainder),
        _ => (HUB, text),
    };
    let official = domain == HUB && !remainder.contains('/');
    (domain, if official { format!("library/{remainder}") } else { remainder.to_owned() })
}

fn short_path(path: &str) -> &str {
    path.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(path)
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_v6 = |inner: &str| !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    v6.map_or_else(|| host.split('.').all(is_label), is_v6) && port.is_none_or(is_port)
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Lower-case words joined by `.`, `_`, `__` or any number of `-`.
fn is_path_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|part| !part.is_empty());
    let is_separator = |part: &str| matches!(part, "." | "_" | "__") || part.bytes().all(|byte| byte == b'-');
    let ends_in_word = |byte: Option<u8>| byte.is_some_and(is_word);
    ends_in_word(text.bytes().next()) && ends_in_word(text.bytes().last()) && separators.into_iter().all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn check_digest(text: &str) -> Result<(), Refusal> {
    let (algorithm, digits) = text.split_once(':').ok_or(Refusal::Format)?;
    if digits.len() < 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || !is_algorithm(algorithm) {
        return Err(Refusal::Format);
    }
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(Refusal::Digest("unsupported digest algorithm")),
    };
    if digits.len() != length {
        return Err(Refusal::Digest("invalid checksum digest length"));
    }
    if digits.bytes().all(is_lower_hex) { Ok(()) } else { Err(Refusal::Digest("invalid checksum digest format")) }
}

fn is_algorithm(text: &str) -> bool {
    text.split(['-', '_', '+', '.']).all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each line as the Docker CLI sends it.
    #[test]
    fn references_take_the_form_in_which_services_hold_them() {
        let id = "a".repeat(64);
        let digest = format!("sha256:{id}");
        let table = [
            ("demo".to_owned(), "demo:latest".to_owned()),
            ("docker.io/library/demo:1".to_owned(), "demo:1".to_owned()),
            ("docker.io/demo".to_owned(), "demo:latest".to_owned()),
            ("library/demo".to_owned(), "demo:latest".to_owned()),
            ("docker.io/library/a/b".to_owned(), "library/a/b:latest".to_owned()),
            ("index.docker.io/foo/bar".to_owned(), "foo/bar:latest".to_owned()),
            ("registry-1.docker.io/library/a".to_owned(), "registry-1.docker.io/library/a:latest".to_owned()),
            ("localhost/foo".to_owned(), "localhost/foo:latest".to_owned()),
            ("localhost:5000/foo:1".to_owned(), "localhost:5000/foo:1".to_owned()),
            ("[::1]:5000/a".to_owned(), "[::1]:5000/a:latest".to_owned()),
            ("FOO/bar".to_owned(), "FOO/bar:latest".to_owned()),
            ("a__b".to_owned(), "a__b:latest".to_owned()),
            ("a--b".to_owned(), "a--b:latest".to_owned()),
            (format!("demo@{digest}"), format!("demo@{digest}")),
            (format!("docker.io/library/demo:1@{digest}"), format!("demo:1@{digest}")),
            (id.clone(), id.clone()),
            (format!("docker.io/{id}"), format!("{id}:latest")),
        ];
        for (text, expected) in table {
            assert_eq!(image_reference(&text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn references_that_the_cli_refuses_are_refused_in_its_words() {
        let upper = |name: &str| format!("invalid reference format: repository name ({name}) must be lowercase");
        let table = [
            ("X".to_owned(), upper("library/X")),
            ("foo/Bar:x".to_owned(), upper("foo/Bar")),
            ("foo.com/Bar".to_owned(), upper("Bar")),
            (format!("a/{}", "b".repeat(256)), "repository name must not be more than 255 characters".to_owned()),
            (format!("demo@md5:{}", "a".repeat(64)), "unsupported digest algorithm".to_owned()),
            (format!("demo@sha256:{}", "A".repeat(64)), "invalid checksum digest format".to_owned()),
            (format!("demo@sha512:{}", "a".repeat(64)), "invalid checksum digest length".to_owned()),
            (String::new(), "no image specified".to_owned()),
        ];
        for (text, expected) in table {
            assert_eq!(image_reference(&text), Err(expected), "{text}");
        }
        for text in ["x:", "demo@sha256:abc", "a___b", "demo: x", "a.b-/c", "foo/", "demo:-a", "a.-b", "a b", "/a", "é"]
        {
            assert_eq!(image_reference(text), Err("invalid reference format".to_owned()), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn the_short_form_of_a_short_form_is_itself(text in "[a-z]{1,5}(\\.[a-z]{2}/)?(/[a-z_.-]{1,5})?(:[a-z0-9.]{1,4})?|\\PC{0,9}") {
            if let Ok(short) = image_reference(&text) {
                prop_assert_eq!(image_reference(&short), Ok(short));
            }
        }
    }
}
