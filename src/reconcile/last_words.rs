//! Which lines of a failing service's log are told.
//!
//! The last ones, and before them those that name an error: many a program ends its log with what to do about it, or with a
//! stack of causes, and names what went wrong a few lines earlier.

/// So many of the last lines are told, whatever they say.
const LAST: usize = 3;
/// And so many more that name an error.
const ERRORS: usize = 3;
/// So many lines are looked at.
pub const READ: usize = 40;

/// What an error is called in a log, in lower case.
const NAMES: [&str; 5] = ["error", "fatal", "exception", "panic", "failed"];

/// Of the last lines of a log those that are told, in their order, each once.
pub fn told(mut lines: Vec<String>) -> Vec<String> {
    lines.dedup();
    let last = lines.split_off(lines.len().saturating_sub(LAST));
    let mut errors: Vec<String> =
        lines.into_iter().filter(|line| names_an_error(line) && !last.contains(line)).collect();
    errors.dedup();
    let mut told = errors.split_off(errors.len().saturating_sub(ERRORS));
    told.extend(last);
    told
}

fn names_an_error(line: &str) -> bool {
    let line = line.to_lowercase();
    NAMES.iter().any(|name| line.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Vec<String> {
        told(lines.iter().map(|line| (*line).to_owned()).collect())
    }

    #[test]
    fn what_went_wrong_is_told_though_more_is_written_after_it() {
        let log = [
            "INFO starting",
            "INFO migrating",
            "ERROR: Migration failed for changeset 25.0.0",
            "INFO rolling back",
            "For more details use --verbose",
            "See also --help",
            "Bye",
        ];
        let told = [
            "ERROR: Migration failed for changeset 25.0.0",
            "For more details use --verbose",
            "See also --help",
            "Bye",
        ];
        assert_eq!(of(&log), told);
    }

    #[test]
    fn the_last_lines_are_told_whatever_they_say_and_of_many_errors_the_last() {
        assert_eq!(of(&[]), [""; 0]);
        assert_eq!(of(&["a", "b"]), ["a", "b"]);
        assert_eq!(of(&["a", "b", "c", "d"]), ["b", "c", "d"]);
        let errors = ["error 1", "error 2", "error 3", "error 4", "x", "y", "z"];
        assert_eq!(of(&errors), ["error 2", "error 3", "error 4", "x", "y", "z"]);
    }

    #[test]
    fn what_is_said_at_each_start_is_told_once() {
        assert_eq!(of(&["no such file", "no such file", "no such file"]), ["no such file"]);
        assert_eq!(of(&["fatal: a", "b", "fatal: a", "b"]), ["b", "fatal: a", "b"]);
    }
}
