//! The order of one run: lock, read, converge, outcome.
