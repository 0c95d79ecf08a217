//! What the NixOS module makes of settings, as the files that a host gets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::power::host::Host;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
/// Where the units look for the program.
pub const PREFIX: &str = "/opt/evenkeel";

pub struct Rendered {
    dir: TempDir,
}

impl Rendered {
    /// The module with these settings, a NixOS module themselves.
    #[track_caller]
    pub fn of(settings: &str) -> Self {
        let rendered = Self { dir: tempfile::tempdir().unwrap() };
        let file = rendered.dir.path().join("settings.nix");
        fs::write(&file, settings).unwrap();
        let mut render = Command::new(Path::new(PROJECT).join("tests/nixos/render-units"));
        render.arg(rendered.root()).arg(Path::new(PROJECT).join("nix/module.nix")).arg(file);
        // It checks the configuration, as a build on NixOS would have it do.
        let program = concat!("evenkeel=", env!("CARGO_BIN_EXE_evenkeel"));
        render.args(["--package", &format!("evenkeel={PREFIX}"), "--program", program]);
        for runner in ["drone-runner-exec", "woodpecker-agent"] {
            render.args(["--package", &format!("{runner}=/opt/{runner}")]);
        }
        let output = render.output().unwrap();
        assert!(output.status.success(), "{}\n{settings}", String::from_utf8_lossy(&output.stderr));
        rendered
    }

    /// What lies here belongs below `/`.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Puts all of it where systemd finds it at its next look.
    pub fn install(&self, host: &Host) {
        ["etc", "nix"].iter().for_each(|folder| host.copy(&self.root().join(folder), "/"));
        host.shell("sync");
    }

    /// What a unit starts.
    pub fn command(&self, unit: &str) -> String {
        let text = &self.units()[unit];
        text.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a service starts something").to_owned()
    }

    /// Every file and link, by its path below `/`.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => found.push(Path::new("/").join(entry.path().strip_prefix(self.root()).unwrap())),
                }
            }
        }
        found.sort();
        found
    }

    /// The texts of units by their names; what is added to a unit of somebody else counts as its text.
    pub fn units(&self) -> BTreeMap<String, String> {
        let mut units = BTreeMap::new();
        for file in self.files() {
            let Ok(place) = file.strip_prefix("/etc/systemd/system") else { continue };
            let mut parts = place.iter().map(|part| part.to_string_lossy().into_owned());
            let first = parts.next().expect("a file has a name");
            let name = match first.strip_suffix(".d") {
                Some(name) => name.to_owned(),
                None if parts.next().is_none() => first,
                None => continue,
            };
            let path = self.root().join(file.strip_prefix("/").unwrap());
            // A link leads to a file that is not here: nothing, as for a unit that is masked.
            units.insert(name, fs::read_to_string(path).unwrap_or_default());
        }
        units
    }
}
