//! Quantities in Kubernetes' notation: whether a text is one, and its canonical form.

/// What the decoder says to anything else.
pub(crate) const RULE: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [&str; 6] = ["k", "M", "G", "T", "P", "E"];

/// The canonical form: no fraction, the greatest suffix that divides; `None` if it is no quantity.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (number, suffix) = split(text)?;
    let exponent = exponent_of(suffix)?;
    if let Some(power) = BINARY.iter().position(|known| *known == suffix) {
        return Some(binary(number, power + 1).unwrap_or_else(|| text.to_owned()));
    }
    let (digits, scale) = decimal_digits(number)?;
    Some(decimal(digits, scale + exponent).unwrap_or_else(|| text.to_owned()))
}

fn split(text: &str) -> Option<(&str, &str)> {
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && "+-".contains(*c))))
        .map_or(text.len(), |(at, _)| at);
    let (number, suffix) = text.split_at(end);
    let digits = number.trim_start_matches(['+', '-']);
    let plain = digits.chars().any(|c| c.is_ascii_digit()) && digits.matches('.').count() <= 1;
    plain.then_some((number, suffix))
}

/// The power of ten of a decimal suffix; 0 for binary ones.
fn exponent_of(suffix: &str) -> Option<i32> {
    match suffix {
        "" => Some(0),
        "n" => Some(-9),
        "u" => Some(-6),
        "m" => Some(-3),
        _ if BINARY.contains(&suffix) => Some(0),
        _ => {
            if let Some(power) = DECIMAL.iter().position(|known| *known == suffix) {
                return Some(3 * i32::try_from(power + 1).ok()?);
            }
            suffix.strip_prefix(['e', 'E'])?.parse().ok()
        }
    }
}

fn decimal_digits(number: &str) -> Option<(i128, i32)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, -i32::try_from(fraction.len()).ok()?))
}

fn decimal(mut digits: i128, mut exponent: i32) -> Option<String> {
    if digits == 0 {
        return Some("0".to_owned());
    }
    while digits % 10 == 0 {
        digits /= 10;
        exponent += 1;
    }
    let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    let index = usize::try_from((exponent.div_euclid(3) + 3).min(9)).ok()?;
    let base = 3 * (i32::try_from(index).ok()? - 3);
    let factor = 10_i128.checked_pow(u32::try_from(exponent - base).ok()?)?;
    Some(format!(
        "{}{}",
        digits.checked_mul(factor)?,
        suffixes[index]
    ))
}

fn binary(number: &str, power: usize) -> Option<String> {
    let (digits, scale) = decimal_digits(number)?;
    let mut value = digits;
    for _ in 0..power {
        value = value.checked_mul(1024)?;
    }
    let divisor = 10_i128.checked_pow(u32::try_from(-scale).ok()?)?;
    if value % divisor != 0 {
        return None;
    }
    value /= divisor;
    let mut steps = 0;
    while steps < BINARY.len() && value != 0 && value % 1024 == 0 {
        value /= 1024;
        steps += 1;
    }
    let suffix = if steps == 0 { "" } else { BINARY[steps - 1] };
    Some(format!("{value}{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn quantities_have_one_canonical_form() {
        let forms: Vec<Option<String>> = [
            "0.5", "100m", "1000m", "1Gi", "1024Mi", "0.5Gi", "1e3", "1500", "0", "2G",
        ]
        .iter()
        .map(|text| canonical(text))
        .collect();
        let expected = [
            "500m", "100m", "1", "1Gi", "1Gi", "512Mi", "1k", "1500", "0", "2G",
        ];
        assert_eq!(forms, expected.map(|form| Some(form.to_owned())));
    }

    #[test]
    fn what_is_no_quantity_has_none() {
        for text in ["", "not-a-quantity", "<nil>", "1x", "1.2.3", "Gi"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
