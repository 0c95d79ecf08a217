//! The file with an API's token.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use secrecy::SecretString;

use crate::config::MEND_FILE;

/// Everybody else's right to read.
const FOR_ALL: u32 = 0o004;
/// No API's token is nearly as long.
const LONGEST: u64 = 8 * 1024;

/// The one line of a file.
///
/// # Errors
/// The sentence for the operator; never what is in the file.
pub fn read(path: &Path) -> Result<SecretString, String> {
    let told = |what: &str| format!("the token's file {} (builds.token) {what}; {MEND_FILE}", path.display());
    let unread = |error: std::io::Error| told(&format!("cannot be read: {error}"));
    let metadata = fs::metadata(path).map_err(unread)?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(told(&format!("is no file of at most {LONGEST} bytes")));
    }
    let text = fs::read_to_string(path).map_err(unread)?;
    let line = text.trim_start_matches('\u{feff}').trim();
    let is_token = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(line.to_owned().into()) } else { Err(told("is not one line with a token")) }
}

/// A word on a file that everybody may read.
pub fn is_open(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.mode() & 0o7777;
    let told = || format!("everybody may read the token's file {0} (mode {mode:04o}); chmod 0600 {0}", path.display());
    (mode & FOR_ALL != 0).then(told)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_without_a_token_is_told_by_its_path_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(read(&path).unwrap_err().contains("cannot be read: No such file"));
        for wrong in ["", "\n", "one\ntwo", "with blank", "ümlaut"] {
            fs::write(&path, wrong).unwrap();
            let told = read(&path).unwrap_err();
            assert!(told.contains(&format!("{} (builds.token) is not one line", path.display())), "{told}");
            assert!(wrong.trim().is_empty() || !told.contains(wrong), "{told}");
        }
        fs::write(&path, "\u{feff}t0ken\r\n").unwrap();
        use secrecy::ExposeSecret as _;
        assert_eq!(read(&path).unwrap().expose_secret(), "t0ken");
    }

    #[test]
    fn nothing_else_than_a_small_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let long = folder.path().join("long");
        fs::write(&long, "x".repeat(8193)).unwrap();
        for path in [pipe.as_path(), folder.path(), &long] {
            let told = read(path).unwrap_err();
            assert!(told.contains("is no file of at most 8192 bytes"), "{told}");
        }
    }

    #[test]
    fn a_file_that_everybody_may_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "t0ken").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(is_open(&path), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_open(&path).unwrap().contains("(mode 0644); chmod 0600"));
    }
}
