//! The declared certificate: what it covers, until when, and whether the key is its own.
