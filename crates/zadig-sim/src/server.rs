//! HTTP around the state: authentication, routing, faults, the lock's queue, the journal and the time an answer takes.
//!
//! What a call does is decided in `routes`; nothing here knows environments.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures::StreamExt as _;
use futures::stream;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use crate::admin;
use crate::auth::{Denied, User, authenticate};
use crate::fault::{FaultAction, Subject};
use crate::journal::{Call, masked};
use crate::options::ClockMode;
use crate::reply::{Body, Fail, Reply, TEXT};
use crate::request::{Request, decode_percent, parse_query};
use crate::routes::{self, Matched, Route};
use crate::sim::Sim;
use crate::subject;

/// A waiter for the project's lock gives up after this many attempts (Z§7.1).
const LOCK_ATTEMPTS: u32 = 32;

/// More than any client of a test sends.
const BODY_LIMIT: usize = 64 << 20;

pub(crate) fn router(sim: Sim) -> Router {
    Router::new().fallback(entry).with_state(sim)
}

/// An HTTP request with its body read.
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

async fn entry(State(sim): State<Sim>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, None, String::new());
    };
    let incoming = Incoming {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body,
    };
    if incoming.uri.path().starts_with("/sim/") {
        return admin::handle(&sim, &incoming);
    }
    serve(&sim, incoming).await
}

/// What a call has become before its handler runs.
enum Prepared {
    Ready {
        route: &'static Route,
        request: Request,
        fault: Option<FaultAction>,
    },
    Done(Box<Response>),
}

async fn serve(sim: &Sim, incoming: Incoming) -> Response {
    let mut call = blank_call(&incoming);
    let mut cleared = sim.lock().faults.cleared();
    let (route, request, fault) = match prepare(sim, &incoming, &mut call) {
        Prepared::Ready {
            route,
            request,
            fault,
        } => (route, request, fault),
        Prepared::Done(response) => return *response,
    };
    if let Some(delay) = fault.as_ref().and_then(FaultAction::delay) {
        tokio::select! {
            () = wait(sim, delay) => {}
            _ = cleared.changed() => {}
        }
    }
    let mut attempt = 1;
    let reply = loop {
        let busy = {
            let mut world = sim.lock();
            let before = world.changes;
            world.stuck = fault == Some(FaultAction::Stick);
            let outcome = (route.handler)(&mut world, &request);
            world.stuck = false;
            call.changed |= world.changes != before;
            match outcome {
                Err(Fail::LockTaken { .. }) if attempt < LOCK_ATTEMPTS => world.pace().lock_retry,
                Ok(reply) => break reply,
                Err(fail) => break fail.into_reply(),
            }
        };
        attempt += 1;
        wait(sim, busy).await;
    };
    if fault == Some(FaultAction::Crash) {
        sim.restart();
    }
    let dropped = matches!(fault, Some(FaultAction::DropAnswer | FaultAction::Crash));
    call.status = if dropped { 0 } else { reply.status };
    let delay = {
        let mut world = sim.lock();
        world.journal.record(call);
        let requests = if reply.status < 400 {
            route.requests
        } else {
            0
        };
        world.answer_time(reply.answer) + world.held_up(requests)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    respond(reply, fault)
}

fn blank_call(incoming: &Incoming) -> Call {
    Call {
        seq: 0,
        time: jiff::Timestamp::UNIX_EPOCH,
        method: incoming.method.to_string(),
        path: incoming.uri.path().to_owned(),
        query: masked(incoming.uri.query().unwrap_or("")),
        body: String::from_utf8_lossy(&incoming.body).into_owned(),
        user: None,
        agent: agent(&incoming.headers),
        operation: String::new(),
        environment: None,
        found: None,
        status: 0,
        mutating: false,
        changed: false,
    }
}

fn agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.and_then(|value| value.to_str().ok());
    agent.unwrap_or_default().to_owned()
}

/// Authentication, then routing, then faults (Z§17, 24).
fn prepare(sim: &Sim, incoming: &Incoming, call: &mut Call) -> Prepared {
    let mut world = sim.lock();
    call.time = world.now();
    let query = parse_query(incoming.uri.query().unwrap_or(""));
    let authorization = incoming
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let user = authenticate(&world.users, world.level, authorization, &query).cloned();
    call.user = user.as_ref().ok().map(|user| user.name.clone());
    let matched = routes::find(world.level, &incoming.method, incoming.uri.path());
    if let Matched::Route(route, params) = &matched {
        route.name.clone_into(&mut call.operation);
        call.mutating = route.mutating;
        if let Some((project, env)) = subject::named(route.path, params, &query, &call.body) {
            let found = world.environment(&project, &env);
            call.found = found.map(|environment| environment.status.clone());
            call.environment = Some(format!("{project}/{env}"));
        }
    }
    let fault = world.faults.decide(&Subject {
        method: incoming.method.as_str(),
        path: incoming.uri.path(),
        query: &call.query,
        body: &call.body,
        operation: &call.operation,
        user: call.user.as_deref(),
        mutating: call.mutating,
    });
    let mut finish = |mut call: Call, response: Response| {
        call.status = response.status().as_u16();
        world.journal.record(call);
        Prepared::Done(Box::new(response))
    };
    if let Some(response) = fault.as_ref().and_then(instead) {
        let mut refused = call.clone();
        let response = if matches!(fault, Some(FaultAction::DropRequest)) {
            refused.status = 0;
            world.journal.record(refused);
            return Prepared::Done(Box::new(response));
        } else {
            response
        };
        return finish(refused, response);
    }
    let user = match user {
        Ok(user) => user,
        Err(denied) => return finish(call.clone(), denial(&denied)),
    };
    let (route, params) = match matched {
        Matched::Route(route, params) => (route, params),
        Matched::Redirect(location) => {
            let response = trailing_slash(&incoming.method, &location, incoming.uri.query());
            return finish(call.clone(), response);
        }
        Matched::WrongMethod => {
            let text = format!(
                "Method not allowed: {} {}",
                incoming.method,
                incoming.uri.path()
            );
            let response = plain(StatusCode::METHOD_NOT_ALLOWED, Some(TEXT), text);
            return finish(call.clone(), response);
        }
        Matched::Nothing => {
            let text = format!("Invalid path: {}", incoming.uri.path());
            return finish(call.clone(), plain(StatusCode::NOT_FOUND, Some(TEXT), text));
        }
    };
    let user: Arc<User> = match fault {
        Some(FaultAction::ForgetPermission) => Arc::new(user.without_roles()),
        _ => user,
    };
    if fault == Some(FaultAction::RestartEmpty) {
        world.restart();
        world.lose_everything();
    }
    let request = Request {
        params: params
            .iter()
            .map(|segment| decode_percent(segment, false))
            .collect(),
        query,
        body: call.body.clone(),
        user,
        scope: route.scope,
    };
    Prepared::Ready {
        route,
        request,
        fault,
    }
}

/// The answer of a fault that keeps the handler from running.
fn instead(fault: &FaultAction) -> Option<Response> {
    match fault {
        FaultAction::Refuse { status, body } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let kind = match body.trim_start().chars().next() {
                None => None,
                Some('{' | '[') => Some(crate::reply::JSON),
                Some(_) => Some(TEXT),
            };
            Some(plain(status, kind, body.clone()))
        }
        FaultAction::Html => Some(plain(
            StatusCode::OK,
            Some("text/html"),
            "<!doctype html><html><head><title>Zadig</title></head><body></body></html>".to_owned(),
        )),
        FaultAction::Redirect { location } => {
            let mut response = plain(StatusCode::FOUND, Some("text/html"), String::new());
            if let Ok(value) = HeaderValue::from_str(location) {
                response.headers_mut().insert(header::LOCATION, value);
            }
            Some(response)
        }
        FaultAction::Unauthorized => Some(plain(StatusCode::UNAUTHORIZED, None, String::new())),
        FaultAction::DropRequest => Some(broken()),
        FaultAction::Delay { .. }
        | FaultAction::DropAnswer
        | FaultAction::Stick
        | FaultAction::Truncated
        | FaultAction::HugeBody { .. }
        | FaultAction::SwapText { .. }
        | FaultAction::ForgetPermission
        | FaultAction::RestartEmpty
        | FaultAction::Crash => None,
    }
}

fn respond(reply: Reply, fault: Option<FaultAction>) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = match reply.body {
        Body::Whole(text) => text,
        Body::Endless(pieces) => {
            let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
            let body = HttpBody::from_stream(pieces.chain(stream::pending()));
            return with_type(status, reply.content_type, body);
        }
    };
    match fault {
        Some(FaultAction::DropAnswer | FaultAction::Crash) => broken(),
        Some(FaultAction::Truncated) => {
            let half = text.floor_char_boundary(text.len() / 2);
            plain(status, reply.content_type, text[..half].to_owned())
        }
        Some(FaultAction::HugeBody { bytes }) => plain(
            status,
            reply.content_type,
            format!("\"{}\"", "x".repeat(bytes.saturating_sub(2))),
        ),
        Some(FaultAction::SwapText { from, to }) => {
            plain(status, reply.content_type, text.replace(&from, &to))
        }
        _ => plain(status, reply.content_type, text),
    }
}

fn denial(denied: &Denied) -> Response {
    match denied {
        Denied::Unauthorized => plain(StatusCode::UNAUTHORIZED, None, String::new()),
        Denied::SecondFactor => {
            let reason = "mfa_verification_required";
            let mut response = plain(
                StatusCode::FORBIDDEN,
                Some(crate::reply::JSON),
                format!(r#"{{"reason":"{reason}"}}"#),
            );
            response.headers_mut().insert(
                "x-zadig-auth-reason",
                HeaderValue::from_static("mfa_verification_required"),
            );
            response
        }
    }
}

/// 301 for GET with a small page, 307 without one for the rest (Z§1.4).
fn trailing_slash(method: &Method, path: &str, query: Option<&str>) -> Response {
    let location = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut response = if *method == Method::GET {
        let shown = location.replace('&', "&amp;");
        let page = format!("<a href=\"{shown}\">Moved Permanently</a>.\n\n");
        plain(
            StatusCode::MOVED_PERMANENTLY,
            Some("text/html; charset=utf-8"),
            page,
        )
    } else {
        plain(StatusCode::TEMPORARY_REDIRECT, None, String::new())
    };
    if let Ok(value) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// An answer whose body fails at once, so that the connection is closed under the client.
fn broken() -> Response {
    let failing = stream::once(async { Err::<Bytes, _>(std::io::Error::other("dropped")) });
    let mut response = Response::new(HttpBody::from_stream(failing));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from_static("1"));
    response
}

pub(crate) fn plain(status: StatusCode, kind: Option<&'static str>, text: String) -> Response {
    with_type(status, kind, HttpBody::from(text))
}

fn with_type(status: StatusCode, kind: Option<&'static str>, body: HttpBody) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// Waits in the simulator's time; a virtual clock is moved on by somebody else.
async fn wait(sim: &Sim, duration: Duration) {
    if duration.is_zero() {
        tokio::task::yield_now().await;
        return;
    }
    let (until, real) = {
        let world = sim.lock();
        (
            crate::clock::later(world.now(), duration),
            world.options.clock == ClockMode::Real,
        )
    };
    if real {
        tokio::time::sleep(duration).await;
        return;
    }
    let mut poll = tokio::time::interval(Duration::from_millis(1));
    while sim.now() < until {
        poll.tick().await;
    }
}
