//! Values that the chart refuses: each names the key that is wrong.

use anyhow::{Result, bail};

use super::render::Chart;

/// A value, and what Helm's message must contain.
const REFUSED: &[(&str, &str)] = &[
    // Unknown keys, at every level that has keys of ours.
    ("replicaCount=2", "replicaCount"),
    (r#"image.registry="r""#, "registry"),
    (r#"image.pullSecrets=[{"nam":"r"}]"#, "nam"),
    ("crds.keep=true", "keep"),
    ("secrets.enabled=false", "enabled"),
    ("deletionGuard.enable=false", "enable"),
    (r#"leaderElection.duration="15s""#, "duration"),
    ("log.verbosity=3", "verbosity"),
    (r#"caBundle.configmap="ca""#, "configmap"),
    (r#"proxy.noProxy="a""#, "noProxy"),
    ("serviceAccount.automount=true", "automount"),
    ("rbac.clusterRole=true", "clusterRole"),
    ("resources.request={}", "request"),
    ("podSecurityContext.runAsRoot=false", "runAsRoot"),
    (
        "securityContext.readonlyRootFilesystem=true",
        "readonlyRootFilesystem",
    ),
    (r#"securityContext.capabilities.remove=["ALL"]"#, "remove"),
    ("livenessProbe.period=1", "period"),
    ("podDisruptionBudget.minAvailable=1", "minAvailable"),
    ("networkPolicy.ingress=[]", "ingress"),
    (r#"networkPolicy.from=[{"podselector":{}}]"#, "podselector"),
    (r#"serviceMonitor.scrapeInterval="30s""#, "scrapeInterval"),
    ("prometheusRule.driftDays=1", "driftDays"),
    ("dashboard.create=true", "create"),
    (r#"tolerations=[{"keys":"a"}]"#, "keys"),
    ("affinity.nodeaffinity={}", "nodeaffinity"),
    (r#"topologySpreadConstraints=[{"maxskew":1}]"#, "maxskew"),
    (r#"extraEnv=[{"name":"A","val":"b"}]"#, "val"),
    (r#"extraVolumeMounts=[{"name":"a","path":"/a"}]"#, "path"),
    // Values of the wrong type or out of bounds.
    (r#"replicas="2""#, "replicas"),
    (r#"image.repository="""#, "repository"),
    (r#"image.digest="sha256:abc""#, "digest"),
    (r#"image.pullPolicy="Sometimes""#, "pullPolicy"),
    (r#"watchNamespaces="a,b""#, "watchNamespaces"),
    (r#"watchNamespaces=["A"]"#, "watchNamespaces"),
    (r#"shard="Team_B""#, "shard"),
    (r#"leaderElection.leaseDuration="15""#, "leaseDuration"),
    ("concurrency=0", "concurrency"),
    ("shutdownGrace=25", "shutdownGrace"),
    (r#"log.format="xml""#, "format"),
    (
        r#"podDisruptionBudget.maxUnavailable="half""#,
        "maxUnavailable",
    ),
    (r#"serviceMonitor.interval="30""#, "interval"),
    (r#"prometheusRule.selector="{a=1}""#, "selector"),
    ("prometheusRule.driftHours=0", "driftHours"),
    (r#"prometheusRule.runbooks="runbooks""#, "runbooks"),
    // Values that exclude each other.
    (r#"secrets.namespaces=["a"]"#, "namespaces"),
    (
        r#"caBundle={"configMap":"a","secret":"b","key":"c"}"#,
        "secret",
    ),
    ("leaderElection.enabled=false,replicas=2", "replicas"),
];

pub(super) fn check(chart: &Chart) -> Result<()> {
    for (value, key) in REFUSED {
        match chart.refusal(value)? {
            None => bail!("the chart takes {value}"),
            Some(said) if names(&said, key) => {}
            Some(said) => bail!("the refusal of {value} does not name {key}:\n{said}"),
        }
    }
    Ok(())
}

/// Whether a message has the key as a word of its own.
fn names(said: &str, key: &str) -> bool {
    let mut words = said.split(|letter: char| !letter.is_alphanumeric());
    words.any(|word| word == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_word_names_no_key() {
        assert!(names("at '/image': 'tag' not allowed", "tag"));
        assert!(!names("at '/image': 'tagged' not allowed", "tag"));
    }
}
