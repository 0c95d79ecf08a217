//! Promises that need more than one module, or the machine.

mod recipes;
mod store;
