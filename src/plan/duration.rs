//! Durations as people write them in manifests: Go's form, `1h30m`, `30s`, `250ms`.

use std::time::Duration;

/// Parses a duration in Go's form; `None` when it is none.
///
/// Units `ms`, `s`, `m` and `h`, in any order, whole numbers only; the empty text is no duration.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return None,
        };
        let part = unit.checked_mul(u32::try_from(number).ok()?)?;
        total = total.checked_add(part)?;
        rest = &rest[letters..];
    }
    Some(total)
}

/// Prints whole seconds in Go's form: `90s` as `1m30s`.
#[must_use]
pub fn print(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    for (number, unit) in [(h, "h"), (m, "m"), (s, "s")] {
        if number > 0 {
            text.push_str(&number.to_string());
            text.push_str(unit);
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_form_is_read_and_anything_else_refused() {
        for (text, expected) in [
            ("30s", Some(Duration::from_secs(30))),
            ("1h30m", Some(Duration::from_secs(5400))),
            ("250ms", Some(Duration::from_millis(250))),
            ("0s", Some(Duration::ZERO)),
            ("", None),
            ("30", None),
            ("s", None),
            ("3 s", None),
            ("-3s", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn printing_uses_the_largest_units() {
        assert_eq!(print(Duration::from_secs(5430)), "1h30m30s");
        assert_eq!(print(Duration::from_secs(900)), "15m");
        assert_eq!(print(Duration::ZERO), "0s");
    }
}
