//! The outside, one file per thing. Nothing here decides.

pub mod alerts;
pub mod builds;
pub mod command;
pub mod copying;
pub mod disks;
pub mod ending;
pub mod engine;
pub mod gnu_tar;
pub mod handing_over;
pub mod images;
pub mod itself;
pub mod keycloak;
pub mod metrics;
pub mod nights;
pub mod probe;
pub mod progress;
pub mod recipes;
pub mod snapshots;
pub mod store;
pub mod swarm;
pub mod volumes;
pub mod who;
