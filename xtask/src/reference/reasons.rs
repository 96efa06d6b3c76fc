//! The page of the condition reasons: what each means from the type, and what to know and to do from `docs/reasons.yaml`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::{head, prose, row};
use crate::paths;

/// Path within the workspace of what is written about the reasons.
const EXPLAINED: &str = "docs/reasons.yaml";

const BEGINNING: &str = "# Reasons\n\nThe `reason` of a condition is a word of this list. The conditions themselves are told in [Concepts](../concepts.md#conditions); `kubectl get` shows the reason\nof `Ready`, and `kubectl describe` the message, which names the field or the thing that it is about. A new release may add words.\n\nAn object is looked at again when its spec, its connection or what it refers to changes; a stalled one besides every two minutes, and one that\nrests at the latest after the connection's `spec.intervals.deep`. The annotation `zadig-operator.io/reconcile-requested-at` with a new value has it done at once:\n\n```sh\nkubectl annotate zenv/dev --overwrite zadig-operator.io/reconcile-requested-at=\"$(date)\"\n```\n";

/// What is written about one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Explained {
    reason: String,
    cause: String,
    consequence: String,
    remedy: String,
}

pub(super) fn page(schema: &Value) -> Result<String> {
    let path = paths::workspace().join(EXPLAINED);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let explained: Vec<Explained> =
        serde_saphyr::from_str(&text).with_context(|| format!("{EXPLAINED} is not understood"))?;
    render(&meanings(schema)?, explained)
}

/// The words of the type with their meaning, from its schema.
fn meanings(schema: &Value) -> Result<BTreeMap<String, String>> {
    let words = schema["oneOf"]
        .as_array()
        .context("the schema of the reasons lists none")?;
    words
        .iter()
        .map(|word| {
            let text = |key: &str| word[key].as_str().map(str::to_owned);
            text("const")
                .zip(text("description"))
                .with_context(|| format!("a reason has no meaning: {word}"))
        })
        .collect()
}

fn render(meanings: &BTreeMap<String, String>, explained: Vec<Explained>) -> Result<String> {
    let mut rows = BTreeMap::new();
    for one in explained {
        if !meanings.contains_key(&one.reason) {
            bail!("{EXPLAINED}: there is no reason {}", one.reason);
        }
        let texts = [&one.cause, &one.consequence, &one.remedy];
        if texts.iter().any(|text| !text.ends_with('.')) {
            bail!("{EXPLAINED}: {} does not end its sentences", one.reason);
        }
        if let Some(twice) = rows.insert(one.reason.clone(), one) {
            bail!("{EXPLAINED}: {} has two entries", twice.reason);
        }
    }
    let mut page = BEGINNING.to_owned();
    let mut all = String::new();
    page.push('\n');
    head(&mut page, &["reason", "what it means"]);
    for (reason, meaning) in meanings {
        let Some(one) = rows.get(reason) else {
            bail!("{EXPLAINED} has no entry for {reason}");
        };
        let link = format!("[{reason}](#{})", reason.to_lowercase());
        row(&mut page, &[&link, &prose(meaning)]);
        all.push_str(&format!("\n## {reason}\n\n{}\n\n", prose(meaning)));
        let told = [
            ("Cause", &one.cause),
            ("Consequence", &one.consequence),
            ("Remedy", &one.remedy),
        ];
        for (title, text) in told {
            all.push_str(&format!("- **{title}.** {}\n", prose(text.trim())));
        }
    }
    page.push_str(&all);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn explained(reason: &str, cause: &str) -> Explained {
        Explained {
            reason: reason.to_owned(),
            cause: cause.to_owned(),
            consequence: "It waits.".to_owned(),
            remedy: "None.".to_owned(),
        }
    }

    fn known() -> BTreeMap<String, String> {
        let schema = json!({"oneOf": [{"const": "Busy", "description": "It is busy."}]});
        meanings(&schema).unwrap()
    }

    #[test]
    fn a_reason_is_told_with_cause_consequence_and_remedy() {
        let page = render(&known(), vec![explained("Busy", "Work.")]).unwrap();
        let expected = "| reason | what it means |\n| --- | --- |\n| [Busy](#busy) | It is busy. |\n\n## Busy\n\nIt is busy.\n\n- **Cause.** Work.\n- **Consequence.** It waits.\n- **Remedy.** None.\n";
        assert!(page.ends_with(expected), "{page}");
    }

    #[test]
    fn every_reason_has_one_entry_of_sentences_and_no_other_has() {
        let refused = |explained| render(&known(), explained).unwrap_err().to_string();
        assert_eq!(refused(vec![]), "docs/reasons.yaml has no entry for Busy");
        assert_eq!(
            refused(vec![explained("Idle", "None.")]),
            "docs/reasons.yaml: there is no reason Idle"
        );
        assert_eq!(
            refused(vec![explained("Busy", "Work."), explained("Busy", "Work.")]),
            "docs/reasons.yaml: Busy has two entries"
        );
        assert_eq!(
            refused(vec![explained("Busy", "work")]),
            "docs/reasons.yaml: Busy does not end its sentences"
        );
    }
}
