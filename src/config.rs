//! The operator's configuration: text to `Declared`, every mistake at once.
