//! The client against servers on loopback: what it sends, what it makes of answers, how it behaves
//! when there is trouble.
//!
//! Bodies come from `tests/examples` (the examples of the contract, Z§16) and from the exchanges
//! recorded with a Zadig 4.2.1 in `tests/golden` of the workspace.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers fail by panicking"
)]

mod catalogue;
mod dispatch;
mod limit;
mod recorded;
mod server;
mod tls;
mod transport;
