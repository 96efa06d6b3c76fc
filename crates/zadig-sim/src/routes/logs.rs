//! The log of a container as a stream of events that never ends (Z§4.20).

use jiff::SignedDuration;

use crate::clock;
use crate::kube::workload::Pod;
use crate::reply::{Body, Fail, Outcome, Reply};
use crate::request::Request;
use crate::world::World;

/// Lines that are sent at first where `tails` does not say otherwise.
const TAILS: usize = 10;

/// What a container of the simulator writes when it starts.
const LINES: [&str; 3] = ["starting", "ready", "serving"];

pub(crate) fn stream(world: &mut World, request: &Request) -> Outcome {
    let tails = request.query("tails").parse().unwrap_or(TAILS);
    let since = match request.query("since") {
        "" => None,
        text => {
            let since = clock::go_duration(text)
                .map_err(|error| Fail::bad_request(format!("invalid since: {error}")))?;
            // Kubernetes takes whole seconds, one at least.
            Some(since.max(SignedDuration::from_secs(1)))
        }
    };
    let now = world.now();
    let lines: Option<Vec<String>> = find(world, request).map(|pod| {
        // What fails again and again has written just now.
        let ailing = pod.ailing.get(request.param(1));
        let written: Vec<&str> = match ailing {
            Some(ailment) => ailment.log.iter().map(String::as_str).collect(),
            None => LINES.to_vec(),
        };
        let started = pod
            .ready_at
            .map(|at| if ailing.is_some() { now } else { at });
        let started = started.filter(|at| *at <= now);
        let lines = started.into_iter().flat_map(|at| {
            let time = crate::kube::seconds_text(at);
            written
                .iter()
                .map(move |line| (at, format!("{time} {line}")))
                .collect::<Vec<_>>()
        });
        let oldest = since.map(|since| now.saturating_sub(since).unwrap_or(now));
        lines
            .filter(|(at, _)| oldest.is_none_or(|oldest| *at >= oldest))
            .map(|(_, line)| line)
            .collect()
    });
    // Where there is no such container nobody tells the client (Z§4.20).
    let frames: Vec<String> = lines
        .iter()
        .flat_map(|lines| &lines[lines.len().saturating_sub(tails)..])
        .map(|line| format!("event:message\ndata:{}\n\n", line.replace('\r', "\\r")))
        .collect();
    Ok(Reply {
        status: 200,
        // The header goes out with the first event.
        content_type: (!frames.is_empty()).then_some("text/event-stream"),
        body: Body::Endless(frames),
        answer: std::time::Duration::ZERO,
    })
}

/// The pod, if it is there and has the container.
fn find<'a>(world: &'a World, request: &Request) -> Option<&'a Pod> {
    let environment = world.environment(request.query("projectKey"), request.query("envName"))?;
    let kube = world.clusters.get(&environment.cluster_id)?;
    let (name, container) = (request.param(0), request.param(1));
    kube.workloads(&environment.namespace)
        .flat_map(|(.., object)| &object.pods)
        .find(|pod| pod.name == name)
        .filter(|pod| {
            ["containers", "initContainers"].iter().any(|list| {
                let containers = pod.template["spec"][list].as_array();
                containers
                    .into_iter()
                    .flatten()
                    .any(|it| it["name"] == container)
            })
        })
}
