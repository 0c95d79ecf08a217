//! Promises that need more than one module, or the machine.

mod demo;
mod engine;
mod fixtures;
mod layers;
mod oracle;
mod recipes;
mod store;
