//! `alerts failed`: what `OnFailure=` of the units starts. Tells of what no run could tell of itself.

use std::path::Path;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use jiff::Timestamp;

use crate::app::telling;
use crate::cli::{answer, world};
use crate::config;
use crate::host::alerts::tell_of;
use crate::host::store::Store;
use crate::policy::failing::Failure;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The unit that has failed; `.service` may be left out.
    #[arg(value_name = "UNIT", value_parser = NonEmptyStringValueParser::new())]
    unit: String,
}

/// A configuration that cannot be read may be the very reason why the unit has failed: then the state directory is the
/// one that none names.
pub fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<u8> {
    let failure = Failure::new(&arguments.unit, |name| std::env::var(name).ok());
    let declared = world::declared_silently(config);
    if failure.is_told(declared.is_some()) {
        answer(&format!("{}: its run has told already\n", failure.unit()));
        return Ok(0);
    }
    let state_dir = declared.map_or_else(|| config::DEFAULT_STATE_DIR.into(), |declared| declared.state_dir);
    let store = Store::open(state_dir)?;
    let words = match tell_of(&store, &failure, Timestamp::now())? {
        true => "an alert is written",
        false => "the same was told within a day",
    };
    answer(&format!("{}: {words}\n", failure.unit()));
    telling::recount(&store);
    Ok(0)
}
