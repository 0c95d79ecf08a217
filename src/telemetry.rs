//! The log: journald under systemd, stderr for a person.
