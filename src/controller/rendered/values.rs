//! What a service's variables are, told from its template and from what Zadig renders of it.
//!
//! No route shows the values (Z§6.1). Where the template has a plain `{{.key}}`, laying it beside the rendered text gives the
//! value. That is believed only when everything else in the two agrees, as the environment may have been rendered from an
//! older revision. A value that cannot be told is left out; a wrong one is never given.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{documents, fill, is_workload};
use crate::plan::secret::SecretText;

/// What Zadig puts into a template by itself (Z§4.4).
#[derive(Clone, Copy, Debug)]
pub(in crate::controller) struct Place<'a> {
    /// Project key.
    pub project: &'a str,
    /// Environment key.
    pub env: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Service.
    pub service: &'a str,
}

/// Most placeholders in one scalar that are told apart.
const TOLD_APART: usize = 8;

/// Brackets around the number of a placeholder: characters of private use, which no template holds.
const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';

/// The values that can be told, by key.
#[must_use]
pub(in crate::controller) fn values(
    template: &str,
    rendered: &str,
    place: Place<'_>,
) -> BTreeMap<String, SecretText> {
    aligned(template, rendered, place).unwrap_or_default()
}

fn aligned(
    template: &str,
    rendered: &str,
    place: Place<'_>,
) -> Option<BTreeMap<String, SecretText>> {
    if template.contains([OPEN, CLOSE]) {
        return None;
    }
    let mut keys = Vec::new();
    let marked = fill(template, |key| {
        keys.push(key.to_owned());
        format!("{OPEN}{}{CLOSE}", keys.len() - 1)
    })?;
    let marked = marked
        .replace("$Namespace$", &place.namespace.to_lowercase())
        .replace("$EnvName$", &place.env.to_lowercase())
        .replace("$Product$", &place.project.to_lowercase())
        .replace("$Service$", &place.service.to_lowercase());
    let (template, rendered) = (documents(&marked)?, documents(rendered)?);
    if template.len() != rendered.len() {
        return None;
    }
    let mut alignment = Alignment {
        keys,
        told: BTreeMap::new(),
        doubtful: BTreeSet::new(),
    };
    let agree = template
        .iter()
        .zip(&rendered)
        .all(|(template, rendered)| alignment.document(template, rendered));
    agree.then(|| alignment.finish())
}

/// Two texts side by side, and what they told so far.
struct Alignment {
    /// The key of each placeholder, by its number.
    keys: Vec<String>,
    told: BTreeMap<String, String>,
    /// Keys that are rendered in more than one way, as where Kubernetes has a form of its own for a quantity.
    doubtful: BTreeSet<String>,
}

impl Alignment {
    fn document(&mut self, template: &Value, rendered: &Value) -> bool {
        if !is_workload(rendered) {
            return self.node(template, rendered);
        }
        let (mut template, mut rendered) = (template.clone(), rendered.clone());
        // Scaling overrides a literal number, and rewrites a variable (Z§4.15).
        let literal = |value: &Value| !value.as_str().is_some_and(|text| text.contains(OPEN));
        if template.pointer("/spec/replicas").is_none_or(literal) {
            for document in [&mut template, &mut rendered] {
                super::remove(document, "/spec", "replicas");
            }
        }
        // Images are stored beside the variables and win over them (Z§4.4).
        for document in [&mut template, &mut rendered] {
            super::each_container(document, |container| {
                container.remove("image");
            });
        }
        self.node(&template, &rendered)
    }

    /// Whether the two agree, up to placeholders and to what Go types add and leave out (Z§4.4).
    fn node(&mut self, template: &Value, rendered: &Value) -> bool {
        match (template, rendered) {
            (Value::Object(template), Value::Object(rendered)) => self.object(template, rendered),
            (Value::Array(template), Value::Array(rendered)) => {
                template.len() == rendered.len()
                    && template
                        .iter()
                        .zip(rendered)
                        .all(|(template, rendered)| self.node(template, rendered))
            }
            (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => {
                is_nothing(template) && is_nothing(rendered)
            }
            _ => {
                let (template, rendered) = (text(template), text(rendered));
                self.scalar(&template, &rendered)
            }
        }
    }

    fn object(&mut self, template: &Map<String, Value>, rendered: &Map<String, Value>) -> bool {
        let added = rendered
            .iter()
            .all(|(key, value)| template.contains_key(key) || is_nothing(value));
        added
            && template.iter().all(|(key, template)| {
                if key.contains(OPEN) {
                    return false;
                }
                match rendered.get(key) {
                    // A quantity has several spellings, and Kubernetes prefers its own.
                    Some(rendered) if matches!(key.as_str(), "limits" | "requests") => {
                        self.quantities(template, rendered)
                    }
                    Some(rendered) => self.node(template, rendered),
                    // An empty value is left out: which of several variables is empty cannot be told.
                    None => is_nothing(template) || is_placeholders(template),
                }
            })
    }

    fn quantities(&mut self, template: &Value, rendered: &Value) -> bool {
        let (Value::Object(template), Value::Object(rendered)) = (template, rendered) else {
            return self.node(template, rendered);
        };
        template.len() == rendered.len()
            && template.iter().all(|(key, template)| {
                rendered.get(key).is_some_and(|rendered| {
                    let template = text(template);
                    !template.contains(OPEN) || self.scalar(&template, &text(rendered))
                })
            })
    }

    fn scalar(&mut self, template: &str, rendered: &str) -> bool {
        if !template.contains(OPEN) {
            return template == rendered;
        }
        let (first, parts) = split(template);
        let Some(rest) = rendered.strip_prefix(first) else {
            return false;
        };
        if parts.len() > TOLD_APART {
            return true;
        }
        let mut found = Vec::new();
        solutions(&parts, rest, &mut Vec::new(), &mut found);
        match found.as_slice() {
            [] => false,
            [values] => {
                for ((number, _), value) in parts.iter().zip(values) {
                    self.tell(*number, value);
                }
                true
            }
            // It agrees in more than one way.
            _ => true,
        }
    }

    fn tell(&mut self, number: usize, value: &str) {
        let Some(key) = self.keys.get(number) else {
            return;
        };
        let known = self
            .told
            .entry(key.clone())
            .or_insert_with(|| value.to_owned());
        if known != value {
            self.doubtful.insert(key.clone());
        }
    }

    fn finish(self) -> BTreeMap<String, SecretText> {
        let Self {
            keys: _,
            told,
            doubtful,
        } = self;
        told.into_iter()
            // The fields of a structured variable are no variables.
            .filter(|(key, _)| !doubtful.contains(key) && !key.contains('.'))
            .map(|(key, value)| (key, SecretText::new(value)))
            .collect()
    }
}

/// The text before the first placeholder, and each placeholder's number with the text that follows it.
fn split(template: &str) -> (&str, Vec<(usize, &str)>) {
    let mut pieces = template.split(OPEN);
    let first = pieces.next().unwrap_or_default();
    let parts = pieces
        .filter_map(|piece| {
            let (number, after) = piece.split_once(CLOSE)?;
            Some((number.parse().ok()?, after))
        })
        .collect();
    (first, parts)
}

/// The ways in which `text` can be read as these placeholders and the texts after them; two are as good as many.
fn solutions<'a>(
    parts: &[(usize, &str)],
    text: &'a str,
    values: &mut Vec<&'a str>,
    found: &mut Vec<Vec<&'a str>>,
) {
    let Some(((_, after), others)) = parts.split_first() else {
        if text.is_empty() {
            found.push(values.clone());
        }
        return;
    };
    if others.is_empty() {
        if let Some(value) = text.strip_suffix(after) {
            values.push(value);
            found.push(values.clone());
            values.pop();
        }
        return;
    }
    for (at, _) in text.match_indices(after) {
        if found.len() > 1 {
            return;
        }
        values.push(&text[..at]);
        solutions(others, &text[at + after.len()..], values, found);
        values.pop();
    }
}

/// A scalar as the text that made it, as far as that can be known.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a Go type may leave the value out, or add it.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
    }
}

/// Whether the value is made of placeholders alone.
fn is_placeholders(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        let (first, parts) = split(text);
        first.is_empty() && !parts.is_empty() && parts.iter().all(|(_, after)| after.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: {{.replicas}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example.com/web:v1
          env:
            - {name: LOG_LEVEL, value: \"{{.logLevel}}\"}
            - {name: DEBUG, value: \"{{ .debug }}\"}
            - {name: EMPTY, value: \"{{.empty}}\"}
          ports: [{containerPort: {{.port}}}]
          resources: {limits: {cpu: {{.cpuLimit}}, memory: 0.5Gi}}
        - {name: sidecar, image: {{.sidecar}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web-config}
data:
  GREETING: hello from $EnvName$ in $Namespace$ ($Product$/$Service$)
  url: http://{{.host}}:{{.port}}/{{.path}}
";

    /// What Zadig shows of it: sorted, through Go types, with stored images (Z§4.4).
    const RENDERED: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  creationTimestamp: null
  labels:
    app: web
  name: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  strategy: {}
  template:
    metadata:
      creationTimestamp: null
      labels:
        app: web
    spec:
      containers:
      - env:
        - name: LOG_LEVEL
          value: info
        - name: DEBUG
          value: \"false\"
        - name: EMPTY
        image: registry.example.com/web:v2
        name: web
        ports:
        - containerPort: 8080
        resources:
          limits:
            cpu: 120m
            memory: 512Mi
      - image: registry.example.com/sidecar:v1
        name: sidecar
        resources: {}
status: {}

---
apiVersion: v1
data:
  GREETING: hello from g1 in golden-env-g1 (golden/web)
  url: http://web.example.com:8080/a
kind: ConfigMap
metadata:
  name: web-config
";

    fn told(template: &str, rendered: &str) -> Vec<(String, String)> {
        let place = Place {
            project: "Golden",
            env: "g1",
            namespace: "golden-env-g1",
            service: "web",
        };
        values(template, rendered, place)
            .into_iter()
            .map(|(key, value)| (key, value.expose().to_owned()))
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_plain_placeholder_gives_its_value_and_an_image_or_an_empty_one_none() {
        assert_eq!(
            told(TEMPLATE, RENDERED),
            pairs(&[
                ("cpuLimit", "120m"),
                ("debug", "false"),
                ("host", "web.example.com"),
                ("logLevel", "info"),
                ("path", "a"),
                ("port", "8080"),
                ("replicas", "2"),
            ])
        );
    }

    #[test]
    fn nothing_is_told_when_the_environment_has_another_revision_of_the_template() {
        for (old, new) in [
            ("value: \"{{ .debug }}\"", "value: always"),
            ("LOG_LEVEL", "LOG"),
            ("kind: ConfigMap", "kind: Secret"),
            ("hello from", "greetings from"),
            ("---\n", "---\nkind: Service\nmetadata: {name: web}\n---\n"),
            ("            - {name: EMPTY, value: \"{{.empty}}\"}\n", ""),
            (
                "metadata: {name: web-config}",
                "metadata: {name: web-config, labels: {a: b}}",
            ),
        ] {
            let other = TEMPLATE.replacen(old, new, 1);
            assert_ne!(other, TEMPLATE, "{old}");
            assert_eq!(told(&other, RENDERED), [], "{old} -> {new}");
        }
    }

    #[test]
    fn literal_numbers_of_replicas_and_quantities_may_differ() {
        let template = TEMPLATE.replace("{{.replicas}}", "1");
        let told = told(&template, RENDERED);
        assert_eq!(told.len(), 6);
        assert!(told.iter().all(|(key, _)| key != "replicas"), "{told:?}");
    }

    #[test]
    fn a_template_that_decides_or_calculates_tells_nothing() {
        for extra in [
            "{{if .debug}}{{end}}",
            "{{.port | quote}}",
            "{{ add .a .b }}",
            "{{/* c */}}",
        ] {
            let template = format!("# {extra}\n{TEMPLATE}");
            assert_eq!(told(&template, RENDERED), [], "{extra}");
        }
    }

    #[test]
    fn a_scalar_with_several_placeholders_tells_them_only_where_there_is_one_way() {
        let one = |template: &str, rendered: &str| {
            told(
                &format!("kind: ConfigMap\ndata:\n  a: \"{template}\"\n"),
                &format!("kind: ConfigMap\ndata:\n  a: \"{rendered}\"\n"),
            )
        };
        assert_eq!(
            one("{{.a}}-{{.b}}", "x-y"),
            pairs(&[("a", "x"), ("b", "y")])
        );
        assert_eq!(one("{{.a}}-{{.b}}", "x-y-z"), []);
        assert_eq!(one("{{.a}}{{.b}}", "xy"), []);
        assert_eq!(one("<{{.a}}>", "<x>"), pairs(&[("a", "x")]));
        assert_eq!(one("<{{.a}}>", "(x)"), []);
        // Once told as 1 and once as 2: an edit is under way, or a spelling of its own.
        assert_eq!(one("{{.a}}-{{.a}}", "1-2"), []);
        let many = "{{.a}},".repeat(50);
        assert_eq!(one(&many, &"x,".repeat(50)), []);
    }

    #[test]
    fn the_fields_of_a_structured_variable_are_not_told() {
        assert_eq!(
            told(
                "kind: A\nx: {{.db.user}}\ny: {{.z}}\n",
                "kind: A\nx: root\ny: 1\n"
            ),
            pairs(&[("z", "1")])
        );
    }

    #[test]
    fn white_space_that_a_placeholder_trims_is_trimmed() {
        assert_eq!(
            told(
                "kind: A\nx: {{- .a }}\ny: [ {{- .b -}} ]\n",
                "kind: A\nx: 1\ny: [2]\n"
            ),
            []
        );
        assert_eq!(
            told("kind: A\ny: [ {{- .b -}} ]\n", "kind: A\ny: [2]\n"),
            pairs(&[("b", "2")])
        );
    }

    #[test]
    fn an_empty_or_broken_text_tells_nothing() {
        for (template, rendered) in [
            (TEMPLATE, ""),
            ("", RENDERED),
            ("kind: {{.a", "kind: b"),
            ("a: [", "a: "),
        ] {
            assert_eq!(told(template, rendered), []);
        }
    }
}
