//! `generate`: man page and shell completions, for packages.

use clap::{Args, CommandFactory, ValueEnum};

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
}

pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let mut text = Vec::new();
    match arguments.what {
        What::Man => clap_mangen::Man::new(Cli::command()).render(&mut text)?,
        What::Bash => complete(clap_complete::Shell::Bash, &mut text),
        What::Fish => complete(clap_complete::Shell::Fish, &mut text),
        What::Zsh => complete(clap_complete::Shell::Zsh, &mut text),
    }
    super::write_out(&text);
    Ok(0)
}

fn complete(shell: clap_complete::Shell, text: &mut Vec<u8>) {
    clap_complete::generate(shell, &mut Cli::command(), "evenkeel", text);
}
