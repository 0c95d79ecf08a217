//! Small notations inside compose values: durations, sizes, ports, shell words, image references.
