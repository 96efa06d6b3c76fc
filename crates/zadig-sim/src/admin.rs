//! The admin routes beneath `/sim/`: the library's own functions, for a simulator that runs as a program.
//!
//! They need no token; the listener is bound to the loopback interface.

use std::str::FromStr as _;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::ailment::Ailment;
use crate::options::{Level, Licence};
use crate::reply::JSON;
use crate::request::parse_query;
use crate::server::{Incoming, plain};
use crate::sim::Sim;

type Answer = Result<Value, (StatusCode, String)>;

/// Answers one admin request with JSON: a value, or `{"error": …}` with 400, 404 or 409.
pub(crate) fn handle(sim: &Sim, incoming: &Incoming) -> axum::response::Response {
    let (status, value) = match answer(sim, incoming) {
        Ok(value) => (StatusCode::OK, value),
        Err((status, error)) => (status, json!({ "error": error })),
    };
    plain(status, Some(JSON), value.to_string())
}

#[derive(Deserialize)]
struct Named {
    project: String,
    env: String,
}

#[derive(Deserialize)]
struct Image {
    image: String,
    #[serde(default)]
    ailment: Option<Ailment>,
}

#[derive(Deserialize)]
struct Server {
    #[serde(default)]
    level: Option<Level>,
    #[serde(default)]
    licence: Option<Licence>,
}

#[derive(Deserialize)]
struct Clock {
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    milliseconds: Option<u64>,
}

fn answer(sim: &Sim, incoming: &Incoming) -> Answer {
    let done = || json!({ "ok": true });
    match (&incoming.method, incoming.uri.path()) {
        (&Method::POST, "/sim/kube") => {
            sim.kube(body(incoming)?)
                .map_err(|error| (StatusCode::CONFLICT, error.message))?;
            Ok(done())
        }
        (&Method::POST, "/sim/fault") => {
            sim.fault(body(incoming)?);
            Ok(done())
        }
        (&Method::DELETE, "/sim/fault") => {
            sim.clear_faults();
            Ok(done())
        }
        (&Method::GET, "/sim/calls") => Ok(json!(sim.calls())),
        (&Method::DELETE, "/sim/calls") => {
            sim.clear_calls();
            Ok(done())
        }
        (&Method::GET, "/sim/snapshot") => Ok(sim.snapshot()),
        (&Method::POST, "/sim/image") => {
            let Image { image, ailment } = body(incoming)?;
            sim.ail(&image, ailment.as_ref());
            Ok(done())
        }
        (&Method::POST, "/sim/server") => {
            let Server { level, licence } = body(incoming)?;
            if let Some(level) = level {
                sim.set_level(level);
            }
            if let Some(licence) = licence {
                sim.set_licence(licence);
            }
            Ok(done())
        }
        (&Method::POST, "/sim/restart") => {
            sim.restart();
            Ok(done())
        }
        (&Method::POST, "/sim/sleep") => {
            let Named { project, env } = body(incoming)?;
            found(sim.sleep_environment(&project, &env)).map(|()| done())
        }
        (&Method::POST, "/sim/wake") => {
            let Named { project, env } = body(incoming)?;
            found(sim.wake_environment(&project, &env)).map(|()| done())
        }
        (&Method::POST, "/sim/clock") => {
            let Clock { to, milliseconds } = body(incoming)?;
            if let Some(to) = to {
                let to = Timestamp::from_str(&to)
                    .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
                sim.advance_to(to);
            }
            if let Some(milliseconds) = milliseconds {
                sim.advance(std::time::Duration::from_millis(milliseconds));
            }
            Ok(json!({ "now": sim.now().to_string() }))
        }
        (&Method::GET, "/sim/token") => {
            let query = parse_query(incoming.uri.query().unwrap_or(""));
            let user = query
                .iter()
                .find(|(key, _)| key == "user")
                .map_or("", |(_, value)| value);
            sim.token(user)
                .map(|token| json!({ "token": token }))
                .ok_or((StatusCode::NOT_FOUND, format!("no user {user:?}")))
        }
        (method, path) => Err((
            StatusCode::NOT_FOUND,
            format!("no admin route {method} {path}"),
        )),
    }
}

fn body<T: DeserializeOwned>(incoming: &Incoming) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(&incoming.body)
        .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn found(there: bool) -> Result<(), (StatusCode, String)> {
    if there {
        Ok(())
    } else {
        Err((StatusCode::NOT_FOUND, "no such environment".to_owned()))
    }
}
