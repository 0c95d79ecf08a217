//! `registry/name:tag@digest`, as far as this program has to take it apart.

use std::str::FromStr;

/// The parts of an image reference, each as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// With the registry, without tag and digest.
    pub name: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

/// The text is no image reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an image reference")]
pub struct NotAReference;

impl FromStr for Reference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let legal = |part: &str, more: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let path_is_plain = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let legal_digest = |digest: &str| digest.contains(':') && legal(digest, ":+-_.");
        if legal(name, "-_./:")
            && path_is_plain
            && tag.is_none_or(|tag| legal(tag, "-_."))
            && digest.is_none_or(legal_digest)
        {
            let owned = |part: Option<&str>| part.map(str::to_owned);
            return Ok(Self { name: name.to_owned(), tag: owned(tag), digest: owned(digest) });
        }
        Err(NotAReference)
    }
}

/// Whether the text is the id of an image, which no registry knows.
pub fn is_id(text: &str) -> bool {
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    text.strip_prefix("sha256:").is_some_and(is_hash)
}

impl Reference {
    /// The tag or digest to pull: without one, a pull would fetch every tag there is.
    pub fn version(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }

    /// The text by which an Engine finds it: with a digest, the tag says nothing.
    pub fn lookup(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name),
            None => format!("{}:{}", self.name, self.version()),
        }
    }

    /// `name:tag@digest`, with this digest.
    pub fn with_digest(&self, digest: &str) -> String {
        match (&self.tag, &self.digest) {
            (None, Some(_)) => format!("{}@{digest}", self.name),
            (tag, _) => format!("{}:{}@{digest}", self.name, tag.as_deref().unwrap_or("latest")),
        }
    }

    /// The registry's host: what has a dot, a port or is `localhost` before the first slash, else Docker Hub.
    pub fn registry(&self) -> &str {
        match self.name.split_once('/') {
            Some(("index.docker.io", _)) => "docker.io",
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
            _ => "docker.io",
        }
    }

    /// The name by which its registry knows it.
    pub fn repository(&self) -> String {
        match self.registry() {
            "docker.io" if !self.familiar().contains('/') => format!("library/{}", self.familiar()),
            "docker.io" => self.familiar().to_owned(),
            host => self.name[host.len()..].trim_start_matches('/').to_owned(),
        }
    }

    /// The name as Engines print it: Docker Hub goes without saying.
    pub fn familiar(&self) -> &str {
        let short = self.name.strip_prefix("docker.io/").or_else(|| self.name.strip_prefix("index.docker.io/"));
        let short = short.unwrap_or(&self.name);
        short.strip_prefix("library/").unwrap_or(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn parts_are_told_apart() {
        let table = [
            ("nginx", "docker.io", "nginx", "nginx:latest"),
            ("nginx:1.27", "docker.io", "nginx", "nginx:1.27"),
            ("docker.io/library/nginx:1", "docker.io", "nginx", "docker.io/library/nginx:1"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000", "127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
            ("localhost/app:2", "localhost", "localhost/app", "localhost/app:2"),
            ("ghcr.io/a/b:1@sha256:ff", "ghcr.io", "ghcr.io/a/b", "ghcr.io/a/b@sha256:ff"),
            ("keycloak/keycloak:26.7", "docker.io", "keycloak/keycloak", "keycloak/keycloak:26.7"),
        ];
        for (text, registry, familiar, lookup) in table {
            let reference = reference(text);
            let seen = (reference.registry(), reference.familiar(), reference.lookup());
            assert_eq!(seen, (registry, familiar, lookup.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_digest_pins_and_replaces_an_older_one() {
        assert_eq!(reference("a:1").with_digest("sha256:ff"), "a:1@sha256:ff");
        assert_eq!(reference("a").with_digest("sha256:ff"), "a:latest@sha256:ff");
        assert_eq!(reference("a:1@sha256:00").with_digest("sha256:ff"), "a:1@sha256:ff");
        assert_eq!(reference("a@sha256:00").with_digest("sha256:ff"), "a@sha256:ff");
    }

    #[test]
    fn what_could_leave_the_path_of_a_url_is_refused() {
        for text in ["", ":", "a b", "a?x=1", "a#b", "../../info", "a//b", "/a", "a:", "a@", "a@sha256", "ä"] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
