//! The verdict on a stack: a pure function over what was observed.
