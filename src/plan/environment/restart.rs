//! How a service is restarted, which depends on the server.
//!
//! The route for it (#38) deletes the pods of one Deployment, the first of the service. Before 5.0 it says success for a
//! StatefulSet and does nothing (Z§4.16), and nothing tells 5.0 from 4.3 (Z§12). But from 4.3 on pods can be deleted one by one.

use std::collections::BTreeSet;

use super::LiveWorkload;
use crate::plan::Level;

/// What is sent to restart a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Way {
    /// The route for it.
    Service,
    /// The routes of these pods.
    Pods(BTreeSet<String>),
    /// Nothing would restart all of these workloads.
    None(BTreeSet<String>),
}

/// The way that restarts every workload of a service, as far as it was looked at.
#[must_use]
pub fn way(live: Option<&[LiveWorkload]>, level: Level) -> Way {
    let workloads: Vec<&LiveWorkload> = live
        .unwrap_or_default()
        .iter()
        .filter(|workload| !matches!(workload.kind.as_str(), "CronJob" | "Job"))
        .collect();
    let by_route = match &workloads[..] {
        [] => true,
        [only] => only.kind == "Deployment",
        // Which of them is the first is Zadig's to know.
        _ => false,
    };
    match level {
        _ if by_route => Way::Service,
        Level::V42 => {
            let names = workloads.iter();
            Way::None(names.map(|it| format!("{}/{}", it.kind, it.name)).collect())
        }
        Level::V43 => {
            let pods = workloads.iter().flat_map(|workload| &workload.pods);
            Way::Pods(pods.map(|pod| pod.name.clone()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::environment::LivePod;

    fn workload(kind: &str, name: &str) -> LiveWorkload {
        let pod = LivePod {
            name: format!("{name}-0"),
            ..LivePod::default()
        };
        LiveWorkload {
            kind: kind.to_owned(),
            name: name.to_owned(),
            pods: vec![pod],
            ..LiveWorkload::default()
        }
    }

    #[test]
    fn z12_what_the_route_leaves_out_is_restarted_pod_by_pod_where_that_can_be_done() {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let web = || workload("Deployment", "web");
        let api = || workload("Deployment", "api");
        let db = || workload("StatefulSet", "db");
        let job = || workload("CronJob", "job");
        let table = [
            (vec![web()], Way::Service, Way::Service),
            (vec![job()], Way::Service, Way::Service),
            (vec![job(), web()], Way::Service, Way::Service),
            (
                vec![db()],
                Way::None(set(&["StatefulSet/db"])),
                Way::Pods(set(&["db-0"])),
            ),
            (
                vec![web(), db()],
                Way::None(set(&["Deployment/web", "StatefulSet/db"])),
                Way::Pods(set(&["db-0", "web-0"])),
            ),
            // The route knows the first alone.
            (
                vec![web(), api()],
                Way::None(set(&["Deployment/api", "Deployment/web"])),
                Way::Pods(set(&["api-0", "web-0"])),
            ),
            (
                vec![workload("DaemonSet", "log")],
                Way::None(set(&["DaemonSet/log"])),
                Way::Pods(set(&["log-0"])),
            ),
        ];
        for (live, old, new) in table {
            let ways = [Level::V42, Level::V43].map(|level| way(Some(&live), level));
            assert_eq!(ways, [old, new], "{live:?}");
        }
        assert_eq!(way(None, Level::V43), Way::Service);
    }
}
