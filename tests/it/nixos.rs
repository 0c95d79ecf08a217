//! The units of the NixOS module on a host that boots, where systemd starts them and nobody else does.
//!
//! A [`Machine`] has the very files that `nix/module.nix` makes of a test's settings, and beside them what a NixOS host has:
//! the program, recipes, images, certificate. A switch follows the rules of NixOS' own. The surprise: no test starts
//! what systemd would start by itself; where one needs a night to come, the timer is told another time.

mod away;
mod booting;
mod credentials;
mod during;
mod keeping_warm;
mod losing;
mod machine;
mod nights;
mod relaying;
mod rendered;
mod runner;
mod settings;
mod sweeping;
mod switching;

/// Apps answer below it.
const BASE: &str = "town.example";
const OLD: &str = "1.0.0+1";
const NEW: &str = "1.1.0+1";
const STATE_DIR: &str = evenkeel::config::DEFAULT_STATE_DIR;
const VOLUMES: &str = "/var/lib/docker/volumes";
/// Where a slow version of `wiki` looks whether it is well.
const WELL: &str = "/var/lib/docker/volumes/wiki_town_example_data/_data/well";
