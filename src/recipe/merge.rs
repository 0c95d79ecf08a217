//! Several compose files as one, by the rules of the Docker CLI.
