//! What must not be seen of a text from somewhere else: secrets that are known, what looks like one, and control characters.
//!
//! Log lines and Kubernetes' messages say anything. What is known to be secret is masked wherever it stands; beside that a
//! secret is taken for one by its name, its place or its looks. None of this can be complete; it is bounded and only ever
//! takes away.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::secret::SecretText;

/// What stands in a secret's place.
const MASK: &str = "***";
/// Shortest known value that is masked. A shorter one occurs by chance in any sentence.
const MASKED_FROM: usize = 4;

/// Words in the name of a thing whose value is a secret.
const NAMES: &str = r"pass(?:word|wd|phrase)?|pwd|secret|token|api[_.-]?key|access[_.-]?key|private[_.-]?key|credential|session[_.-]?id|signature";

/// Escape sequences of terminals: colours, titles, hyperlinks.
static ESCAPES: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b."));
/// `Authorization: …` and `Cookie: …`: the rest of the line. The word alone stands in many a message.
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)\b((?:proxy-)?authorization["']?\s*[:=]\s*["']?)(?:(?:basic|bearer|digest|negotiate|token|apikey|aws4-hmac-sha256)\s.+|[^\s"']{16,}.*)|\b((?:set-)?cookie["']?\s*:\s*).+"#,
    )
});
/// `Bearer …`, wherever it stands.
static SCHEME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(bearer|basic)(\s+)[a-z0-9._~+/=-]{6,}"));
/// `password=…`, `"apiKey": "…"`, `--token …`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r#"(?i)([\w.-]*(?:{NAMES})[\w.-]*["']?\s*[:=]\s*|--[\w.-]*(?:{NAMES})[\w-]*\s+)("[^"]*"|'[^']*'|[^\s,;&"']+)"#
    ))
});
/// `scheme://user:password@host`.
static USER_INFO: LazyLock<Regex> = LazyLock::new(|| pattern(r"(://)[^/\s@]+@"));
/// Tokens that tell by their looks what they are: JSON web tokens, and those of well-known services.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk-)[\w-]{10,}",
    )
});
/// Long words; whether one is random is for [`is_random`] to say.
static LONG: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Za-z0-9+_=-]{32,}"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns of this file are tested")
}

/// Masks what must not be seen.
pub struct Redactor {
    /// Longest first, as one may be part of another.
    known: Vec<SecretText>,
}

impl Redactor {
    /// One that knows these values. Of a value of several lines each line is masked, as logs are looked at line by line.
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let known: BTreeSet<&str> = values
            .into_iter()
            .flat_map(|value| std::iter::once(value).chain(value.lines()))
            .map(str::trim)
            .filter(|value| value.chars().count() >= MASKED_FROM)
            .collect();
        let mut known: Vec<SecretText> = known.into_iter().map(SecretText::new).collect();
        known.sort_by_key(|value| std::cmp::Reverse(value.expose().len()));
        Self { known }
    }

    /// A text in one line without secrets and control characters, at most `max` characters of it.
    #[must_use]
    pub fn line(&self, text: &str, max: usize) -> String {
        // First of all, so that colours in the midst of a secret do not hide it.
        let mut text = printable(&ESCAPES.replace_all(text, ""));
        for value in &self.known {
            text = text.replace(value.expose(), MASK);
        }
        let text = TOKEN.replace_all(&text, MASK);
        let text = USER_INFO.replace_all(&text, format!("${{1}}{MASK}@"));
        let text = HEADER.replace_all(&text, format!("$1$2{MASK}"));
        let text = SCHEME.replace_all(&text, format!("$1$2{MASK}"));
        let text = NAMED.replace_all(&text, format!("$1{MASK}"));
        let text = LONG.replace_all(&text, |found: &Captures<'_>| {
            if is_random(&found[0]) {
                MASK.to_owned()
            } else {
                found[0].to_owned()
            }
        });
        crate::error::bounded(text.trim(), max)
    }
}

/// A text without what a terminal or a reader could take for something else. A tab or a line break becomes a blank.
fn printable(text: &str) -> String {
    let shown = text.chars().filter_map(|c| match c {
        '\t' | '\n' | '\r' => Some(' '),
        // Marks that turn the order of what follows round.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        c if c.is_control() => None,
        c => Some(c),
    });
    shown.collect()
}

/// Whether a long word is more likely drawn by lot than spelt: small and capital letters and digits, mixed. A digest of an
/// image or a commit has no capital letters.
fn is_random(word: &str) -> bool {
    let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
    has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        Redactor::new(["hunter22", "22", "one\nsecond-line\n"]).line(text, 200)
    }

    #[test]
    fn what_is_known_or_looks_like_a_secret_is_masked() {
        let table = [
            ("login as admin with hunter22", "login as admin with ***"),
            ("it is \x1b[31mhun\x1b[0mter22\x1b[0m!", "it is ***!"),
            ("22 is too short to be one", "22 is too short to be one"),
            ("cat /run/key: second-line", "cat /run/key: ***"),
            ("password=abc", "password=***"),
            (
                "DB_PASSWORD: \"a b c\", retry in 5s",
                "DB_PASSWORD: ***, retry in 5s",
            ),
            (
                "{\"apiKey\":\"x\",\"level\":\"info\"}",
                "{\"apiKey\":***,\"level\":\"info\"}",
            ),
            (
                "GET /cb?access_token=abc&page=2 200",
                "GET /cb?access_token=***&page=2 200",
            ),
            (
                "exec: app --auth-token abc --port 80",
                "exec: app --auth-token *** --port 80",
            ),
            (
                "Authorization: Digest user=1, response=2",
                "Authorization: ***",
            ),
            ("Set-Cookie: sid=1; Path=/", "Set-Cookie: ***"),
            (
                "\"authorization\":\"0123456789abcdef\"",
                "\"authorization\":\"***",
            ),
            ("> bearer abcdef.123 refused", "> bearer *** refused"),
            (
                "dial postgres://app:s3cret@db:5432/shop",
                "dial postgres://***@db:5432/shop",
            ),
            (
                "got eyJhbGciOiJIUzI1NiJ9.e30.c2ln from peer",
                "got *** from peer",
            ),
            (
                "key AKIAIOSFODNN7EXAMPLE is disabled",
                "key *** is disabled",
            ),
            ("using glpat-abcdefghij0123", "using ***"),
            ("k = Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2Rl", "k = ***"),
        ];
        for (text, expected) in table {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_person_needs_is_left() {
        for text in [
            "panic: runtime error: invalid memory address or nil pointer dereference",
            "java.lang.IllegalStateException: Failed to load ApplicationContext",
            "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope",
            "dial tcp 10.0.0.7:5432: connect: connection refused",
            "Back-off restarting failed container api in pod api-6d4cf56db6-x8kzv_shop(0f6e7c1a-5b1d-4d3f-9a2e-1c2d3e4f5a6b)",
            "Failed to pull image \"r/api@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\": not found",
            "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn nothing_but_text_is_left_and_not_too_much_of_it() {
        assert_eq!(
            redacted("a\u{0}b\u{7}\tc\u{202e}d\u{1b}]0;title\u{7}e"),
            "ab cde"
        );
        let long = Redactor::new(["tail-secret"]).line("äöü tail-secret", 5);
        assert_eq!(long, "äöü *…", "the mask comes before the cut");
    }
}
