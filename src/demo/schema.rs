//! The file in which the demo's app keeps its notes: a schema number, then one note a line.
//!
//! A version reads its own schema and migrates an older one. It reads no newer one, as apps do: whoever goes back to an
//! older version needs the older file too.

use std::path::Path;
use std::{fs, io};

use anyhow::{Context, Result, ensure};

/// Its name in the app's volume.
pub const FILE: &str = "notes.txt";

/// Makes the file, or migrates it, so that it has this schema.
///
/// # Errors
/// Where the file has a newer schema, none at all, or cannot be read or written.
pub fn keep(file: &Path, schema: u16) -> Result<()> {
    let shown = file.display();
    let found = match fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        Err(cause) => return Err(cause).with_context(|| format!("read {shown}")),
    };
    let kept = migrated(found.as_deref(), schema).with_context(|| format!("open {shown}"))?;
    if found.as_ref() == Some(&kept) {
        return Ok(());
    }
    fs::write(file, kept).with_context(|| format!("write {shown}"))?;
    println!("{shown} has schema {schema} now");
    Ok(())
}

/// The file in this schema. From schema 2 on, every note begins with its number.
fn migrated(file: Option<&str>, schema: u16) -> Result<String> {
    let Some(file) = file else { return Ok(format!("schema {schema}\n")) };
    let (first, notes) = file.split_once('\n').context("it has no first line")?;
    let number = first.strip_prefix("schema ").and_then(|number| number.parse::<u16>().ok());
    let found = number.with_context(|| format!("{first:?} names no schema"))?;
    ensure!(found <= schema, "it has schema {found}, and this version reads none after {schema}");
    if found == schema || schema < 2 {
        return Ok(file.to_owned());
    }
    let notes: String = notes.lines().zip(1..).map(|(note, number)| format!("{number}: {note}\n")).collect();
    Ok(format!("schema {schema}\n{notes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "schema 1\nwater the plants\ncall Ada\n";
    const SECOND: &str = "schema 2\n1: water the plants\n2: call Ada\n";

    #[test]
    fn a_newer_version_migrates_the_notes_and_the_older_one_reads_them_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        keep(&file, 1).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "schema 1\n");

        fs::write(&file, FIRST).unwrap();
        keep(&file, 1).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), FIRST);
        for _ in ["migrated", "read as it is"] {
            keep(&file, 2).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), SECOND);
        }

        let refused = format!("{:#}", keep(&file, 1).unwrap_err());
        assert!(refused.contains("it has schema 2, and this version reads none after 1"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), SECOND);
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        for odd in ["", "schema two\n", "water the plants\n"] {
            assert!(migrated(Some(odd), 2).is_err(), "{odd:?}");
        }
    }
}
