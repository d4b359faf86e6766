//! What is wrong with one value of a configuration, and the repair where one is obvious.

use std::fmt;

/// Why a value is not what its place in the configuration asks for.
///
/// Every parser of names and patterns answers with this; the configuration reader adds the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    what: String,
    repair: Option<String>,
}

impl Fault {
    /// A fault without an obvious repair.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), repair: None }
    }

    /// A fault whose repair is known; `repair` is an imperative such as ``write `GET` ``.
    pub fn with_repair(what: impl Into<String>, repair: impl Into<String>) -> Self {
        Self { what: what.into(), repair: Some(repair.into()) }
    }

    /// An empty string, which Istio would not accept either.
    pub(crate) fn empty() -> Self {
        Self::with_repair("the string is empty", "leave it out, or fill it")
    }

    /// What is wrong, without the repair.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The repair, an imperative, where one is obvious.
    #[must_use]
    pub fn repair(&self) -> Option<&str> {
        self.repair.as_deref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.repair {
            Some(repair) => write!(f, "; {repair}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_what_and_how_to_repair_it() {
        assert_eq!(Fault::new("too long").to_string(), "too long");
        assert_eq!(Fault::with_repair("it is empty", "fill it").to_string(), "it is empty; fill it");
    }
}
