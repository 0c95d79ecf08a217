//! Small notations inside compose values: durations, sizes, ports, shell words, image references, capabilities.
//!
//! Each function reads one notation as the Docker CLI does and words a refusal as it does, so that what an operator
//! finds about the message elsewhere still helps.

mod capabilities;
mod duration;
mod image;
mod number;
mod ports;
mod quantity;
mod shell;

pub use capabilities::{Capabilities, capabilities};
pub use duration::duration;
pub use image::image_reference;
pub use number::float;
pub use ports::{Port, ports};
pub use quantity::{bytes, nano_cpus};
pub use shell::shell_words;
