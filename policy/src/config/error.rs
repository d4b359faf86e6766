//! What can be wrong with a configuration, and the one place that puts it into words.

use crate::Fault;
use std::fmt;

/// One error, with the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The place, such as `policies[3].rules[0].to[0].operation.hosts[1]`; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The text is not JSON.
    NotJson(String),
    /// A value of another type than its key asks for.
    WrongType {
        /// What the key asks for.
        expected: &'static str,
        /// What is there.
        found: &'static str,
        /// The repair, where one is obvious.
        repair: Option<String>,
    },
    /// A key that the language does not have here.
    UnknownKey {
        /// The nearest that it has.
        nearest: Option<&'static str>,
    },
    /// A value that is not one of the few that the key takes.
    UnknownValue {
        /// What is there.
        value: String,
        /// What the key takes.
        allowed: Vec<&'static str>,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A key written twice in one object.
    DuplicateKey,
    /// A key that must be there.
    Missing(&'static str),
    /// `null`, where Istio would read "anything".
    Null,
    /// `[]`, where Istio would read "anything".
    EmptyList,
    /// `{}`, where Istio would read "anything".
    EmptyObject,
    /// A value that its parser refused.
    BadValue {
        /// What is there.
        value: String,
        /// Why it is refused.
        fault: Fault,
    },
    /// Something that holds for the place as a whole.
    Rule(Fault),
}

impl ConfigError {
    pub(crate) fn not_json(error: &serde_json::Error) -> Self {
        Self { path: String::new(), problem: Problem::NotJson(error.to_string()) }
    }

    /// What is wrong, without path and repair.
    #[must_use]
    pub fn message(&self) -> String {
        self.problem.message()
    }

    /// The repair, an imperative, where one is obvious.
    #[must_use]
    pub fn repair(&self) -> Option<String> {
        self.problem.repair()
    }
}

impl Problem {
    fn message(&self) -> String {
        match self {
            Self::NotJson(error) => format!("not JSON: {error}"),
            Self::WrongType { expected, found, .. } => format!("{expected} is wanted here, not {found}"),
            Self::UnknownKey { .. } => "unknown key".to_owned(),
            Self::UnknownValue { value, allowed, .. } => {
                format!("{value:?} is not one of {}", allowed.join(", "))
            }
            Self::DuplicateKey => "the key is written twice".to_owned(),
            Self::Missing(key) => format!("`{key}` is missing"),
            Self::Null => "null is not a value".to_owned(),
            Self::EmptyList => "the list is empty".to_owned(),
            Self::EmptyObject => "the object is empty".to_owned(),
            Self::BadValue { value, fault } => format!("{value:?}: {}", fault.what()),
            Self::Rule(fault) => fault.what().to_owned(),
        }
    }

    fn repair(&self) -> Option<String> {
        match self {
            Self::UnknownKey { nearest } | Self::UnknownValue { nearest, .. } => {
                nearest.map(|nearest| format!("write `{nearest}`"))
            }
            Self::Null => Some("leave it out, or write a value".to_owned()),
            Self::EmptyList | Self::EmptyObject => Some("leave it out, or fill it".to_owned()),
            Self::DuplicateKey => Some("keep one".to_owned()),
            Self::WrongType { repair, .. } => repair.clone(),
            Self::BadValue { fault, .. } | Self::Rule(fault) => fault.repair().map(str::to_owned),
            Self::NotJson(_) | Self::Missing(_) => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message())?;
        match self.repair() {
            Some(repair) => write!(f, "; {repair}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}
