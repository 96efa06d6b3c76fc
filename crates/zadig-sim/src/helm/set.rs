//! Single values beneath a path of keys, as `helm --set` reads them: `a.b=1,c[0].d=x,e={x,y},f=null`.
//!
//! A backslash takes its meaning from a comma, a dot, a bracket or an equals sign. Numbers and booleans are recognised, a number
//! with a leading zero is a text, and `null` takes a default of the chart away.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Map, Value, json};

/// Longer lists are a mistake in Helm's eyes.
const LONGEST_LIST: usize = 65_536;

/// Puts what `text` says into `values`; the error is Helm's.
pub(crate) fn set(values: &mut Map<String, Value>, text: &str) -> Result<(), String> {
    let mut reader = Reader {
        rest: text.chars().peekable(),
    };
    while reader.rest.peek().is_some() {
        reader.key(values)?;
    }
    Ok(())
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    /// Reads up to one of the characters of `stops`, which is taken as well; `None` at the end of the text.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(next) = self.rest.next() {
            match next {
                '\\' => text.extend(self.rest.next()),
                stop if stops.contains(&stop) => return (text, Some(stop)),
                other => text.push(other),
            }
        }
        (text, None)
    }

    fn key(&mut self, map: &mut Map<String, Value>) -> Result<(), String> {
        let (key, stop) = self.until(&['=', '[', ',', '.']);
        match stop {
            None if key.is_empty() => Ok(()),
            None => Err(format!("key {key:?} has no value")),
            Some(',') => Err(format!("key {key:?} has no value (cannot end with ,)")),
            Some('=') => {
                let value = self.value()?;
                map.insert(key, value);
                Ok(())
            }
            Some('[') => {
                let slot = map.entry(key).or_insert(Value::Null);
                self.item(slot)
            }
            Some(_) => {
                if self.rest.peek().is_none() {
                    return Err(format!("key map {key:?} has no value"));
                }
                self.key(below(map.entry(key.clone()).or_insert(Value::Null), &key)?)
            }
        }
    }

    /// What follows an opening bracket.
    fn item(&mut self, slot: &mut Value) -> Result<(), String> {
        let (index, stop) = self.until(&[']']);
        let index = index
            .parse::<usize>()
            .ok()
            .filter(|index| stop.is_some() && *index <= LONGEST_LIST)
            .ok_or_else(|| format!("error parsing index: {index:?}"))?;
        if slot.is_null() {
            *slot = json!([]);
        }
        let list = slot
            .as_array_mut()
            .ok_or("unable to parse key: a list is expected")?;
        if list.len() <= index {
            list.resize(index + 1, Value::Null);
        }
        match self.rest.next() {
            Some('=') => {
                list[index] = self.value()?;
                Ok(())
            }
            Some('[') => self.item(&mut list[index]),
            Some('.') => self.key(below(&mut list[index], "")?),
            _ => Err(format!("unexpected data at end of array index {index}")),
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.rest.next_if_eq(&'{').is_none() {
            return Ok(typed(&self.until(&[',']).0));
        }
        let mut list = Vec::new();
        loop {
            let (item, stop) = self.until(&[',', '}']);
            if stop.is_none() {
                return Err("list must terminate with '}'".to_owned());
            }
            if !(item.is_empty() && list.is_empty() && stop == Some('}')) {
                list.push(typed(&item));
            }
            if stop == Some('}') {
                self.rest.next_if_eq(&',');
                return Ok(Value::Array(list));
            }
        }
    }
}

/// The map at a place, made if there is nothing.
fn below<'a>(slot: &'a mut Value, key: &str) -> Result<&'a mut Map<String, Value>, String> {
    if slot.is_null() {
        *slot = json!({});
    }
    slot.as_object_mut()
        .ok_or_else(|| format!("unable to parse key: {key:?} is no map"))
}

fn typed(text: &str) -> Value {
    match text {
        "true" => json!(true),
        "false" => json!(false),
        "null" => Value::Null,
        "0" => json!(0),
        // A leading zero makes it a text, such as a telephone number.
        _ if text.starts_with('0') => json!(text),
        _ => text
            .parse::<i64>()
            .map_or_else(|_| json!(text), |number| json!(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Value, String> {
        let mut values = json!({"image": {"tag": "v1"}, "list": ["a", "b"]});
        set(values.as_object_mut().unwrap(), text)?;
        Ok(values)
    }

    #[test]
    fn values_are_put_beneath_their_keys_and_the_rest_stays() {
        assert_eq!(
            parsed("image.repository=r/web,replicas=2,debug=true,off=null").unwrap(),
            json!({
                "image": {"tag": "v1", "repository": "r/web"}, "list": ["a", "b"], "replicas": 2, "debug": true, "off": null
            })
        );
    }

    #[test]
    fn lists_are_written_by_index_or_whole() {
        assert_eq!(
            parsed("list[1]=x,list[3].name=y,all={a,2,},none={}").unwrap(),
            json!({
                "image": {"tag": "v1"}, "list": ["a", "x", null, {"name": "y"}], "all": ["a", 2, ""], "none": []
            })
        );
    }

    #[test]
    fn texts_stay_texts() {
        let values = parsed(r"a=007,b=0,c=1.5,d=x=y.z,e=,f\.g=p\,q").unwrap();
        let texts = json!({"a": "007", "b": 0, "c": "1.5", "d": "x=y.z", "e": "", "f.g": "p,q"});
        for (key, text) in texts.as_object().unwrap() {
            assert_eq!(&values[key], text, "{key}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for text in [
            "a",
            "a,b=1",
            "a.",
            "a[x]=1",
            "a[0",
            "a={1",
            "image.tag.deep=1",
            "image[0]=1",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
