//! An entry of `hosts`: a pattern, or the patterns of a named set.

use crate::names::Host;
use crate::patterns::HostPattern;
use crate::truth::Truth;
use std::net::IpAddr;
use std::sync::Arc;

/// A named list of host patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSet {
    /// The name, without `@`.
    pub name: Box<str>,
    /// Its patterns.
    pub patterns: Vec<HostPattern>,
}

/// One entry of `hosts` or `notHosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEntry {
    /// A pattern written in place.
    Pattern(HostPattern),
    /// `@name`.
    Set(Arc<HostSet>),
}

impl HostEntry {
    /// The patterns that the entry stands for.
    #[must_use]
    pub fn patterns(&self) -> &[HostPattern] {
        match self {
            Self::Pattern(pattern) => std::slice::from_ref(pattern),
            Self::Set(set) => &set.patterns,
        }
    }

    /// Whether the entry covers `host`.
    #[must_use]
    pub fn matches(&self, host: &Host, port: Option<u16>) -> Truth {
        Truth::any(self.patterns().iter().map(|pattern| pattern.matches(host, port)))
    }

    /// As [`HostEntry::matches`], by those patterns alone that name the very literal.
    #[must_use]
    pub fn matches_literally(&self, ip: IpAddr, host: &Host, port: Option<u16>) -> Truth {
        Truth::any(
            self.patterns()
                .iter()
                .filter(|pattern| pattern.names_literal(ip))
                .map(|pattern| pattern.matches(host, port)),
        )
    }
}
