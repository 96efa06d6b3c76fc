//! How mdBook names headings, so that links to them can be checked where it is not at hand. Its output is held to it after each build.

use std::collections::BTreeMap;

/// Names of the headings of one page, each once.
#[derive(Debug, Default)]
pub(super) struct Anchors(BTreeMap<String, usize>);

impl Anchors {
    /// The name of the next heading.
    pub(super) fn next(&mut self, text: &str) -> String {
        let name = name(text);
        let seen = self.0.entry(name.clone()).or_default();
        let next = match *seen {
            0 => name,
            more => format!("{name}-{more}"),
        };
        *seen += 1;
        next
    }
}

fn name(text: &str) -> String {
    let letters = text.chars().filter_map(|letter| match letter {
        letter if letter.is_alphanumeric() || letter == '_' || letter == '-' => Some(letter),
        letter if letter.is_whitespace() => Some('-'),
        _ => None,
    });
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_named_by_its_letters_and_a_second_one_is_numbered() {
        let mut anchors = Anchors::default();
        assert_eq!(anchors.next("spec.services[]"), "specservices");
        assert_eq!(
            anchors.next("Watch first, ask first"),
            "watch-first-ask-first"
        );
        assert_eq!(anchors.next("四种对象"), "四种对象");
        assert_eq!(anchors.next("spec.services[]"), "specservices-1");
    }
}
