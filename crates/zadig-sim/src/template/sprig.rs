//! The rarer functions of the library that charts use: lists, maps, words, patterns and versions.
//!
//! Left out: what is random or asks for the time, certificates, the network.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::funcs::{integer, list, number, print, print_text, truth};

/// Calls the function, or `None` if it is none of these.
pub(super) fn call(name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let arg = |at: usize| args.get(at).unwrap_or(&Value::Null);
    let text = |at: usize| print_text(arg(at));
    let strings = |values: &[Value]| values.iter().map(print).collect::<Vec<_>>();
    Some(Ok(match name {
        "rest" => json!(list(arg(0)).get(1..).unwrap_or_default()),
        "initial" => {
            let all = list(arg(0));
            json!(all.get(..all.len().saturating_sub(1)).unwrap_or_default())
        }
        "prepend" => json!([std::slice::from_ref(arg(1)), list(arg(0))].concat()),
        "concat" => json!(
            args.iter()
                .flat_map(|it| list(it).to_vec())
                .collect::<Vec<_>>()
        ),
        "reverse" => json!(list(arg(0)).iter().rev().collect::<Vec<_>>()),
        "compact" => json!(
            list(arg(0))
                .iter()
                .filter(|it| truth(it))
                .collect::<Vec<_>>()
        ),
        "uniq" => json!(unique(list(arg(0)))),
        "without" => {
            let gone = args.get(1..).unwrap_or_default();
            json!(
                list(arg(0))
                    .iter()
                    .filter(|it| !gone.contains(it))
                    .collect::<Vec<_>>()
            )
        }
        "slice" => json!(sliced(list(arg(0)), args)),
        "sortAlpha" => {
            let mut words = strings(list(arg(0)));
            words.sort();
            json!(words)
        }
        "untilStep" => json!(steps(integer(arg(0)), integer(arg(1)), integer(arg(2)))),
        "any" => json!(args.iter().any(truth)),
        "all" => json!(args.iter().all(truth)),
        "values" => json!(
            arg(0)
                .as_object()
                .map(|map| map.values().collect::<Vec<_>>())
        ),
        "pick" | "omit" => json!(chosen(
            arg(0),
            &strings(&args[1.min(args.len())..]),
            name == "pick"
        )),
        "pluck" => {
            let maps = args.iter().skip(1);
            json!(maps.filter_map(|map| map.get(text(0))).collect::<Vec<_>>())
        }
        "dig" => dug(args),
        "set" => {
            let mut map = arg(0).clone();
            map[text(1)] = arg(2).clone();
            map
        }
        "unset" => {
            let mut map = arg(0).clone();
            if let Some(map) = map.as_object_mut() {
                map.remove(&text(1));
            }
            map
        }
        "cat" => json!(strings(args).join(" ")),
        "nospace" => json!(text(0).split_whitespace().collect::<String>()),
        "substr" => json!(substring(&text(2), integer(arg(0)), integer(arg(1)))),
        "kebabcase" => json!(words(&text(0)).join("-")),
        "snakecase" => json!(words(&text(0)).join("_")),
        "camelcase" => json!(
            words(&text(0))
                .iter()
                .map(|it| capital(it))
                .collect::<String>()
        ),
        "ceil" => json!(number(arg(0)).ceil()),
        "floor" => json!(number(arg(0)).floor()),
        "round" => {
            let factor = 10_f64.powi(i32::try_from(integer(arg(1))).unwrap_or(0));
            json!((number(arg(0)) * factor).round() / factor)
        }
        "typeOf" => json!(type_of(arg(0))),
        "typeIs" => json!(type_of(arg(1)) == text(0)),
        "regexMatch" => return Some(pattern(&text(0)).map(|it| json!(it.is_match(&text(1))))),
        "regexFind" => {
            return Some(pattern(&text(0)).map(|it| {
                let of = text(1);
                json!(it.find(&of).map_or("", |found| found.as_str()))
            }));
        }
        "regexReplaceAll" | "regexReplaceAllLiteral" => {
            return Some(
                pattern(&text(0))
                    .map(|it| json!(it.replace_all(&text(1), text(2).as_str()).into_owned())),
            );
        }
        "semverCompare" => json!(fits(&text(0), &text(1))),
        _ => return None,
    }))
}

fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}

fn unique(values: &[Value]) -> Vec<&Value> {
    let mut seen: Vec<&Value> = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

fn sliced<'a>(values: &'a [Value], args: &[Value]) -> &'a [Value] {
    let at = |place: usize, otherwise: usize| {
        args.get(place)
            .map_or(otherwise, |it| usize::try_from(integer(it)).unwrap_or(0))
            .min(values.len())
    };
    values
        .get(at(1, 0)..at(2, values.len()))
        .unwrap_or_default()
}

fn steps(from: i64, to: i64, step: i64) -> Vec<i64> {
    let mut all = Vec::new();
    let mut at = from;
    while step != 0 && (if step > 0 { at < to } else { at > to }) {
        all.push(at);
        at += step;
    }
    all
}

fn chosen(map: &Value, keys: &[String], wanted: bool) -> Map<String, Value> {
    map.as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| keys.contains(key) == wanted)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// `dig "a" "b" default map`.
fn dug(args: &[Value]) -> Value {
    let [keys @ .., default, map] = args else {
        return Value::Null;
    };
    keys.iter()
        .try_fold(map, |value, key| value.get(print(key)))
        .unwrap_or(default)
        .clone()
}

fn substring(text: &str, start: i64, end: i64) -> String {
    let start = usize::try_from(start).unwrap_or(0);
    let end = usize::try_from(end).unwrap_or(usize::MAX);
    text.chars()
        .skip(start)
        .take(end.saturating_sub(start))
        .collect()
}

/// The words of a name, in lower case.
fn words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        let fresh = !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if fresh {
            found.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), found.last_mut()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    found.retain(|word| !word.is_empty());
    found
}

fn capital(word: &str) -> String {
    let mut rest = word.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest).collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Whether a version fits a constraint: `||` between alternatives, commas or spaces between conditions that all hold.
fn fits(constraint: &str, version: &str) -> bool {
    let version = version_of(version);
    constraint.split("||").any(|alternative| {
        alternative
            .replace(',', " ")
            .split_whitespace()
            .all(|condition| holds(condition, version))
    })
}

fn holds(condition: &str, version: [u64; 3]) -> bool {
    let at = condition
        .find(|c: char| c.is_ascii_digit() || c == 'v')
        .unwrap_or(condition.len());
    let (operator, bound) = condition.split_at(at);
    let order = version.cmp(&version_of(bound));
    let [major, minor, _] = version_of(bound);
    match operator {
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        "!=" => order != Ordering::Equal,
        "^" => order != Ordering::Less && version[0] == major,
        "~" => order != Ordering::Less && version[..2] == [major, minor],
        _ => order == Ordering::Equal,
    }
}

/// Major, minor and patch; what comes after them is not looked at.
fn version_of(text: &str) -> [u64; 3] {
    let bare = text.trim_start_matches('v');
    let bare = bare.split(['-', '+']).next().unwrap_or(bare);
    let mut parts = bare.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(name: &str, args: &Value) -> Value {
        call(name, args.as_array().unwrap()).unwrap().unwrap()
    }

    #[test]
    fn lists_are_cut_and_joined() {
        assert_eq!(called("rest", &json!([[1, 2, 3]])), json!([2, 3]));
        assert_eq!(called("initial", &json!([[1, 2, 3]])), json!([1, 2]));
        assert_eq!(called("concat", &json!([[1], [2, 3]])), json!([1, 2, 3]));
        assert_eq!(called("without", &json!([[1, 2, 3], 2])), json!([1, 3]));
        assert_eq!(called("uniq", &json!([[1, 2, 1]])), json!([1, 2]));
        assert_eq!(called("slice", &json!([[1, 2, 3], 1, 2])), json!([2]));
        assert_eq!(called("sortAlpha", &json!([["b", "a"]])), json!(["a", "b"]));
        assert_eq!(called("untilStep", &json!([0, 6, 2])), json!([0, 2, 4]));
    }

    #[test]
    fn maps_are_taken_apart() {
        let map = json!({"a": 1, "b": {"c": 2}});
        assert_eq!(called("pick", &json!([map, "a"])), json!({"a": 1}));
        assert_eq!(called("omit", &json!([map, "a"])), json!({"b": {"c": 2}}));
        assert_eq!(called("dig", &json!(["b", "c", "none", map])), json!(2));
        assert_eq!(
            called("dig", &json!(["b", "x", "none", map])),
            json!("none")
        );
        assert_eq!(called("pluck", &json!(["a", map, {"a": 3}])), json!([1, 3]));
        assert_eq!(
            called("set", &json!([{"a": 1}, "b", 2])),
            json!({"a": 1, "b": 2})
        );
    }

    #[test]
    fn words_are_spelt_in_each_way() {
        assert_eq!(
            called("kebabcase", &json!(["myHTTP webApp"])),
            json!("my-http-web-app")
        );
        assert_eq!(
            called("camelcase", &json!(["my_web-app"])),
            json!("MyWebApp")
        );
        assert_eq!(called("substr", &json!([1, 3, "abcd"])), json!("bc"));
        assert_eq!(
            called("regexReplaceAll", &json!(["[^a-z]", "a-b", "."])),
            json!("a.b")
        );
        assert!(
            call("regexMatch", &[json!("("), json!("a")])
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn versions_are_compared_with_constraints() {
        for (constraint, version, holds) in [
            (">=1.19-0", "v1.36.1", true),
            (">=1.19-0 <1.30", "v1.36.1", false),
            ("^1.2.0", "1.9.3", true),
            ("~1.2.3", "1.3.0", false),
            ("<1.0 || >=2", "2.0.1", true),
            ("1.2.3", "1.2.3+build", true),
        ] {
            assert_eq!(fits(constraint, version), holds, "{constraint} {version}");
        }
    }
}
