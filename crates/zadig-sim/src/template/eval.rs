//! Running the tree.

use serde_json::Value;

use super::Defined;
use super::funcs;
use super::parse::{Node, Operand, Pipeline};

/// Deeper than any sane chart; a template that includes itself stops here.
const DEPTH: usize = 100;

pub(super) fn render(nodes: &[Node], data: &Value, defined: &Defined) -> Result<String, String> {
    let mut run = Run {
        defined,
        out: String::new(),
        depth: 0,
    };
    let mut scope = Scope {
        variables: vec![(String::new(), data.clone())],
    };
    run.whole(nodes, data, &mut scope)?;
    Ok(run.out)
}

/// How a range goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Continue,
    Break,
}

struct Run<'a> {
    defined: &'a Defined,
    out: String,
    depth: usize,
}

/// Variables, innermost last; the root is the one without a name.
struct Scope {
    variables: Vec<(String, Value)>,
}

impl Scope {
    fn get(&self, name: &str) -> Result<&Value, String> {
        self.variables
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
            .ok_or_else(|| format!("undefined variable \"${name}\""))
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Some((_, slot)) = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name)
        {
            *slot = value;
        }
    }
}

impl Run<'_> {
    /// Nodes that no range surrounds.
    fn whole(&mut self, nodes: &[Node], dot: &Value, scope: &mut Scope) -> Result<(), String> {
        match self.nodes(nodes, dot, scope)? {
            Flow::On => Ok(()),
            Flow::Continue => Err("{{continue}} outside {{range}}".to_owned()),
            Flow::Break => Err("{{break}} outside {{range}}".to_owned()),
        }
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value, scope: &mut Scope) -> Result<Flow, String> {
        let outer = scope.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot, scope)?;
            if flow != Flow::On {
                break;
            }
        }
        scope.variables.truncate(outer);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value, scope: &mut Scope) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot, scope)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&match value {
                        // A missing key and a stored nil look alike in an untyped map.
                        Value::Null => "<no value>".to_owned(),
                        value => funcs::print(&value),
                    });
                }
            }
            Node::If(condition, then, otherwise) => {
                let outer = scope.variables.len();
                let value = self.pipeline(condition, dot, scope)?;
                let branch = if funcs::truth(&value) {
                    then
                } else {
                    otherwise
                };
                let flow = self.nodes(branch, dot, scope)?;
                scope.variables.truncate(outer);
                return Ok(flow);
            }
            Node::With(subject, then, otherwise) => {
                let outer = scope.variables.len();
                let value = self.pipeline(subject, dot, scope)?;
                let flow = if funcs::truth(&value) {
                    self.nodes(then, &value, scope)?
                } else {
                    self.nodes(otherwise, dot, scope)?
                };
                scope.variables.truncate(outer);
                return Ok(flow);
            }
            Node::Range(subject, body, otherwise) => {
                return self.range(subject, body, otherwise, dot, scope);
            }
            Node::Call(name, data) => {
                let data = match data {
                    Some(pipeline) => self.pipeline(pipeline, dot, scope)?,
                    None => Value::Null,
                };
                let text = self.include(name, &data)?;
                self.out.push_str(&text);
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        subject: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
        scope: &mut Scope,
    ) -> Result<Flow, String> {
        let plain = Pipeline {
            variables: Vec::new(),
            declares: false,
            ..subject.clone()
        };
        let items: Vec<(Value, Value)> = match self.pipeline(&plain, dot, scope)? {
            Value::Array(items) => items
                .into_iter()
                .enumerate()
                .map(|(at, item)| (Value::from(at), item))
                .collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(key, value)| (Value::from(key), value))
                .collect(),
            Value::Number(count) => (0..count.as_u64().unwrap_or(0))
                .map(|at| (at.into(), at.into()))
                .collect(),
            Value::Null => Vec::new(),
            other => return Err(format!("range can't iterate over {}", funcs::print(&other))),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot, scope);
        }
        for (key, item) in items {
            let outer = scope.variables.len();
            match subject.variables.as_slice() {
                [value] => scope.variables.push((value.clone(), item.clone())),
                [index, value] => {
                    scope.variables.push((index.clone(), key));
                    scope.variables.push((value.clone(), item.clone()));
                }
                _ => {}
            }
            let flow = self.nodes(body, &item, scope)?;
            scope.variables.truncate(outer);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn include(&mut self, name: &str, data: &Value) -> Result<String, String> {
        let nodes = self
            .defined
            .get(name)
            .ok_or_else(|| format!("template {name:?} not defined"))?;
        if self.depth == DEPTH {
            return Err(format!("template {name:?} includes itself"));
        }
        let mut run = Run {
            defined: self.defined,
            out: String::new(),
            depth: self.depth + 1,
        };
        let mut scope = Scope {
            variables: vec![(String::new(), data.clone())],
        };
        run.whole(nodes, data, &mut scope)?;
        Ok(run.out)
    }

    fn pipeline(
        &mut self,
        pipeline: &Pipeline,
        dot: &Value,
        scope: &mut Scope,
    ) -> Result<Value, String> {
        let mut result: Option<Value> = None;
        for command in &pipeline.commands {
            result = Some(self.command(command, result, dot, scope)?);
        }
        let result = result.unwrap_or(Value::Null);
        for name in &pipeline.variables {
            if pipeline.declares {
                scope.variables.push((name.clone(), result.clone()));
            } else {
                scope.set(name, result.clone());
            }
        }
        Ok(result)
    }

    fn command(
        &mut self,
        command: &[Operand],
        piped: Option<Value>,
        dot: &Value,
        scope: &mut Scope,
    ) -> Result<Value, String> {
        let Some((first, arguments)) = command.split_first() else {
            return Ok(Value::Null);
        };
        let Operand::Function(name) = first else {
            if arguments.is_empty() && piped.is_none() {
                return self.operand(first, dot, scope);
            }
            let argument = match (arguments.first(), piped) {
                (Some(argument), _) => self.operand(argument, dot, scope)?,
                (None, piped) => piped.unwrap_or_default(),
            };
            return self.method(first, &argument, dot, scope);
        };
        // These two stop at the first argument that decides.
        if matches!(name.as_str(), "and" | "or") {
            let mut last = Value::Null;
            for argument in arguments {
                last = self.operand(argument, dot, scope)?;
                if funcs::truth(&last) == (name == "or") {
                    return Ok(last);
                }
            }
            return Ok(piped.unwrap_or(last));
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(argument, dot, scope)?);
        }
        values.extend(piped);
        // Maps are changed in place in Go; here the variable that holds the map is.
        if let ("set" | "unset", Some(Operand::Variable(variable, fields))) =
            (name.as_str(), arguments.first())
            && fields.is_empty()
        {
            let changed = funcs::call(name, &values)?;
            scope.set(variable, changed.clone());
            return Ok(changed);
        }
        match (name.as_str(), values.as_slice()) {
            ("include", [Value::String(name), data]) => {
                self.include(&name.clone(), &data.clone()).map(Value::from)
            }
            ("tpl", [Value::String(text), data]) => {
                let template = super::Template::parse(text)?;
                template.render(data, self.defined).map(Value::from)
            }
            _ => funcs::call(name, &values),
        }
    }

    /// `.Capabilities.APIVersions.Has "v1"` and `.Files.Get "name"`: the only methods with an argument.
    fn method(
        &mut self,
        operand: &Operand,
        argument: &Value,
        dot: &Value,
        scope: &mut Scope,
    ) -> Result<Value, String> {
        let mut subject = operand.clone();
        let method = match &mut subject {
            Operand::Dot(fields) | Operand::Variable(_, fields) | Operand::Nested(_, fields) => {
                fields.pop()
            }
            _ => None,
        };
        let subject = self.operand(&subject, dot, scope)?;
        match (method.as_deref(), &subject) {
            (Some("Has"), Value::Array(items)) => Ok(Value::from(items.contains(argument))),
            (Some("Get"), Value::Object(map)) => Ok(map
                .get(&funcs::print(argument))
                .cloned()
                .unwrap_or_else(|| Value::from(""))),
            _ => Err("can't give argument to non-function".to_owned()),
        }
    }

    fn operand(
        &mut self,
        operand: &Operand,
        dot: &Value,
        scope: &mut Scope,
    ) -> Result<Value, String> {
        match operand {
            Operand::Text(text) => Ok(Value::from(text.as_str())),
            Operand::Number(number) => Ok(Value::Number(number.clone())),
            Operand::Bool(flag) => Ok(Value::from(*flag)),
            Operand::Nil => Ok(Value::Null),
            Operand::Function(name) => funcs::call(name, &[]),
            Operand::Dot(fields) => fields_of(dot, fields),
            Operand::Variable(name, fields) => fields_of(scope.get(name)?, fields),
            Operand::Nested(pipeline, fields) => {
                fields_of(&self.pipeline(pipeline, dot, scope)?, fields)
            }
        }
    }
}

fn fields_of(value: &Value, fields: &[String]) -> Result<Value, String> {
    let mut value = value;
    for (at, field) in fields.iter().enumerate() {
        value = match value {
            Value::Object(map) => map.get(field).unwrap_or(&Value::Null),
            Value::Null if at == 0 => &Value::Null,
            Value::Null => {
                return Err(format!("nil pointer evaluating interface {{}}.{field}"));
            }
            other => {
                return Err(format!(
                    "can't evaluate field {field} in {}",
                    funcs::print(other)
                ));
            }
        };
    }
    Ok(value.clone())
}
