//! YAML texts as JSON values, document by document.
//!
//! Does not keep what is only form: order of keys, quotes, indentation and empty documents.

use serde_json::Value;

/// The documents of a YAML text.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| first_line(&error.to_string()))?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_read_one_by_one_without_the_empty_ones() {
        assert_eq!(
            documents("a: 1\nb: null\n\n---\nc: \"2\"\n---\n"),
            Ok(vec![json!({"a": 1, "b": null}), json!({"c": "2"})])
        );
    }

    #[test]
    fn an_empty_text_has_no_documents() {
        assert_eq!(documents(""), Ok(Vec::new()));
    }
}
