//! Flags and environment variables, with their units and defaults.
//!
//! Every flag has an environment variable of the same name behind `ZADIG_OPERATOR_`; the flag wins. Where the API server
//! is comes from the Pod's service account, or else from `KUBECONFIG`, as for every Kubernetes client.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// The command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "zadig-operator", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the controllers until stopped.
    Run(RunConfig),
    /// Print the definitions of the custom resources.
    Crds(CrdsConfig),
    /// Print every metric of /metrics with its labels and meaning, as Markdown.
    Metrics,
    /// Ask a running operator whether it is ready; the image has no other program that could.
    Probe(ProbeConfig),
}

/// Settings of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunConfig {
    /// Address of /healthz, /readyz and /metrics.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_HEALTH_ADDR",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub health_addr: SocketAddr,

    /// Form of the log lines on standard error.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Human
    )]
    pub log_format: LogFormat,

    /// How much to log: error, warn, info, debug or trace, also per module, as in info,zadig_operator=debug.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_LOG_LEVEL",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log_level: String,

    /// Namespaces whose objects are looked after, separated by commas. Absent: all.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_WATCH_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub watch_namespaces: Vec<String>,

    /// Look after the connections whose label zadig-operator.io/shard has this value, with everything that refers to them, instead of
    /// those without the label. Each shard has a Lease of its own, with this behind its name. Connections to one Zadig belong in one
    /// shard. Suspend a connection before its label is changed: the shard that had it may have a call under way.
    #[arg(long, env = "ZADIG_OPERATOR_SHARD", value_name = "NAME", value_parser = shard)]
    pub shard: Option<String>,

    /// Whether Secrets are watched, so that a rotated one is noticed at once. Watching takes the right to list the Secrets of every
    /// namespace that is looked after. Without it a Secret is read by name alone, and a new value is noticed at the next thorough
    /// look (spec.intervals.deep of the connection) or when the object is asked to reconcile now.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_WATCH_SECRETS",
        action = ArgAction::Set,
        default_value_t = true,
        value_name = "BOOL"
    )]
    pub watch_secrets: bool,

    /// Namespace of the operator's own objects: its Lease and its digest key. Absent: the Pod's namespace, or outside a cluster the
    /// current namespace of the kubeconfig.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Name of this process in the Lease and in logs; a random part is added. Absent: the host name.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,

    /// Whether one of several processes works while the others stand by. Only a single process may run without.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_LEADER_ELECTION",
        action = ArgAction::Set,
        default_value_t = true,
        value_name = "BOOL"
    )]
    pub leader_election: bool,

    /// Name of the Lease that the processes compete for.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_LEASE_NAME",
        default_value = "zadig-operator",
        value_name = "NAME"
    )]
    pub lease_name: String,

    /// How long a leader that died is waited for, at least 3s. It renews after a third of it, and stops working after two thirds
    /// without success.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_LEASE_DURATION",
        default_value = "15s",
        value_name = "DURATION",
        value_parser = lease_duration
    )]
    pub lease_duration: Duration,

    /// Objects of one kind that are reconciled at the same time.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_CONCURRENCY",
        default_value_t = 16,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub concurrency: u16,

    /// How long a stop waits for the requests in flight. Keep it below the Pod's terminationGracePeriodSeconds.
    #[arg(
        long,
        env = "ZADIG_OPERATOR_SHUTDOWN_GRACE",
        default_value = "25s",
        value_name = "DURATION",
        value_parser = duration
    )]
    pub shutdown_grace: Duration,
}

/// Settings of `crds`.
#[derive(Args, Clone, Debug)]
pub struct CrdsConfig {
    /// Write one file per kind into this folder, instead of all to standard output.
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
}

/// Settings of `probe`.
#[derive(Args, Clone, Debug)]
pub struct ProbeConfig {
    /// What to ask.
    #[arg(default_value = "http://127.0.0.1:8080/readyz", value_name = "URL")]
    pub url: http::Uri,

    /// How long to ask again before giving up.
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = duration)]
    pub wait: Duration,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// For reading.
    Human,
    /// One JSON object per line.
    Json,
}

/// A duration as in Go: `15s`, `1m30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: kube::core::Duration = text
        .parse()
        .map_err(|_| "not a duration such as 15s or 1m30s".to_owned())?;
    if parsed.is_negative() {
        return Err("must not be negative".to_owned());
    }
    Ok(parsed.into())
}

/// The name of a shard stands in a label and in the name of a Lease.
pub(crate) fn shard(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edges = [text.bytes().next(), text.bytes().next_back()];
    if text.len() > 40
        || !text.bytes().all(fits)
        || edges
            .iter()
            .any(|edge| edge.is_none_or(|byte| byte == b'-'))
    {
        return Err(
            "must be 1 to 40 lower-case letters, digits and dashes, with no dash at either end"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// A third of it must be long enough for a round trip to the API server, also on a bad day.
fn lease_duration(text: &str) -> Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed < Duration::from_secs(3) || parsed > Duration::from_hours(1) {
        return Err("must be between 3s and 1h".to_owned());
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(arguments: &[&str]) -> Result<RunConfig, clap::Error> {
        let all = ["zadig-operator", "run"].iter().chain(arguments);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Run(config) => config,
            Command::Crds(_) | Command::Metrics | Command::Probe(_) => {
                panic!("`run` was asked for")
            }
        })
    }

    #[test]
    fn a_shard_has_a_name_that_a_label_and_a_lease_take() {
        assert_eq!(run(&[]).unwrap().shard, None);
        assert_eq!(
            run(&["--shard", "team-b2"]).unwrap().shard,
            Some("team-b2".to_owned())
        );
        let long = "a".repeat(41);
        for wrong in ["", "-a", "a-", "A", "a.b", &long] {
            let error = run(&[&format!("--shard={wrong}")]).unwrap_err();
            assert!(error.to_string().contains("1 to 40 lower-case"), "{error}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn namespaces_are_separated_by_commas() {
        let config = run(&["--watch-namespaces", "a,b"]).unwrap();
        assert_eq!(config.watch_namespaces, ["a", "b"]);
    }

    #[test]
    fn durations_carry_their_unit() {
        let config = run(&["--lease-duration", "1m30s", "--shutdown-grace", "500ms"]).unwrap();
        assert_eq!(
            (config.lease_duration, config.shutdown_grace),
            (Duration::from_secs(90), Duration::from_millis(500))
        );
        assert!(run(&["--lease-duration", "15"]).is_err());
    }

    #[test]
    fn a_lease_too_short_to_renew_is_refused() {
        let message = run(&["--lease-duration", "1s"]).unwrap_err().to_string();
        assert!(message.contains("between 3s and 1h"), "{message}");
    }

    #[test]
    fn leader_election_can_be_switched_off() {
        assert!(run(&[]).unwrap().leader_election);
        assert!(
            !run(&["--leader-election", "false"])
                .unwrap()
                .leader_election
        );
    }
}
