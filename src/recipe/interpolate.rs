//! `${VAR}` in compose values, with the quirks of the Docker CLI.
