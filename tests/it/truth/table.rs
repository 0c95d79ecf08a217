//! The table that people read.

use std::fmt::Write as _;
use std::time::Duration;

use super::facts::Fact;
use super::place::Printed;
use super::situation::Ours;
use crate::world::Said;

/// Columns of a cell; a terminal of 170 columns shows a row whole.
const WIDTHS: [usize; 4] = [27, 34, 46, 50];
const HEADINGS: [&str; 4] = ["situation", "what happened", "docker stack deploy", "evenkeel"];
/// What the table calls every stack.
const STACK: &str = "stack";

pub struct Row {
    pub name: &'static str,
    pub good: bool,
    pub facts: Vec<Fact>,
    pub waiting: Line,
    pub detached: Line,
    pub ours: Line,
    pub leaving: Vec<Fact>,
}

/// What one of them said.
pub struct Line {
    words: String,
    end: String,
    /// Whether it is the truth.
    answer: Answer,
    /// What keeps this row from being shown, or us from being right.
    wrong: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Right,
    Wrong,
    None,
}

impl Line {
    pub fn of_cli(printed: &Printed, stack: &str, good: bool, seconds: u32) -> Self {
        let answer = match printed.code {
            None => Answer::None,
            Some(code) if (code == 0) == good => Answer::Right,
            Some(_) => Answer::Wrong,
        };
        let end = printed.code.map_or_else(|| format!("no end after {seconds} s"), |code| format!("exit {code}"));
        Self { words: last_words(&printed.text).replace(stack, STACK), end, answer, wrong: None }
    }

    pub fn of_ours(said: &Said, stack: &str, wrong: Option<String>) -> Self {
        let words = said.out.trim().split_once(": ").map_or(said.out.trim(), |(_, outcome)| outcome);
        let words = words.replace(stack, STACK);
        let answer = if wrong.is_none() { Answer::Right } else { Answer::Wrong };
        Self { words, end: format!("exit {}", said.code), answer, wrong }
    }

    /// The situation did not come about.
    pub fn not_so(wrong: String) -> Self {
        Self { words: String::new(), end: "-".to_owned(), answer: Answer::Wrong, wrong: Some(wrong) }
    }
}

impl Ours {
    /// What of that is not what we have to say.
    pub fn differs_from(&self, said: &Said) -> Option<String> {
        let outcome = said.out.split_once(": ").map_or("", |(_, outcome)| outcome);
        let word = outcome.split([':', '\n']).next().unwrap_or_default();
        if (word, said.code) != (self.word, self.code) {
            return Some(format!("to say was {} with exit code {}: {said:?}", self.word, self.code));
        }
        let missing = self.words.iter().find(|words| !outcome.contains(**words))?;
        Some(format!("to say was {missing:?}: {said:?}"))
    }
}

impl Row {
    /// Why the row is wrong: the situation did not come about, or we did not tell the truth.
    pub fn wrong(&self) -> Option<String> {
        let lines = [("docker", &self.waiting), ("docker, detached", &self.detached), ("evenkeel", &self.ours)];
        let wrong: Vec<String> = lines
            .into_iter()
            .filter_map(|(who, line)| Some(format!("  {} ({who}): {}", self.name, line.wrong.as_ref()?)))
            .collect();
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    }
}

/// What matters of the progress that the Docker CLI prints: the last that it tells.
fn last_words(text: &str) -> String {
    let told: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    told.last().map_or_else(String::new, |line| (*line).to_owned())
}

pub fn printed(rows: &[Row], took: Duration) -> String {
    let mut text = String::new();
    rule(&mut text);
    line(&mut text, HEADINGS.map(|heading| vec![heading.to_owned()]), "right?");
    rule(&mut text);
    for row in rows {
        let happened = format!("{}: {}", if row.good { "good" } else { "bad" }, told(&row.facts));
        let cli = format!("{}: {}", row.waiting.end, row.waiting.words);
        let mut cli = wrapped(&cli, WIDTHS[2]);
        cli.push(format!("detached: {}", row.detached.end));
        let mut ours = wrapped(&format!("{}: {}", row.ours.end, row.ours.words), WIDTHS[3]);
        ours.extend(wrapped(&format!("left: {}", told(&row.leaving)), WIDTHS[3]));
        let cells = [wrapped(row.name, WIDTHS[0]), wrapped(&happened, WIDTHS[1]), cli, ours];
        line(&mut text, cells, if row.wrong().is_none() { "yes" } else { "NO" });
        rule(&mut text);
    }
    text.push_str(&sums(rows, took));
    text
}

fn sums(rows: &[Row], took: Duration) -> String {
    let count = |line: fn(&Row) -> &Line, answer| rows.iter().filter(|row| line(row).answer == answer).count();
    let of = |name: &str, line: fn(&Row) -> &Line| {
        let [right, wrong, none] = [Answer::Right, Answer::Wrong, Answer::None].map(|answer| count(line, answer));
        format!("{name:<36}{right:>5} right {wrong:>5} wrong {none:>5} no answer\n")
    };
    format!(
        "{} situations in {} s\n{}{}{}",
        rows.len(),
        took.as_secs(),
        of("docker stack deploy --detach=false", |row| &row.waiting),
        of("docker stack deploy", |row| &row.detached),
        of("evenkeel app", |row| &row.ours)
    )
}

fn told(facts: &[Fact]) -> String {
    facts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn rule(text: &mut String) {
    let dashes = WIDTHS.map(|width| "-".repeat(width + 2));
    writeln!(text, "+{}+{}+", dashes.join("+"), "-".repeat(8)).expect("a text takes any line");
}

fn line(text: &mut String, cells: [Vec<String>; 4], right: &str) {
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    for number in 0..height {
        for (cell, width) in cells.iter().zip(WIDTHS) {
            let part = cell.get(number).map_or("", String::as_str);
            write!(text, "| {part:<width$} ").expect("a text takes any cell");
        }
        writeln!(text, "| {:<6} |", if number == 0 { right } else { "" }).expect("a text takes any line");
    }
}

/// Lines of at most `width` characters, broken at blanks where there are any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        for piece in word.chars().collect::<Vec<_>>().chunks(width) {
            let last = lines.last_mut().expect("there is a first line");
            let used = last.chars().count();
            let piece: String = piece.iter().collect();
            match used {
                0 => last.push_str(&piece),
                _ if used + 1 + piece.chars().count() <= width => {
                    last.push(' ');
                    last.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines
}

#[test]
fn a_cell_is_never_wider_than_its_column() {
    let text = "sha256:0123456789012345678901234567890123456789 is one word, and others are short";
    let lines = wrapped(text, 20);
    assert!(lines.iter().all(|line| line.chars().count() <= 20), "{lines:?}");
    assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
}
