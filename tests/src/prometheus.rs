//! Envoy's Prometheus page, read as Prometheus would.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use egress_lab::envoy::Envoy;

/// One line of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

// === impl Sample ===

impl Sample {
    fn parse(line: &str) -> Result<Self> {
        let (series, value) = line.rsplit_once(' ').with_context(|| format!("no value: {line}"))?;
        let (name, labels) = match series.split_once('{') {
            None => (series, BTreeMap::new()),
            Some((name, labels)) => {
                let inside = labels.strip_suffix('}').with_context(|| format!("no }}: {line}"))?;
                (name, labels_of(inside).with_context(|| format!("labels of {line}"))?)
            }
        };
        Ok(Self { name: name.to_owned(), labels, value: value.parse()? })
    }

    /// A label's value; empty where there is none, as Prometheus has it.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Whether it has all these labels.
    #[must_use]
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.label(name) == *value)
    }
}

/// `a="b",c="d"`; a backslash escapes inside of the quotes.
fn labels_of(text: &str) -> Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").context("no value")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().context("no end")? {
                (at, '"') => break at,
                (_, '\\') => match chars.next().context("no end")?.1 {
                    'n' => value.push('\n'),
                    escaped => value.push(escaped),
                },
                (_, plain) => value.push(plain),
            }
        };
        labels.insert(name.to_owned(), value);
        let after = after.get(end + 1..).unwrap_or_default();
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Ok(labels)
}

/// The whole page.
///
/// # Errors
/// When Envoy does not answer, or writes what is no such page.
pub fn page(envoy: &Envoy) -> Result<Vec<Sample>> {
    let text = envoy.prometheus()?;
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(Sample::parse).collect()
}

/// The sum of all samples of a name that have these labels.
///
/// # Errors
/// As [`page`].
pub fn sum(envoy: &Envoy, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
    Ok(page(envoy)?
        .iter()
        .filter(|sample| sample.name == name && sample.has(labels))
        .map(|sample| sample.value)
        .sum())
}

/// Waits until such a sum is as wanted: the filter tells once a second.
///
/// # Errors
/// When it is not within five seconds; the text has what the page says of that name.
pub fn await_sum(envoy: &Envoy, name: &str, labels: &[(&str, &str)], wanted: f64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let seen = sum(envoy, name, labels)?;
        if (seen - wanted).abs() < 0.5 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let samples: Vec<Sample> =
                page(envoy)?.into_iter().filter(|sample| sample.name == name).collect();
            bail!("{name} with {labels:?} is {seen} and not {wanted}: {samples:#?}");
        }
        sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let sample = Sample::parse(r#"a_b{c="d,}\"",e="f"} 3"#).unwrap();
        assert_eq!((sample.name.as_str(), sample.value), ("a_b", 3.0));
        assert!(sample.has(&[("c", "d,}\""), ("e", "f"), ("g", "")]));
        assert_eq!(Sample::parse("a 1.5").unwrap().labels.len(), 0);
        assert!(Sample::parse("a{b=\"c} 1").is_err());
    }
}
