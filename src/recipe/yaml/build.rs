//! Parser events to nodes: anchors, merge keys, unique string keys, bounds.
//!
//! The nesting lives on a stack of our own and is bounded, so no text can exhaust the thread's.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::spelling::{End, Spelling};
use super::{FileName, Key, MAX_DEPTH, MAX_EXPANDED_BYTES, MAX_KEY_BYTES, MAX_NODES, Node, Value, at, scalar};
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};

pub(super) fn document(file: &FileName, text: &str) -> Result<Node, Diagnostics> {
    let mut spelling = Spelling::new(text);
    loop {
        match Builder::new(file, &spelling).document() {
            Ok(node) => return Ok(node),
            Err(Stopped { unreadable: Some(error), .. }) if spelling.mend(&error) => {}
            Err(stopped) => return Err(stopped.found),
        }
    }
}

/// Why there is no document: all that was found, and the last of it once more where that was the parser's.
struct Stopped {
    found: Diagnostics,
    unreadable: Option<ScanError>,
}

enum Fatal {
    Parser(ScanError),
    Told(Diagnostic),
}

impl From<Diagnostic> for Fatal {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Told(diagnostic)
    }
}

struct Builder<'a> {
    file: &'a FileName,
    spelling: &'a Spelling<'a>,
    end: End,
    diagnostics: Diagnostics,
    open: Vec<Collection>,
    anchors: HashMap<usize, Built>,
    nodes: usize,
    bytes: usize,
    root: Option<Node>,
}

/// A finished node and what a copy of it would cost.
#[derive(Clone)]
struct Built {
    node: Node,
    nodes: usize,
    bytes: usize,
    /// Levels of collections in it.
    depth: usize,
    is_merge: bool,
    is_alias: bool,
}

/// A mapping of fewer keys is searched faster than hashed.
const FEW: usize = 16;

/// A sequence or mapping that is not closed yet.
struct Collection {
    place: Place,
    anchor: usize,
    content: Content,
    nodes: usize,
    bytes: usize,
    depth: usize,
}

enum Content {
    Seq(Vec<Node>),
    Map(Mapping),
}

#[derive(Default)]
struct Mapping {
    entries: Vec<(Key, Node)>,
    /// Of the first entries, once there are many.
    keys: HashMap<String, Place>,
    merged: Vec<Node>,
    next: Next,
}

/// What the next node of a mapping is.
#[derive(Default)]
enum Next {
    #[default]
    Key,
    ValueOf(Key),
    Merged,
    /// The value of a key that was refused.
    Dropped,
}

impl<'a> Builder<'a> {
    fn new(file: &'a FileName, spelling: &'a Spelling<'a>) -> Self {
        Self {
            file,
            spelling,
            end: End::of(spelling.text()),
            diagnostics: Diagnostics::default(),
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            bytes: 0,
            root: None,
        }
    }

    fn document(mut self) -> Result<Node, Stopped> {
        let unreadable = match self.read() {
            Ok(()) => None,
            Err(Fatal::Told(diagnostic)) => {
                self.diagnostics.push(diagnostic);
                None
            }
            Err(Fatal::Parser(error)) => {
                self.diagnostics.push(self.unreadable(&error));
                Some(error)
            }
        };
        if self.diagnostics.has_errors() {
            return Err(Stopped { found: self.diagnostics, unreadable });
        }
        Ok(self.root.unwrap_or_else(|| Node::new(Value::Null, Place::new(self.file, 1, 1))))
    }

    /// Reads the first document; an error ends the reading.
    fn read(&mut self) -> Result<(), Fatal> {
        let mut parser = Parser::new_from_str(self.spelling.text());
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(Fatal::Parser)?;
            let place = self.place(&span.start);
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let text = self.as_go_ends_it(&text, style, &span);
                    let node = match scalar::resolve(text, style, tag.as_deref()) {
                        Ok(value) => scalar_node(value, text, place),
                        Err(message) => {
                            self.diagnostics.push(Diagnostic::error(place.clone(), message));
                            Node::new(Value::Null, place)
                        }
                    };
                    let is_merge = scalar::is_merge(text, style, tag.as_deref());
                    let bytes = text.len();
                    self.finish(anchor, Built { node, nodes: 1, bytes, depth: 0, is_merge, is_alias: false })?;
                }
                Event::SequenceStart(anchor, _) => self.enter(place, anchor, Content::Seq(Vec::new()))?,
                Event::MappingStart(anchor, _) => self.enter(place, anchor, Content::Map(Mapping::default()))?,
                Event::SequenceEnd | Event::MappingEnd => self.leave()?,
                Event::Alias(anchor) => self.alias(anchor, place)?,
                Event::DocumentEnd => return Ok(()),
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
            }
        }
        Ok(())
    }

    /// A block scalar without the line end that the parser adds behind a text that has none.
    fn as_go_ends_it<'t>(&self, text: &'t str, style: ScalarStyle, span: &Span) -> &'t str {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        match text.strip_suffix('\n') {
            Some(shorter) if is_block && self.end.is_inside_a_line_of(span) => shorter,
            _ => text,
        }
    }

    fn place(&self, marker: &Marker) -> Place {
        let column = self.spelling.given_column(marker.line().saturating_sub(1), marker.col());
        Place::new(self.file, at(marker.line()), at(column + 1))
    }

    fn unreadable(&self, error: &ScanError) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.place(error.marker()), format!("not YAML: {}", error.info()));
        match error.info() {
            info if info.contains("tab") => diagnostic.hint("indent with spaces"),
            info if info.contains("must be followed by a valid YAML whitespace") => diagnostic.hint("a space, no tab"),
            _ => diagnostic,
        }
    }

    fn enter(&mut self, place: Place, anchor: usize, content: Content) -> Result<(), Diagnostic> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.open.push(Collection { place, anchor, content, nodes: 1, bytes: 0, depth: 1 });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Diagnostic> {
        let closed = self.open.pop().expect("the parser closes only what it opened");
        let value = match closed.content {
            Content::Seq(items) => Value::Seq(items),
            Content::Map(mapping) => Value::Map(self.merge(mapping)),
        };
        let node = Node::new(value, closed.place);
        let Collection { nodes, bytes, depth, .. } = closed;
        let built = Built { node, nodes, bytes, depth, is_merge: false, is_alias: false };
        // The content was counted when it came.
        self.nodes -= closed.nodes - 1;
        self.bytes -= closed.bytes;
        self.finish(closed.anchor, built)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Diagnostic> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(Diagnostic::error(place, "the anchor of this alias contains the alias itself"));
        };
        self.affordable(target.nodes, target.bytes, &place)?;
        if self.open.len() + target.depth > MAX_DEPTH {
            return Err(too_deep(place));
        }
        let built = Built { is_merge: false, is_alias: true, ..target.clone() };
        self.finish(0, built)
    }

    fn affordable(&self, nodes: usize, bytes: usize, place: &Place) -> Result<(), Diagnostic> {
        if self.nodes + nodes > MAX_NODES || self.bytes + bytes > MAX_EXPANDED_BYTES {
            let message =
                format!("more than {MAX_NODES} nodes or {MAX_EXPANDED_BYTES} bytes with all aliases replaced");
            return Err(Diagnostic::error(place.clone(), message));
        }
        Ok(())
    }

    /// Puts a node where it belongs: under its anchor, and into the collection that is open.
    fn finish(&mut self, anchor: usize, built: Built) -> Result<(), Diagnostic> {
        self.affordable(built.nodes, built.bytes, &built.node.place)?;
        self.nodes += built.nodes;
        self.bytes += built.bytes;
        if anchor > 0 {
            self.affordable(built.nodes, built.bytes, &built.node.place)?;
            self.nodes += built.nodes;
            self.bytes += built.bytes;
            self.anchors.insert(anchor, built.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(built.node);
            return Ok(());
        };
        parent.nodes += built.nodes;
        parent.bytes += built.bytes;
        parent.depth = parent.depth.max(built.depth + 1);
        match &mut parent.content {
            Content::Seq(items) => items.push(built.node),
            Content::Map(mapping) => mapping.take(built, &mut self.diagnostics),
        }
        Ok(())
    }

    /// The mapping's entries with the merged ones behind: its own keys win, then those of earlier mappings.
    fn merge(&mut self, mapping: Mapping) -> Vec<(Key, Node)> {
        let mut entries = mapping.entries;
        if mapping.merged.is_empty() {
            return entries;
        }
        let mut keys: HashSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
        for source in mapping.merged.into_iter().flat_map(sources) {
            let Value::Map(merged) = source.value else {
                self.diagnostics.push(no_merge(source.place));
                continue;
            };
            entries.extend(merged.into_iter().filter(|(key, _)| keys.insert(key.text.clone())));
        }
        entries
    }
}

impl Mapping {
    fn take(&mut self, built: Built, diagnostics: &mut Diagnostics) {
        match std::mem::take(&mut self.next) {
            Next::Key => self.next = self.key(built, diagnostics),
            Next::ValueOf(key) => self.entries.push((key, built.node)),
            // A list may be written here, but not stand behind an alias.
            Next::Merged if built.is_alias && matches!(built.node.value, Value::Seq(_)) => {
                diagnostics.push(no_merge(built.node.place));
            }
            Next::Merged => self.merged.push(built.node),
            Next::Dropped => {}
        }
    }

    /// Where the mapping has this key already: few are looked through, many are found by their hashes.
    fn first(&mut self, key: &str) -> Option<&Place> {
        if self.entries.len() < FEW {
            return self.entries.iter().find(|(own, _)| own.text == key).map(|(own, _)| &own.place);
        }
        let new = &self.entries[self.keys.len()..];
        self.keys.extend(new.iter().map(|(own, _)| (own.text.clone(), own.place.clone())));
        self.keys.get(key)
    }

    fn key(&mut self, built: Built, diagnostics: &mut Diagnostics) -> Next {
        let place = built.node.place;
        let Value::String(text) = built.node.value else {
            let message = format!("a key must be a string, not {}", kind(&built.node.value));
            diagnostics.push(Diagnostic::error(place, message).hint("put quotes around it"));
            return Next::Dropped;
        };
        if text.len() > MAX_KEY_BYTES {
            let message = format!("a key of {} bytes, more than the {MAX_KEY_BYTES} that are read", text.len());
            diagnostics.push(Diagnostic::error(place, message));
            return Next::Dropped;
        }
        if let Some(first) = self.first(&text) {
            let message = format!("mapping key {text:?} already defined at line {}", first.line);
            diagnostics.push(Diagnostic::error(place, message));
            return Next::Dropped;
        }
        if built.is_merge {
            return if self.merged.is_empty() { Next::Merged } else { duplicate_merge(place, diagnostics) };
        }
        Next::ValueOf(Key { text, place })
    }
}

fn no_merge(place: Place) -> Diagnostic {
    Diagnostic::error(place, "map merge requires map or sequence of maps as the value")
}

fn duplicate_merge(place: Place, diagnostics: &mut Diagnostics) -> Next {
    let diagnostic = Diagnostic::error(place, "mapping key \"<<\" already defined");
    diagnostics.push(diagnostic.hint("merge several mappings as a list: <<: [*a, *b]"));
    Next::Dropped
}

fn scalar_node(value: Value, text: &str, place: Place) -> Node {
    let source = (!matches!(value, Value::String(_))).then(|| text.into());
    Node { value, place, source }
}

/// What a merge key names: one mapping, or several in a list.
fn sources(node: Node) -> Vec<Node> {
    match node.value {
        Value::Seq(items) => items,
        _ => vec![node],
    }
}

fn too_deep(place: Place) -> Diagnostic {
    Diagnostic::error(place, format!("more than {MAX_DEPTH} levels of mappings and lists inside each other"))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Uint(_) | Value::Float(_) => "a number",
        Value::Time(_) => "a date",
        Value::String(_) => "a string",
        Value::Seq(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}
