//! Each behaviour of Z§17, from outside: requests over HTTP, plain JSON, virtual time.
//!
//! A test's number is that of the behaviour in Z§17. Levels, faults, the journal and the program have their own files.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a failed step is a failed test, in its helpers too"
)]

mod admin;
mod charts;
mod concurrency;
mod configs;
mod deletion;
mod errors;
mod faults;
mod helm;
mod images;
mod levels;
mod lifecycle;
mod order;
mod production;
mod releases;
mod scaling;
mod services;
mod sharing;
mod sleep;
mod streams;
mod support;
mod variables;
