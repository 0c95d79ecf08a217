//! What the text readers promise for every text, as checks that panic.
//!
//! Each function takes what libFuzzer makes up (`targets/`); the integration tests give them the seeds and random
//! texts. Bytes that are no UTF-8 are refused before the readers see them, so that they are left out here.

mod compose;
mod env;
mod interpolation;
mod place;
mod values;
mod versions;
mod yaml;

pub use compose::compose;
pub use env::env;
pub use interpolation::interpolation;
pub use values::values;
pub use versions::versions;
pub use yaml::yaml;

pub type Check = fn(&[u8]);

/// Every check under the name of its target.
pub const CHECKS: [(&str, Check); 6] = [
    ("compose", compose),
    ("env", env),
    ("interpolation", interpolation),
    ("values", values),
    ("versions", versions),
    ("yaml", yaml),
];
