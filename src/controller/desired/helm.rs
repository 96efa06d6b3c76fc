//! From `services[].helm` to a release as declared: files of values laid over each other, overrides resolved, one digest over all.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{SourceKind, Sources, source, value};
use crate::api::condition::Reason;
use crate::api::environment::{Helm as Declared, HelmStrategy, Service as DeclaredService};
use crate::controller::digest::DigestKey;
use crate::plan::Blocked;
use crate::plan::environment::helm::values::Values;
use crate::plan::environment::helm::{Helm, Source};

/// The Secrets and ConfigMaps that the releases of services refer to, by kind and name.
pub(super) fn sources(services: &[DeclaredService]) -> impl Iterator<Item = (SourceKind, String)> {
    services
        .iter()
        .filter_map(|service| service.helm.as_ref())
        .flat_map(|helm| {
            let overrides = helm
                .overrides
                .iter()
                .filter_map(|it| it.value_from.as_ref());
            helm.values_from.iter().chain(overrides)
        })
        .filter_map(|from| source(from).map(|(kind, key)| (kind, key.name.clone())))
}

/// The release of a service as declared; what is missing of it is noted.
pub(super) fn declare(
    service: &DeclaredService,
    sources: &Sources,
    key: &DigestKey,
    missing: &mut Vec<Blocked>,
) -> Option<Helm> {
    let Declared {
        strategy,
        values,
        values_from,
        overrides,
        git,
    } = service.helm.as_ref()?;
    let field = format!("spec.services[{}].helm", service.name);
    let mut tree = Values::default();
    for (index, from) in values_from.iter().enumerate() {
        let field = format!("{field}.valuesFrom[{index}]");
        match value(&field, None, Some(from), sources).and_then(|text| file(&field, text.expose()))
        {
            Ok(file) => tree.lay_over(file),
            Err(blocked) => missing.push(blocked),
        }
    }
    tree.lay_over(values.clone().unwrap_or_default());
    let mut single = BTreeMap::new();
    for override_ in overrides {
        let field = format!("{field}.overrides[{}]", override_.key);
        let (plain, from) = (override_.value.as_ref(), override_.value_from.as_ref());
        match value(&field, plain, from, sources) {
            Ok(text) => {
                single.insert(override_.key.clone(), text);
            }
            Err(blocked) => missing.push(blocked),
        }
    }
    let mut helm = Helm {
        strategy: *strategy,
        source: git.clone().map_or(Source::Values(tree), Source::Git),
        overrides: single,
        digest: String::new(),
    };
    helm.digest = digest(&helm, key);
    Some(helm)
}

/// A values file; an empty one has no values.
fn file(field: &str, text: &str) -> Result<Map<String, Value>, Blocked> {
    // What the parser says may repeat the text, which may be a secret.
    match serde_saphyr::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) | Err(_) => Err(Blocked::new(
            Reason::InvalidSpec,
            format!(
                "{field}: the text is no YAML with keys and values, as a values file has to be"
            ),
        )),
    }
}

fn digest(helm: &Helm, key: &DigestKey) -> String {
    let strategy = match helm.strategy {
        HelmStrategy::Deploy => "deploy",
        HelmStrategy::Import => "import",
        HelmStrategy::Draft => "draft",
    };
    let source = match &helm.source {
        // Maps are sorted by key, so equal values have equal texts.
        Source::Values(values) => Value::Object(values.expose().clone()).to_string(),
        Source::Git(git) => {
            let parts = [&git.codehost, &git.owner, &git.repo, &git.branch, &git.path];
            key.digest(parts.map(String::as_str))
        }
    };
    let overrides = helm
        .overrides
        .iter()
        .flat_map(|(path, text)| [path.as_str(), text.expose()]);
    key.digest([strategy, source.as_str()].into_iter().chain(overrides))
}
