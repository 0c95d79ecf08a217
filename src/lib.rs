//! Evenkeel keeps the apps of a Docker Swarm host as declared.
//!
//! One run goes from left to right and is a chain of values:
//!
//! ```text
//! config.toml -> Declared -+                    Observed <- host::swarm
//!                          +-> Desired --------+    |
//! recipe at a commit ------+                   +-> Plan -> apply -> verdict -> gate -> Outcome
//! ```
//!
//! Everything that decides takes values and returns a value. Everything that acts lives in [`host`]. A file imports
//! from lower layers only (a test keeps that rule), so reading top to bottom never meets a surprise:
//!
//! | layer | modules | what lives there |
//! |---|---|---|
//! | 0 | [`model`], [`telemetry`] | the operator's words as types that parse |
//! | 1 | [`config`], [`recipe`], [`certificate`] | text to values, with file:line:column; reads no file |
//! | 2 | [`desired`] | an app and its recipe at a version as Engine API bodies |
//! | 3 | [`plan`], [`health`], [`policy`], `upgrade::{step, close, told, volumes, unclean}`, `warm::{step, close, ahead, registry}` | pure decisions |
//! | 4 | [`host`] | the outside, one file per thing |
//! | 5 | [`reconcile`], `upgrade::run`, `warm::run` | observe, plan, apply, gate; performing an upgrade, and what is done to a canonical |
//! | 6 | `upgrade::on_host` | what each act of an upgrade does here |
//! | 7 | `app::{proxy, live, drone, warm_keycloak}` | one reconciler per kind of app |
//! | 8 | [`app`] | the order of one run |
//! | 9 | [`cli`], [`demo`] | one file per verb; the story on a private Engine |

pub mod model;
pub mod telemetry;

pub mod certificate;
pub mod config;
pub mod recipe;

pub mod desired;

pub mod health;
pub mod plan;
pub mod policy;

pub mod host;

pub mod reconcile;

pub mod upgrade;

pub mod warm;

pub mod app;

pub mod cli;
pub mod demo;
