//! Which files a compose file names, for whoever has to read them before it can be read in earnest.

use super::{Source, document, take};
use crate::model::diagnostic::Diagnostics;
use crate::recipe::interpolate::{self, Environment};
use crate::recipe::yaml::Node;

/// Paths as the file writes them, with variables replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedFiles {
    /// `env_file:` of services.
    pub env_files: Vec<String>,
    /// `file:` of secrets and configs.
    pub objects: Vec<String>,
}

/// The files that a compose file names. A file that is wrong names what can be seen of it: what is wrong is told when
/// it is loaded.
pub fn named_files(source: &Source, environment: &Environment) -> NamedFiles {
    let mut told_later = Diagnostics::default();
    let Some(mut node) = document(source, &mut told_later) else { return NamedFiles::default() };
    interpolate::document(&mut node, environment, &mut told_later);
    let services = take::entries(node.get("services")).iter();
    let objects = ["secrets", "configs"].into_iter().flat_map(|section| take::entries(node.get(section)));
    let file = |node: &Node| node.get("file").and_then(Node::as_str).map(str::to_owned);
    NamedFiles {
        env_files: services.flat_map(|(_, service)| take::one_or_more(service, "env_file")).collect(),
        objects: objects.filter_map(|(_, object)| file(object)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_with_their_variables_replaced() {
        let text = "services:\n  a: {image: x, env_file: '/etc/${APP}.env'}\n  b: {image: x, env_file: [/e, f]}\n\
                    secrets: {s: {file: '/run/${APP}'}, t: {external: true}}\nconfigs: {c: {file: ./c}}\n";
        let source = Source { file: "/etc/extra.yml".into(), text: text.into() };
        let environment = [("APP".to_owned(), "wiki".to_owned())].into();
        let named = named_files(&source, &environment);
        assert_eq!(named.env_files, ["/etc/wiki.env", "/e", "f"]);
        assert_eq!(named.objects, ["/run/wiki", "./c"]);
    }

    #[test]
    fn a_file_that_is_wrong_names_what_can_be_seen() {
        for text in ["", "[1]", "services: 1", "a: [", "services: {a: {env_file: 7}}", "secrets: {s: {file: [x]}}"] {
            let source = Source { file: "x.yml".into(), text: text.into() };
            let NamedFiles { objects, .. } = named_files(&source, &Environment::new());
            assert!(objects.is_empty(), "{text}");
        }
    }
}
