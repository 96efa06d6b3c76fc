//! How each field of an answer is compared.
//!
//! Decides by the name of a field and the fields around it, never by the name of a record. What is bound to
//! the setting of a recording (names and addresses of pods, times, uids, the order of storage) is compared by kind; all
//! other values are compared as they are (`tests/golden/README.md`, "Bound to the setting").

/// Seconds by which `update_time` of an environment may differ when nothing was slow.
pub(crate) const UPDATE_TIME_TOLERANCE: i64 = 2;

/// Seconds by which the creation time of a Kubernetes object may differ. The recorded server was held up by its
/// limit of five Kubernetes calls a second (Z§8), so objects came seconds after the call; a time of the last write
/// instead of the creation differs by more.
const CREATION_TIME_TOLERANCE: i64 = 10;

/// What is compared of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The value itself; objects and lists are walked.
    Value,
    /// The kind of JSON value only.
    Kind,
    /// The kind, and whether it is the empty string.
    Emptiness,
    /// A number of seconds, within this tolerance.
    Near(i64),
    /// A text that Zadig begins and others may end.
    Description,
    /// A text holding YAML documents.
    Yaml,
    /// Pods of a workload.
    Pods,
    /// Kubernetes events.
    Events,
}

/// How the items of a list belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The order is part of the answer.
    Kept,
    /// Storage or background order: compared by key.
    Free,
}

/// What is known about an exchange besides its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    /// The path of the request.
    pub(crate) path: &'a str,
    /// Workloads of the environment are possibly being rolled out: counts of pods and service statuses are in motion.
    pub(crate) rolling: bool,
    /// Seconds by which `update_time` of an environment may differ.
    pub(crate) update_tolerance: i64,
    /// The object that is read was deleted a moment ago (Z§4.14: it may still be shown).
    pub(crate) just_deleted: bool,
}

/// Values that the run made: names of fields whose value is bound to it.
const MADE_BY_THE_RUN: [&str; 14] = [
    "age",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "started_at",
    "finished_at",
    "createtime",
    "first_seen",
    "last_seen",
    "last_schedule",
    "pod-template-hash",
    "controller-revision-hash",
    "apps.kubernetes.io/pod-index",
    "statefulset.kubernetes.io/pod-name",
];

/// The rule for the value at these keys (indices of lists left out).
pub(crate) fn rule(circumstances: &Circumstances<'_>, keys: &[String]) -> Rule {
    let Some(last) = keys.last().map(String::as_str) else {
        return if circumstances.path.ends_with("/kube/events") {
            Rule::Events
        } else {
            Rule::Value
        };
    };
    let inside = |key: &str| keys[..keys.len() - 1].iter().any(|it| it == key);
    if inside("data") || inside("stringData") {
        return Rule::Value;
    }
    match last {
        "description" | "err_message" => Rule::Description,
        "yaml_data" => Rule::Yaml,
        "pods" => Rule::Pods,
        "name" | "pod_name" if inside("pods") && !inside("containers") => Rule::Kind,
        "message" | "reason" | "containers_message" if inside("pods") => Rule::Kind,
        "ip" | "node_name" | "host_ip" => Rule::Emptiness,
        "update_time" if circumstances.path.contains("/envcfg") => {
            Rule::Near(CREATION_TIME_TOLERANCE)
        }
        "update_time" => Rule::Near(circumstances.update_tolerance),
        "created_time" | "create_time" => Rule::Near(CREATION_TIME_TOLERANCE),
        "status" if circumstances.rolling && keys.len() == 2 && keys[0] == "services" => Rule::Kind,
        _ if MADE_BY_THE_RUN.contains(&last) => Rule::Kind,
        _ => Rule::Value,
    }
}

/// Whether the order of the list at these keys counts.
pub(crate) fn order(circumstances: &Circumstances<'_>, keys: &[String]) -> Order {
    match keys.last().map(String::as_str) {
        // Environments and variables come in storage order, configuration objects sorted by name (Z§4.14).
        None if circumstances.path.contains("/envcfg") => Order::Kept,
        None
        | Some(
            "services" | "global_variables" | "related_services" | "scales" | "service_endpoints"
            | "ingress" | "cron_jobs" | "ips",
        ) => Order::Free,
        Some(_) => Order::Kept,
    }
}

/// Compares two descriptions: the part that Zadig wrote word for word, the part of others by its being there.
///
/// # Errors
///
/// What was expected, when they differ.
pub(crate) fn description(expected: &str, got: &str) -> Result<(), String> {
    let Some(cut) = foreign_part(expected) else {
        return if expected == got {
            Ok(())
        } else {
            Err(format!("{expected:?}"))
        };
    };
    let own = &expected[..cut];
    match got.strip_prefix(own) {
        Some(rest) if !rest.trim().is_empty() => Ok(()),
        _ => Err(format!("{own:?} and a reason")),
    }
}

/// Where the text of others begins, if there is one.
fn foreign_part(text: &str) -> Option<usize> {
    // The licence service's address and the dialler's words (Z§1.3).
    const LICENCE: &str = "failed to validate zadig license status, error:";
    // Go's JSON decoder.
    const DECODER: [&str; 3] = [
        "invalid character '",
        "unexpected end of JSON input",
        "json: cannot unmarshal",
    ];
    // The Kubernetes API server, its decoder, and MongoDB's index.
    const KUBERNETES: [&str; 13] = [
        "\" already exists",
        "\" not found",
        "\" is invalid",
        "\" is forbidden",
        "Invalid value",
        "is immutable",
        "unmarshaling JSON",
        "while decoding JSON",
        "quantities must match",
        "converting YAML",
        "yaml: ",
        "dial tcp",
        "E11000",
    ];
    if text.starts_with(LICENCE) {
        return Some(LICENCE.len());
    }
    if let Some(at) = DECODER.iter().filter_map(|word| text.find(word)).min() {
        return Some(at);
    }
    let at = KUBERNETES.iter().filter_map(|word| text.find(word)).min()?;
    // Zadig's own part reaches to the second colon at the latest.
    let colons = text[..at].match_indices(':').map(|(index, _)| index + 1);
    Some(colons.take(2).last().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(path: &str) -> Vec<String> {
        path.split('.').map(str::to_owned).collect()
    }

    const QUIET: Circumstances<'_> = Circumstances {
        path: "/openapi/environments/dev",
        rolling: false,
        update_tolerance: UPDATE_TIME_TOLERANCE,
        just_deleted: false,
    };

    #[test]
    fn what_the_run_made_is_compared_by_kind_but_not_inside_user_data() {
        assert_eq!(
            [
                rule(&QUIET, &keys("scales.pods.age")),
                rule(&QUIET, &keys("scales.pods.name")),
                rule(&QUIET, &keys("scales.pods.containers.name")),
                rule(&QUIET, &keys("scales.pods.labels.pod-template-hash")),
                rule(&QUIET, &keys("configMap_detail.yaml_data.data.age")),
            ],
            [Rule::Kind, Rule::Kind, Rule::Value, Rule::Kind, Rule::Value]
        );
    }

    #[test]
    fn a_service_status_counts_unless_workloads_are_in_motion() {
        let moving = Circumstances {
            rolling: true,
            ..QUIET
        };
        assert_eq!(
            [
                rule(&QUIET, &keys("services.status")),
                rule(&moving, &keys("services.status"))
            ],
            [Rule::Value, Rule::Kind]
        );
    }

    #[test]
    fn a_description_of_zadig_is_compared_word_for_word() {
        assert_eq!(
            description("env key is required", "env key is required"),
            Ok(())
        );
        assert_eq!(
            description("env key is required", "env_key is required"),
            Err("\"env key is required\"".to_owned())
        );
    }

    #[test]
    fn a_description_ending_in_words_of_kubernetes_is_compared_up_to_the_second_colon() {
        let expected = "1 error occurred:\n\t* 创建环境失败: 创建用户namespace失败: Namespace \"X\" is invalid: metadata.name";
        assert_eq!(
            description(expected, "1 error occurred:\n\t* 创建环境失败: bad name"),
            Ok(())
        );
        assert_eq!(
            description(expected, "1 error occurred:\n\t* 更新环境失败: bad name"),
            Err("\"1 error occurred:\\n\\t* 创建环境失败:\" and a reason".to_owned())
        );
    }

    #[test]
    fn words_of_the_json_decoder_and_of_the_licence_service_are_free_but_not_absent() {
        assert_eq!(
            description("unexpected end of JSON input", "EOF while parsing"),
            Ok(())
        );
        assert_eq!(
            description("unexpected end of JSON input", ""),
            Err("\"\" and a reason".to_owned())
        );
        assert_eq!(
            description(
                "failed to validate zadig license status, error: Get \"http://x\": dial tcp",
                "failed to validate zadig license status, error: connection refused"
            ),
            Ok(())
        );
    }
}
