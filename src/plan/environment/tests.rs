//! The decision table: every row of design §3's table and of the rules of design §2, as declared × observed → plan.
//!
//! An expected text is the whole plan, see [`super::fixture::show`]. The traps of Z§14 are in [`super::z14`].

mod deletion;
mod diagnosis;
mod differences;
mod existence;
mod helm;
mod lifetime;
mod live;
mod loops;
mod memory;
mod rollout;
mod secrets;
mod sharing;
mod waiting;
