//! Promises that need more than one module, or the machine.

mod alerts;
mod approving;
mod commands;
mod defects;
mod demo;
mod demo_story;
mod engine;
mod fidelity;
mod fixtures;
mod layers;
mod logins;
mod oracle;
mod overlays;
mod pausing;
mod promises;
mod readme;
mod real;
mod recipes;
mod refusing;
mod registry;
mod schemas;
mod store;
mod terminals;
mod timelines;
mod truth;
mod world;
