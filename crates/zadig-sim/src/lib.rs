//! zadig-sim.
