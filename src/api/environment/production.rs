//! What the schema of an environment refuses in production, because no version of Zadig has a call for it (Z§9).

use kube::core::Rule;

use crate::api::schema;

/// A rule about production alone.
fn not_in_production(field: &str, is_used: &str, sentence: &str) -> Rule {
    schema::rule(
        field,
        &format!("self.scope != 'Production' || !({is_used})"),
        sentence,
    )
}

/// The image routes know test environments alone (Z§9, 11).
pub(super) fn no_images() -> Rule {
    not_in_production(
        "services",
        "has(self.services) && self.services.exists(s, has(s.containers) && size(s.containers) > 0)",
        "services cannot have containers with scope: Production: Zadig has no call that sets images there; make them variables of the service's production template, or set them in it",
    )
}

/// So does the scale route (Z§9, 11).
pub(super) fn no_replicas() -> Rule {
    not_in_production(
        "services",
        "has(self.services) && self.services.exists(s, has(s.workloads) && size(s.workloads) > 0)",
        "services cannot have workloads with scope: Production: Zadig has no call that scales there; make the replicas a variable of the service's production template, or set them in it",
    )
}

/// The creation of a production environment ignores them (Z§4.7).
pub(super) fn no_config_refs() -> Rule {
    not_in_production(
        "configRefs",
        "has(self.configRefs) && size(self.configRefs) > 0",
        "configRefs cannot be set with scope: Production: Zadig creates a production environment empty; create the objects in its namespace by other means",
    )
}

/// Zadig refuses these namespaces in production alone (Z§4.7).
pub(super) fn no_system_namespace() -> Rule {
    not_in_production(
        "namespace",
        "has(self.__namespace__) && self.__namespace__ in ['kube-node-lease', 'kube-public', 'kube-system']",
        "namespace cannot be kube-node-lease, kube-public or kube-system with scope: Production: Zadig refuses them",
    )
}

/// Production does not end by itself (design §2).
pub(super) fn no_ttl() -> Rule {
    not_in_production(
        "ttl",
        "has(self.ttl)",
        "ttl ends in the deletion of the environment, so it does not go with scope: Production; remove it",
    )
}

/// The creation of a test environment of Kubernetes YAML ignores an alias (Z§4.6), and none can be set later (Z§4.8).
pub(super) fn alias() -> Rule {
    schema::rule(
        "alias",
        "!has(self.alias) || self.scope == 'Production' || self.deployType == 'Helm'",
        "alias can be set with scope: Production or deployType: Helm only: Zadig keeps none for other environments",
    )
}
