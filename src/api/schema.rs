//! What the schemas of several kinds have in common: bounds, formats and the sentences that go with them.
//!
//! Formats are CEL rules rather than `pattern`, because the API server answers a broken pattern with the regular
//! expression and a broken rule with our sentence. Nothing here is evaluated by the operator; the API server does.
//!
//! Every bound also keeps the CEL cost in its budget: the API server multiplies the worst cost of a rule by the
//! largest number of places it can apply to, and refuses the whole definition above 10 million per rule.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON,
};
use kube::core::{Reason, Rule};
use schemars::Schema;
use serde_json::{Map, Value, json};

/// Longest name of a namespace, label value or container (RFC 1123 label).
pub(super) const LABEL_MAX: u32 = 63;
/// Longest name of a Kubernetes object (RFC 1123 subdomain), and of what Zadig names freely.
pub(super) const NAME_MAX: u32 = 253;
/// Longest text that a person reads in status, as in `metav1.Condition`.
pub(super) const MESSAGE_MAX: u32 = 32_768;
/// Longest value of a variable. A `yaml` variable may hold a whole document (Z§4); 64 KiB times the lists' bounds is
/// far above what etcd takes, so the object's size is the bound in practice.
pub(super) const VALUE_MAX: u32 = 65_536;
/// Most services of one environment.
pub(super) const SERVICES_MAX: u32 = 200;
/// Most variables of one service. Names of sources are checked by `pattern`, which costs nothing, to allow this many.
pub(super) const VARIABLES_MAX: u32 = 200;
/// Most containers and most workloads of one service. Times [`SERVICES_MAX`] it is what the cost of a rule on one of
/// them is multiplied by.
pub(super) const PER_SERVICE_MAX: u32 = 32;
/// Format of the name of a Kubernetes object (RFC 1123 subdomain).
pub(super) const SUBDOMAIN: &str = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";
/// Format of a key of a Secret or ConfigMap.
pub(super) const DATA_KEY: &str = "^[-._A-Za-z0-9]+$";

const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const LABEL_VALUE: &str = "^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$";
const HOST: &str = "^([*][.])?[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";
const OBJECT_ID: &str = "^[0-9a-f]{24}$";
/// Something after a ':' or '@' that comes after the last '/', hence not the port of the registry.
const IMAGE: &str = "^\\\\S+[:@][^/:@\\\\s]+$";
/// Whole numbers only, as the operator reads them; few enough digits that no sum leaves the range of a duration.
const DURATION: &str = "^([0-9]{1,6}(h|m|s|ms))+$";

/// Gives a new object a status by which whoever waits for it waits: without any, kstatus takes an object that nobody has looked at for one
/// that is as it should be.
pub(super) fn unseen(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let versions = crd.spec.versions.iter_mut();
    let schemas =
        versions.filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    let statuses = schemas.filter_map(|schema| schema.properties.as_mut()?.get_mut("status"));
    for status in statuses {
        status.default = Some(JSON(json!({"observedGeneration": -1})));
    }
    crd
}

/// A rule whose failure is shown at `field`, relative to the struct that carries the rule.
pub(super) fn rule(field: &str, expression: &str, message: &str) -> Rule {
    Rule::new(expression)
        .message(message)
        .field_path(format!(".{field}"))
        .reason(Reason::FieldValueInvalid)
}

/// `field` may never change; also not from absent to present or back.
///
/// It sits on the parent, as a rule on an optional field is not evaluated when the field comes or goes.
pub(super) fn immutable(field: &str, why: &str) -> Rule {
    let name = identifier(field);
    rule(
        field,
        &format!(
            "has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
        ),
        &format!("{field} cannot be changed, added or removed: {why}"),
    )
}

/// The field's name in CEL, where `namespace` is a reserved word that Kubernetes lets one escape.
fn identifier(field: &str) -> &str {
    match field {
        "namespace" => "__namespace__",
        other => other,
    }
}

/// Exactly one of `fields` is set.
pub(super) fn exactly_one_of(fields: &[&str]) -> Rule {
    let set: Vec<_> = fields
        .iter()
        .map(|field| format!("has(self.{field})"))
        .collect();
    whole(
        &format!("[{}].exists_one(set, set)", set.join(", ")),
        &format!("set exactly one of {}", fields.join(", ")),
    )
}

/// A rule about a struct as a whole.
pub(super) fn whole(expression: &str, message: &str) -> Rule {
    Rule::new(expression)
        .message(message)
        .reason(Reason::FieldValueInvalid)
}

fn matches(field: &str, pattern: &str, message: &str) -> Rule {
    let name = identifier(field);
    rule(
        field,
        &format!("!has(self.{name}) || self.{name}.matches('{pattern}')"),
        &format!("{field} {message}"),
    )
}

/// `field`, when set, is an RFC 1123 label.
pub(super) fn label(field: &str, what: &str) -> Rule {
    matches(
        field,
        LABEL,
        &format!(
            "must be {what}: lower-case letters, digits and '-', with a letter or digit at both ends"
        ),
    )
}

/// `field` is the name of a Kubernetes object (RFC 1123 subdomain).
pub(super) fn object_name(field: &str, what: &str) -> Rule {
    matches(
        field,
        SUBDOMAIN,
        &format!(
            "must be {what}: lower-case letters, digits, '-' and '.', with a letter or digit at both ends"
        ),
    )
}

/// `field` is a host name, or one for all hosts below it.
pub(super) fn host(field: &str) -> Rule {
    matches(
        field,
        HOST,
        "must be a host name such as web.example.com or *.example.com, in lower case",
    )
}

/// `field` can be the value of a Kubernetes label.
pub(super) fn label_value(field: &str, what: &str) -> Rule {
    matches(
        field,
        LABEL_VALUE,
        &format!(
            "must be {what}: letters, digits, '-', '_' and '.', with a letter or digit at both ends"
        ),
    )
}

/// `field` is a key of a Secret or ConfigMap.
pub(super) fn data_key(field: &str) -> Rule {
    matches(
        field,
        DATA_KEY,
        "must be a key of a Secret or ConfigMap: letters, digits, '-', '_' and '.'",
    )
}

/// `field`, when set, is an id of Zadig's. A malformed one means "any" to Zadig (Z§4.6, Z§14.27).
pub(super) fn object_id(field: &str) -> Rule {
    matches(
        field,
        OBJECT_ID,
        "must be an id of Zadig: 24 hexadecimal digits in lower case; to use a name, set the other field",
    )
}

/// `field` is an image with a tag or a digest.
pub(super) fn image(field: &str) -> Rule {
    matches(
        field,
        IMAGE,
        "must be an image with a tag or a digest, such as registry.example.com/shop/api:1.4.2",
    )
}

/// `field`, when set, is a duration in Go's form, of whole numbers.
pub(super) fn duration(field: &str) -> Rule {
    matches(
        field,
        DURATION,
        "must be a duration of whole numbers with the units h, m, s or ms, such as 30s or 1h30m",
    )
}

/// `field`, when set and well-formed, lies between `least` and `most`.
pub(super) fn duration_between(field: &str, least: &str, most: &str, why: &str) -> Rule {
    rule(
        field,
        &format!(
            "!has(self.{field}) || !self.{field}.matches('{DURATION}') || (duration(self.{field}) >= duration('{least}') \
             && duration(self.{field}) <= duration('{most}'))"
        ),
        &format!("{field} must be between {least} and {most}: {why}"),
    )
}

/// Makes optional fields merely absent: `null` is then dropped by the API server, like a field that was left out.
///
/// With `nullable`, a `null` would be stored and every rule would have to know a third state beside set and unset.
pub(super) fn without_null(schema: &mut Schema) {
    if let Some(object) = schema.as_object_mut() {
        drop_null(object);
    }
    schemars::transform::transform_subschemas(&mut without_null, schema);
}

fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(any_of)) = object.get("anyOf") else {
        return;
    };
    if let [Value::Object(inner), Value::Object(null)] = any_of.as_slice()
        && null.get("type").is_some_and(|name| name == "null")
    {
        let inner = inner.clone();
        object.remove("anyOf");
        for (key, value) in inner {
            // What the field says of itself goes before what its type says.
            object.entry(key).or_insert(value);
        }
    }
}
