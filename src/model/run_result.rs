//! The result of a run, as a CI hands it over: one small JSON object.
//!
//! `{"schema": 1, "recipe": …, "version": …, "commit": …, "ref": …, "green": …, "cold": …}`, read strictly: a key that
//! nobody knows, one that is there twice and one that is missing are errors, and all of them are told with their places.
//! The border: what a result proves is decided in `policy::promotion`. The surprise: the version may be `null`, since a
//! commit that no tag names can be run, too.

use std::sync::Arc;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::diagnostic::{Diagnostic, Diagnostics, Place, nearest};
use super::version::{Commit, RecipeVersion};

pub const SCHEMA: u64 = 1;
/// Longer texts are no results.
pub const MAX_BYTES: usize = 64 << 10;
/// Longer names no git host stores.
const LONGEST: usize = 255;
/// Characters of a word of the file's that are shown.
const SHOWN: usize = 80;

const KEYS: [&str; 7] = ["schema", "recipe", "version", "commit", "ref", "green", "cold"];

/// What a run says that it has done, each word with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunResult {
    pub recipe: Placed<String>,
    /// `None`: what ran has no version.
    pub version: Placed<Option<RecipeVersion>>,
    pub commit: Placed<Commit>,
    /// The full name of what was built, as in `refs/tags/1.2.0+3.4`.
    pub git_ref: Placed<String>,
    pub green: Placed<bool>,
    pub cold: Placed<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    pub value: T,
    pub place: Place,
}

impl RunResult {
    /// Reads a result; `file` is the name under which findings are reported.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        let mut findings = Diagnostics::default();
        let result = Text::new(file, bytes).and_then(|text| text.entries()).map_err(|fault| findings.push(*fault));
        let read = result.ok().and_then(|entries| Reader { entries, findings: &mut findings }.result());
        match read {
            Some(result) if !findings.has_errors() => Ok(result),
            _ => Err(findings.in_order(&[])),
        }
    }
}

/// As much of a stranger's word as one can read, in quotes.
pub fn shown(word: &str) -> String {
    let short: String = word.chars().take(SHOWN).collect();
    let more = if short.len() < word.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

/// A text of JSON, and how its places are told.
struct Text<'t> {
    file: Arc<str>,
    text: &'t str,
}

/// The object, and its entries in their order.
struct Entries {
    place: Place,
    entries: Vec<Entry>,
}

struct Entry {
    key: Placed<String>,
    value: Placed<Value>,
}

type Fault = Box<Diagnostic>;

impl<'t> Text<'t> {
    fn new(file: &str, bytes: &'t [u8]) -> Result<Self, Fault> {
        let file: Arc<str> = file.into();
        let start = || Place::new(&file, 1, 1);
        if bytes.len() > MAX_BYTES {
            let message = format!("the file has {} bytes, more than the {MAX_BYTES} that are read", bytes.len());
            return Err(fault(start(), message, "a result is one small object; is it the right file?"));
        }
        let readable = |bytes| std::str::from_utf8(bytes).expect("it was looked at");
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { file, text }),
            Err(cause) => {
                let before = Self { file, text: readable(&bytes[..cause.valid_up_to()]) };
                Err(fault(before.place(before.text.len()), "is no UTF-8 text", "a result is written as JSON in UTF-8"))
            }
        }
    }

    fn place(&self, at: usize) -> Place {
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place::new(&self.file, to_u32(line), to_u32(column))
    }

    fn entries(&self) -> Result<Entries, Fault> {
        self.is_json()?;
        let start = self.next(0, "");
        if !self.text[start..].starts_with('{') {
            return Err(fault(self.place(start), "is no JSON object", &format!("its keys are {}", KEYS.join(", "))));
        }
        let mut entries = Vec::new();
        let mut at = self.next(start + 1, ",");
        while !self.text[at..].starts_with('}') {
            let (key, end) = self.read(at)?;
            let key = Placed { value: key, place: self.place(at) };
            at = self.next(end, ":");
            let (value, end) = self.read(at)?;
            entries.push(Entry { key, value: Placed { value, place: self.place(at) } });
            at = self.next(end, ",");
        }
        Ok(Entries { place: self.place(start), entries })
    }

    fn is_json(&self) -> Result<(), Fault> {
        let Err(cause) = serde_json::from_str::<IgnoredAny>(self.text) else { return Ok(()) };
        // Its columns count bytes, and that of an end that came too early is the last one.
        let line_start =
            self.text.split_inclusive('\n').take(cause.line().saturating_sub(1)).map(str::len).sum::<usize>();
        let at = (line_start + cause.column().saturating_sub(1)).min(self.text.len());
        let at = (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or_default();
        Err(fault(self.place(at), words(&cause), "a result is one JSON object and nothing else"))
    }

    /// Where the next word begins, beyond white space and at most these signs.
    fn next(&self, at: usize, signs: &str) -> usize {
        let rest = &self.text[at..];
        self.text.len() - rest.trim_start_matches(|c: char| " \n\r\t".contains(c) || signs.contains(c)).len()
    }

    /// The value that begins at `at`, and where it ends.
    fn read<T: DeserializeOwned>(&self, at: usize) -> Result<(T, usize), Fault> {
        let mut values = serde_json::Deserializer::from_str(&self.text[at..]).into_iter::<T>();
        match values.next() {
            Some(Ok(value)) => Ok((value, at + values.byte_offset())),
            Some(Err(cause)) => Err(fault(self.place(at), words(&cause), "write it as JSON has it")),
            None => Err(fault(self.place(at), "ends too early", "write it as JSON has it")),
        }
    }
}

/// What the JSON reader says, without the place that it means.
fn words(cause: &serde_json::Error) -> String {
    let said = cause.to_string();
    said.rsplit_once(" at line ").map_or(said.clone(), |(words, _)| words.to_owned())
}

fn fault(place: Place, message: impl Into<String>, hint: &str) -> Fault {
    Box::new(Diagnostic::error(place, message).hint(hint))
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Takes the entries apart. What is wrong is noted, and the rest is read as if the key were not there.
struct Reader<'f> {
    entries: Entries,
    findings: &'f mut Diagnostics,
}

impl Reader<'_> {
    fn result(mut self) -> Option<RunResult> {
        if self.is_newer() {
            return None;
        }
        self.note_keys();
        let recipe = self.text("recipe", "the recipe's name");
        let version = self.version();
        let commit = self.parsed("commit", "the commit's full id, 40 or 64 of the digits 0-9 and a-f");
        let git_ref = self.git_ref();
        let (green, cold) = (self.boolean("green"), self.boolean("cold"));
        Some(RunResult {
            recipe: recipe?,
            version: version?,
            commit: commit?,
            git_ref: git_ref?,
            green: green?,
            cold: cold?,
        })
    }

    /// Whether a newer program wrote it. Then no key is known, and nothing is said of them.
    fn is_newer(&mut self) -> bool {
        let Some(Placed { value, place }) = self.get("schema") else { return false };
        match value.as_u64() {
            Some(SCHEMA) => false,
            Some(newer) if newer > SCHEMA => {
                let hint = format!("schema {SCHEMA} is known here; write that one, or update evenkeel");
                self.note(&place, format!("schema {newer} is newer than this program"), &hint);
                true
            }
            _ => {
                self.note(&place, "schema: there is no such one", &format!("write {SCHEMA}"));
                false
            }
        }
    }

    fn note_keys(&mut self) {
        let mut seen: Vec<&str> = Vec::new();
        for Entry { key, .. } in &self.entries.entries {
            let word = key.value.as_str();
            let known = KEYS.contains(&word);
            let finding = match nearest(word, KEYS.into_iter()) {
                _ if known && seen.contains(&word) => {
                    fault(key.place.clone(), format!("{word} is there twice"), "leave one out")
                }
                _ if known => {
                    seen.push(word);
                    continue;
                }
                Some(near) => fault(key.place.clone(), unknown(word), &format!("did you mean {near:?}?")),
                None => fault(key.place.clone(), unknown(word), &format!("known here: {}", KEYS.join(", "))),
            };
            self.findings.push(*finding);
        }
        for missing in KEYS.into_iter().filter(|key| !seen.contains(key)) {
            let message = format!("{missing} is missing");
            let hint = format!("all of {} have to be there", KEYS.join(", "));
            self.findings.push(Diagnostic::error(self.entries.place.clone(), message).hint(hint));
        }
    }

    fn get(&self, key: &str) -> Option<Placed<Value>> {
        self.entries.entries.iter().find(|entry| entry.key.value == key).map(|entry| entry.value.clone())
    }

    fn note(&mut self, place: &Place, message: impl Into<String>, hint: &str) {
        self.findings.push(*fault(place.clone(), message, hint));
    }

    fn error<T>(&mut self, place: &Place, message: impl Into<String>, hint: &str) -> Option<T> {
        self.note(place, message, hint);
        None
    }

    /// The value is not shown: anything may have been put there by mistake.
    fn wrong_kind<T>(&mut self, key: &str, found: &Placed<Value>, wanted: &str) -> Option<T> {
        let kind = match found.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.error(&found.place, format!("{key}: expected {wanted}, found {kind}"), "write it so")
    }

    fn text(&mut self, key: &str, what: &str) -> Option<Placed<String>> {
        let found = self.get(key)?;
        let Value::String(text) = &found.value else { return self.wrong_kind(key, &found, "a string") };
        if text.is_empty() || text.len() > LONGEST || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            let message = format!("{key}: {} is no name", shown(text));
            return self.error(&found.place, message, &format!("{what}, without spaces, at most {LONGEST} bytes"));
        }
        Some(Placed { value: text.clone(), place: found.place })
    }

    fn parsed<T: std::str::FromStr>(&mut self, key: &str, what: &str) -> Option<Placed<T>> {
        let Placed { value, place } = self.text(key, what)?;
        match value.parse() {
            Ok(value) => Some(Placed { value, place }),
            Err(_) => self.error(&place, format!("{key}: {} is none", shown(&value)), what),
        }
    }

    fn version(&mut self) -> Option<Placed<Option<RecipeVersion>>> {
        let found = self.get("version")?;
        if found.value.is_null() {
            return Some(Placed { value: None, place: found.place });
        }
        let Placed { value, place } =
            self.parsed("version", "such as \"1.2.0+3.4\", or null for a commit without a tag")?;
        Some(Placed { value: Some(value), place })
    }

    fn git_ref(&mut self) -> Option<Placed<String>> {
        const WHAT: &str = "the full name, such as \"refs/tags/1.2.0+3.4\" or \"refs/heads/main\"";
        let found = self.text("ref", WHAT)?;
        if !found.value.starts_with("refs/") {
            // Without it, nobody can tell a branch from a tag.
            return self.error(&found.place, format!("ref: {} does not begin with refs/", shown(&found.value)), WHAT);
        }
        Some(found)
    }

    fn boolean(&mut self, key: &str) -> Option<Placed<bool>> {
        let found = self.get(key)?;
        match found.value {
            Value::Bool(value) => Some(Placed { value, place: found.place }),
            _ => self.wrong_kind(key, &found, "true or false"),
        }
    }
}

fn unknown(key: &str) -> String {
    format!("unknown key {}", shown(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn good() -> String {
        format!(
            "{{\n  \"schema\": 1,\n  \"recipe\": \"wiki\",\n  \"version\": \"1.2.0+3.4\",\n  \"commit\": \"{COMMIT}\",\n  \
             \"ref\": \"refs/tags/1.2.0+3.4\",\n  \"green\": true,\n\t\"cold\":false}}\n"
        )
    }

    fn told(text: impl AsRef<[u8]>) -> String {
        RunResult::parse("r", text.as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn a_result_is_read_with_the_place_of_each_word() {
        let read = RunResult::parse("r", good().as_bytes()).unwrap();
        assert_eq!((read.recipe.value.as_str(), read.recipe.place.to_string()), ("wiki", "r:3:13".to_owned()));
        assert_eq!(read.version.value, Some("1.2.0+3.4".parse().unwrap()));
        assert_eq!(read.version.place.to_string(), "r:4:14");
        assert_eq!(read.commit.value.as_str(), COMMIT);
        assert_eq!(read.git_ref.value, "refs/tags/1.2.0+3.4");
        assert!(read.green.value && !read.cold.value);
        assert_eq!(read.cold.place.to_string(), "r:8:9");
        let in_one_line = good().replace(['\n', '\t', ' '], "");
        let read = RunResult::parse("r", in_one_line.as_bytes()).unwrap();
        assert_eq!(read.recipe.place.to_string(), "r:1:22");
    }

    #[test]
    fn a_run_of_a_commit_that_has_no_tag_has_no_version() {
        let untagged = good().replace("\"1.2.0+3.4\"", "null").replace("tags/1.2.0+3.4", "heads/main");
        let read = RunResult::parse("r", untagged.as_bytes()).unwrap();
        assert_eq!((read.version.value, read.git_ref.value.as_str()), (None, "refs/heads/main"));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_its_place() {
        let text = "{\n\"schema\": \"1\", \"recipe\": \"wi ki\",\n\"verson\": \"1.2.0+3.4\",\n\"commit\": \"abc\",\n\
                    \"ref\": \"main\",\n\"ä\": {\"a\": [1]}, \"green\": \"yes\",\n\"cold\": true, \"cold\": false}";
        assert_eq!(
            told(text),
            "r:1:1: error: version is missing (all of schema, recipe, version, commit, ref, green, cold have to be there)\n\
             r:2:11: error: schema: there is no such one (write 1)\n\
             r:2:26: error: recipe: \"wi ki\" is no name (the recipe's name, without spaces, at most 255 bytes)\n\
             r:3:1: error: unknown key \"verson\" (did you mean \"version\"?)\n\
             r:4:11: error: commit: \"abc\" is none (the commit's full id, 40 or 64 of the digits 0-9 and a-f)\n\
             r:5:8: error: ref: \"main\" does not begin with refs/ (the full name, such as \"refs/tags/1.2.0+3.4\" or \
             \"refs/heads/main\")\n\
             r:6:1: error: unknown key \"ä\" (known here: schema, recipe, version, commit, ref, green, cold)\n\
             r:6:27: error: green: expected true or false, found a string (write it so)\n\
             r:7:15: error: cold is there twice (leave one out)"
        );
    }

    #[test]
    fn no_word_is_taken_for_another_kind() {
        let rows = [
            ("true,", "\"true\",", "r:7:12: error: green: expected true or false, found a string"),
            ("true,", "1,", "r:7:12: error: green: expected true or false, found a number"),
            ("true,", "null,", "r:7:12: error: green: expected true or false, found null"),
            ("\"1.2.0+3.4\"", "1.2", "r:4:14: error: version: expected a string, found a number"),
            ("\"1.2.0+3.4\"", "\"latest\"", "r:4:14: error: version: \"latest\" is none (such as"),
            ("\"1.2.0+3.4\"", "\"\"", "r:4:14: error: version: \"\" is no name"),
            ("\"wiki\"", "[\"wiki\"]", "r:3:13: error: recipe: expected a string, found a list"),
            ("aaaa\"", "aaaA\"", "r:5:13: error: commit: "),
            ("1,", "1.0,", "r:2:13: error: schema: there is no such one"),
            ("1,", "-1,", "r:2:13: error: schema: there is no such one"),
            ("refs/tags", "tags", "r:6:10: error: ref: \"tags/1.2.0+3.4\" does not begin with refs/"),
        ];
        for (right, wrong, expected) in rows {
            let told = told(good().replacen(right, wrong, 1));
            assert!(told.starts_with(expected) && told.lines().count() == 1, "{wrong}: {told}");
        }
    }

    #[test]
    fn what_a_newer_program_wrote_is_told_as_that_alone() {
        let newer = good().replace("1,", "2,").replace("recipe", "recipes");
        assert_eq!(
            told(newer),
            "r:2:13: error: schema 2 is newer than this program (schema 1 is known here; write that one, or update evenkeel)"
        );
    }

    #[test]
    fn what_is_no_json_object_is_told_where_it_breaks() {
        let rows: [(&[u8], &str); 12] = [
            (b"", "r:1:1: error: EOF while parsing a value"),
            (b" \n ", "r:2:1: error: EOF while parsing a value"),
            (b"[]", "r:1:1: error: is no JSON object"),
            (b"\n  null", "r:2:3: error: is no JSON object"),
            ("{\"ä\": tru}".as_bytes(), "r:1:10: error: expected ident"),
            (b"{\"a\": 1,}", "r:1:9: error: key must be a string"),
            (b"{\"a\": 1}\n{}", "r:2:1: error: trailing characters"),
            (b"{a: 1}", "r:1:2: error: key must be a string"),
            (b"{\"a\": \"\\ud800\"}", "r:1:7: error: "),
            (b"{\"a\": 1e999}", "r:1:7: error: number out of range"),
            (b"{\n\"a\": \"\xff\"}", "r:2:7: error: is no UTF-8 text"),
            (b"\xef\xbb\xbf{}", "r:1:1: error: expected value"),
        ];
        for (text, expected) in rows {
            let told = told(text);
            assert!(
                told.starts_with(expected) && told.lines().count() == 1,
                "{}: {told}",
                String::from_utf8_lossy(text)
            );
        }
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(told(deep).starts_with("r:1:7: error: recursion limit"));
        assert!(told(" ".repeat(MAX_BYTES + 1)).starts_with("r:1:1: error: the file has 65537 bytes"));
    }

    #[test]
    fn words_of_strangers_are_cut_and_move_no_cursor() {
        let told = told(good().replace("wiki", &format!("\\u001b[2J{}", "w".repeat(1000))));
        assert!(told.len() < 400 && !told.contains('\u{1b}'), "{told}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_more_than_refused(cut in 0..250usize, junk in ".{0,8}") {
            let text = good();
            let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let mangled = format!("{}{junk}{}", &text[..cut], &text[cut..]);
            if let Err(findings) = RunResult::parse("r", mangled.as_bytes()) {
                proptest::prop_assert!(findings.errors().all(|finding| finding.place.is_some()), "{findings}");
            }
            let _ = RunResult::parse("r", format!("{}{junk}", &text[..cut]).as_bytes());
        }
    }
}
