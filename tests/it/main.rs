//! Promises that need more than one module, or the machine.

mod engine;
mod recipes;
mod store;
