//! A compose file while it is put together: nested keys, and texts of YAML as their values.

#[derive(Clone, Default)]
pub struct File {
    root: Vec<(String, Node)>,
}

#[derive(Clone)]
enum Node {
    /// Written behind its key as it is.
    Text(String),
    Map(Vec<(String, Node)>),
}

impl File {
    /// Puts a value where the path says (keys with `/` between them), unless something else stands in its way.
    pub fn set(&mut self, path: &str, value: &str) {
        set(&mut self.root, path, value);
    }

    pub fn with(mut self, path: &str, value: &str) -> Self {
        self.set(path, value);
        self
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        write(&mut text, &self.root, 0);
        if text.is_empty() { "{}\n".to_owned() } else { text }
    }
}

fn set(entries: &mut Vec<(String, Node)>, path: &str, value: &str) {
    let (key, rest) = path.split_once('/').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let present = entries.iter().position(|(name, _)| name == key);
    match (present, rest) {
        (None, None) => entries.push((key.to_owned(), Node::Text(value.to_owned()))),
        (None, Some(rest)) => {
            let mut inner = Vec::new();
            set(&mut inner, rest, value);
            entries.push((key.to_owned(), Node::Map(inner)));
        }
        (Some(index), Some(rest)) => {
            if let Node::Map(inner) = &mut entries[index].1 {
                set(inner, rest, value);
            }
        }
        (Some(_), None) => {}
    }
}

fn write(text: &mut String, entries: &[(String, Node)], depth: usize) {
    let indent = "  ".repeat(depth);
    for (key, node) in entries {
        match node {
            Node::Text(value) => {
                let value = value.replace('\n', &format!("\n{indent}  "));
                text.push_str(&format!("{indent}{key}: {value}\n"));
            }
            Node::Map(inner) => {
                text.push_str(&format!("{indent}{key}:\n"));
                write(text, inner, depth + 1);
            }
        }
    }
}
