//! Bad manifests fail at `kubectl apply`: every rule and every bound of every kind, tried at the real API server.
//!
//! `rules` breaks each rule that has a sentence of ours and reads it; `bounds` breaks each bound of the schemas, which the API
//! server words itself. Both start from the definitions, so that nothing in them can be left untried.

mod bounds;
mod rules;

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::core::response::{Status, StatusCause};
use serde_json::{Value, json};
use zadig_operator::api::{GROUP, VERSION, custom_resource_definitions};

use crate::support::World;

/// The definition of one kind.
pub(crate) struct Kind {
    pub(crate) name: String,
    plural: String,
    /// Schema of its `spec`.
    pub(crate) spec: Value,
}

/// Every kind.
pub(crate) fn kinds() -> Vec<Kind> {
    let definitions = custom_resource_definitions().into_iter();
    definitions
        .map(|definition| {
            let names = definition.spec.names.clone();
            let definition = serde_json::to_value(definition).expect("a definition is JSON");
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            Kind {
                name: names.kind,
                plural: names.plural,
                spec: schema["properties"]["spec"].clone(),
            }
        })
        .collect()
}

impl Kind {
    pub(crate) fn of(name: &str) -> Self {
        let mut kinds = kinds().into_iter();
        let found = kinds.find(|kind| kind.name == name);
        found.unwrap_or_else(|| panic!("there is no kind {name}"))
    }

    fn api(&self, world: &World) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(GROUP, VERSION, &self.name);
        let resource = ApiResource::from_gvk_with_plural(&kind, &self.plural);
        Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
    }

    fn object(&self, name: &str, spec: &Value) -> DynamicObject {
        let manifest = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": self.name,
            "metadata": {"name": name},
            "spec": spec,
        });
        serde_json::from_value(manifest).expect("a manifest")
    }

    /// Makes an object.
    pub(crate) async fn create(&self, world: &World, name: &str, spec: &Value) {
        let object = self.object(name, spec);
        let api = self.api(world);
        let created = api.create(&PostParams::default(), &object).await;
        created.unwrap_or_else(|error| panic!("{} {name}: {error}", self.name));
    }

    /// What the API server says of a new object; nothing is stored.
    pub(crate) async fn try_create(&self, world: &World, spec: &Value) -> Vec<StatusCause> {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let object = self.object("tried", spec);
        causes(self.api(world).create(&params, &object).await)
    }

    /// What the API server says of a change; nothing is stored.
    pub(crate) async fn try_change(
        &self,
        world: &World,
        name: &str,
        spec: &Value,
    ) -> Vec<StatusCause> {
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"spec": spec}));
        causes(self.api(world).patch(name, &params, &patch).await)
    }
}

/// Why it was refused; nothing if it was not.
fn causes(outcome: Result<DynamicObject, kube::Error>) -> Vec<StatusCause> {
    match outcome {
        Ok(_) => Vec::new(),
        Err(kube::Error::Api(status)) => {
            let Status { code, details, .. } = *status;
            assert_eq!(code, 422, "refused for another reason: {details:?}");
            details.map(|details| details.causes).unwrap_or_default()
        }
        Err(error) => panic!("the API server does not answer: {error}"),
    }
}

/// A copy of a spec with the value at a path replaced: `services.0.name`; null removes it.
pub(crate) fn with(spec: &Value, path: &str, value: Value) -> Value {
    let mut edited = spec.clone();
    let mut place = &mut edited;
    let (parents, last) = match path.rsplit_once('.') {
        Some((parents, last)) => (parents.split('.').collect(), last),
        None => (Vec::new(), path),
    };
    for segment in parents {
        place = match segment.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[segment],
        };
    }
    match (last.parse::<usize>(), value) {
        (Ok(index), value) => place[index] = value,
        (Err(_), Value::Null) => {
            let place = place.as_object_mut();
            place.and_then(|object| object.remove(last));
        }
        (Err(_), value) => place[last] = value,
    }
    edited
}

/// A world needs no Zadig for this: all objects are suspended.
pub(crate) fn suspended(mut spec: Value) -> Value {
    spec["suspend"] = true.into();
    spec
}
