//! Observe, plan, apply, judge: one stack towards what is desired.
