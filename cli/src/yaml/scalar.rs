//! What a YAML scalar is: the core schema of YAML 1.2 (10.3.2), where `no` and a date are strings.

use super::node::{Text, Value};

/// Resolves a scalar that stands without quotes and tag.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match number(text) {
            Some(number) => Value::Number(number),
            None => Value::Text(Text { text: text.to_owned(), plain: true }),
        },
    }
}

/// A number that JSON could hold too: `.inf` and `.nan` stay strings.
fn number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let fits =
        digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits;
    fits.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

fn radix(digits: &str, radix: u32) -> Option<f64> {
    let plain = digits.chars().all(|digit| digit.is_digit(radix));
    let number = plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten()?;
    Some(f64::from(number))
}

/// What kubectl, whose reader speaks YAML 1.1, makes of a plain scalar that is something else here.
pub(crate) fn other_reading(text: &str) -> Option<&'static str> {
    const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    if WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Some("a boolean");
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let is_octal = digits.len() > 1 && digits.starts_with('0');
    let is_binary = digits
        .strip_prefix("0b")
        .is_some_and(|bits| !bits.is_empty() && bits.bytes().all(|bit| matches!(bit, b'0' | b'1' | b'_')));
    let is_hexadecimal = digits.strip_prefix("0x").is_some_and(|rest| {
        rest.contains('_') && rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_')
    });
    let other = (is_number && (is_octal || digits.contains('_'))) || is_binary || is_hexadecimal;
    other.then_some("another number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_stay_strings() {
        for text in [
            "no",
            "yes",
            "on",
            "off",
            "y",
            "N",
            "2026-12-31T00:00:00Z",
            "2026-12-31",
            "10.0.0.1",
            "1_000",
            "0b1",
            ".inf",
            ".nan",
            "12:30:45",
            "1e",
            "e5",
            "-",
            "+",
            ".",
            "0x",
            "0xg",
            "0o8",
            "www.example.com",
            "443:8443",
        ] {
            assert_eq!(resolve(text), Value::Text(Text { text: text.to_owned(), plain: true }), "{text}");
        }
    }

    #[test]
    fn numbers_and_words() {
        for (text, number) in [
            ("443", 443.0),
            ("443.0", 443.0),
            ("+1", 1.0),
            ("-1.5e3", -1500.0),
            ("0o17", 15.0),
            ("0x1F", 31.0),
            ("010", 10.0),
            (".5", 0.5),
            ("5.", 5.0),
        ] {
            assert_eq!(resolve(text), Value::Number(number), "{text}");
        }
        assert_eq!(resolve("True"), Value::Bool(true));
        assert_eq!(resolve("FALSE"), Value::Bool(false));
        for text in ["", "~", "null", "NULL"] {
            assert_eq!(resolve(text), Value::Null, "{text}");
        }
    }

    #[test]
    fn what_kubectl_reads_as_something_else() {
        for text in ["yes", "No", "ON", "off", "y", "010", "-0755", "1_000", "0b11", "0x_1F"] {
            assert!(other_reading(text).is_some(), "{text}");
        }
        for text in ["0", "443", "yesterday", "0x1F", "1.5", "2026-12-31", "a_b", "true", "null", "0.5", "-1"]
        {
            assert!(other_reading(text).is_none(), "{text}");
        }
    }
}
