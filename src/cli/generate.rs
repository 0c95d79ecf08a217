//! `generate`: man page and shell completions, for packages; JSON schemas of what programs read.

use std::io::Write as _;

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::Cli;

#[derive(Debug, Args)]
pub struct Arguments {
    /// What to print.
    what: What,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    Man,
    Bash,
    Fish,
    Zsh,
    /// The JSON schema of `plan --json`.
    PlanSchema,
    /// The JSON schema of `status --json`.
    StatusSchema,
    /// The JSON schema of `check --json`.
    CheckSchema,
    /// The JSON schema of `render --json`.
    RenderSchema,
    /// The JSON schema of `snapshot list --json`.
    SnapshotsSchema,
    /// The JSON schema of `history --json`.
    HistorySchema,
    /// The JSON schema of `alerts list --json`.
    AlertsSchema,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let mut text = Vec::new();
    match arguments.what {
        What::Man => page(&mut text)?,
        What::Bash => complete(clap_complete::Shell::Bash, &mut text),
        What::Fish => complete(clap_complete::Shell::Fish, &mut text),
        What::Zsh => complete(clap_complete::Shell::Zsh, &mut text),
        What::PlanSchema => text.extend(include_bytes!("schema/plan.json")),
        What::StatusSchema => text.extend(include_bytes!("schema/status.json")),
        What::CheckSchema => text.extend(include_bytes!("schema/check.json")),
        What::RenderSchema => text.extend(include_bytes!("schema/render.json")),
        What::SnapshotsSchema => text.extend(include_bytes!("schema/snapshots.json")),
        What::HistorySchema => text.extend(include_bytes!("schema/history.json")),
        What::AlertsSchema => text.extend(include_bytes!("schema/alerts.json")),
    }
    super::write_out(&text);
    Ok(0)
}

/// One page with a chapter for each verb: a reader has one place to search.
fn page(text: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut command = Cli::command();
    command.build();
    let top = Man::new(command.clone());
    top.render_title(text)?;
    top.render_name_section(text)?;
    top.render_synopsis_section(text)?;
    top.render_description_section(text)?;
    top.render_options_section(text)?;
    after_help(&command, "SH", text)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        chapter(verb, text)?;
    }
    Ok(())
}

/// A verb, and the verbs below it. What would be sections of a page of its own are subsections here.
fn chapter(verb: &Command, text: &mut Vec<u8>) -> anyhow::Result<()> {
    let name = verb.get_bin_name().unwrap_or(verb.get_name()).to_owned();
    writeln!(text, ".SH \"{}\"", name.to_uppercase())?;
    let man = Man::new(verb.clone());
    let mut sections = Vec::new();
    man.render_description_section(&mut sections)?;
    man.render_synopsis_section(&mut sections)?;
    man.render_options_section(&mut sections)?;
    text.write_all(String::from_utf8(sections)?.replace(".SH ", ".SS ").as_bytes())?;
    after_help(verb, "SS", text)?;
    for below in verb.get_subcommands().filter(|below| below.get_name() != "help") {
        chapter(below, text)?;
    }
    Ok(())
}

/// What stands below the options in the help, line by line as it stands there; each paragraph's first line is a heading.
fn after_help(command: &Command, heading: &str, text: &mut Vec<u8>) -> anyhow::Result<()> {
    let told = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string).unwrap_or_default();
    for (title, lines) in told.split("\n\n").filter_map(|paragraph| paragraph.split_once(":\n")) {
        let mut section = Roff::new();
        section.control(heading, [title.to_uppercase().as_str()]).control("nf", []);
        for line in lines.lines() {
            section.text([roman(line)]);
        }
        section.control("fi", []).to_writer(text)?;
    }
    Ok(())
}

fn complete(shell: clap_complete::Shell, text: &mut Vec<u8>) {
    clap_complete::generate(shell, &mut Cli::command(), "evenkeel", text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_verb_with_its_options_and_points_nowhere_else() {
        let mut text = Vec::new();
        page(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for chapter in ["EVENKEEL APP", "EVENKEEL PLAN", "EVENKEEL SECRET SHOW", "EVENKEEL RENDER"] {
            assert!(text.contains(&format!(".SH \"{chapter}\"")), "{chapter} in {text}");
        }
        assert!(text.contains("retry") && !text.contains("(1)\n.TP"), "{text}");
        for (heading, line) in
            [("SH ENVIRONMENT", "  EVENKEEL_LOG "), ("SS EXAMPLES", "  evenkeel app wiki \\-\\-retry")]
        {
            assert!(text.contains(&format!(".{heading}\n.nf\n")) && text.contains(line), "{heading} in {text}");
        }
        assert!(!text.contains("EXTRA"), "{text}");
        assert!(!text.contains("evenkeel\\-app(1)"), "{text}");
    }
}
