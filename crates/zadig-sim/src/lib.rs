//! A Zadig that fits in a test.
//!
//! The simulator answers Zadig's environment OpenAPI with state behind it: projects, service templates that are really rendered,
//! environments with their slow transitions, and a small Kubernetes that the rendered objects live in. It is written from what a
//! Zadig 4.2.1 was seen to do (cited as `Z§n`), on purpose without the client's types: two sides that shared a struct would agree
//! on the same mistake.
//!
//! - [`Sim`] is the whole; [`start`] serves it on a free port.
//! - [`Seed`] says what is there at the start, [`Options`] how time passes and which release it is.
//! - [`FaultRule`] makes calls go wrong, [`KubeAction`] changes a cluster behind Zadig's back, [`Ailment`] is what an image can suffer from, [`Call`] is one line of the journal.
//! - [`replay`] compares it with recordings of a real server.

mod action;
mod admin;
mod ailment;
mod auth;
mod clock;
mod fault;
mod helm;
mod journal;
mod kube;
mod options;
mod render;
pub mod replay;
mod reply;
mod request;
mod routes;
mod scope;
mod seed;
mod server;
mod sim;
mod subject;
mod template;
mod variables;
mod world;
mod yaml;

pub use action::{KubeAction, KubeActionError};
pub use ailment::Ailment;
pub use fault::{FaultAction, FaultRule};
pub use journal::Call;
pub use options::{ClockMode, Level, Licence, Options, Pace};
pub use seed::{Seed, SeedError};
pub use sim::{Running, Sim, serve, start};
