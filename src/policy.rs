//! Which version of a recipe an app is to run.
