//! `hostSets`: named lists of host patterns.

use super::error::Problem;
use super::json::Json;
use super::validator::{Entries, Validator, nearest};
use crate::Fault;
use crate::names::is_dns_subdomain;
use crate::patterns::HostPattern;
use crate::rules::{HostEntry, HostSet};
use std::sync::Arc;

/// Up to how many sets the nearest to a misspelt name is looked for.
const MAX_GUESSED: usize = 1000;

/// The sets, sorted by name.
pub(super) struct HostSets(Vec<Arc<HostSet>>);

impl HostSets {
    fn get(&self, name: &str) -> Option<&Arc<HostSet>> {
        let at = self.0.binary_search_by(|set| (*set.name).cmp(name)).ok()?;
        self.0.get(at)
    }

    /// Parses an entry of `hosts`: `@name` or a pattern.
    pub(super) fn parse_entry(&self, text: &str) -> Result<HostEntry, Fault> {
        let Some(name) = text.strip_prefix('@') else {
            return HostPattern::parse(text).map(HostEntry::Pattern);
        };
        if let Some(set) = self.get(name) {
            return Ok(HostEntry::Set(Arc::clone(set)));
        }
        if let Some((set, _)) = name.split_once(':')
            && self.get(set).is_some()
        {
            let what = "a set takes no port; its patterns have their own";
            return Err(Fault::with_repair(what, format!("write `@{set}`")));
        }
        let what = "no host set has this name";
        // Of very many names some one is near to anything, and a search for each error would be long.
        let known = self.0.iter().take_while(|_| self.0.len() <= MAX_GUESSED).map(|set| &*set.name);
        Err(match nearest(name, known) {
            Some(nearest) => Fault::with_repair(what, format!("write `@{nearest}`")),
            None => Fault::new(what),
        })
    }

    pub(super) fn into_sets(self) -> Vec<Arc<HostSet>> {
        self.0
    }
}

pub(super) fn read(validator: &mut Validator, top: &Entries<'_>) -> HostSets {
    let mut sets: Vec<Arc<HostSet>> = Vec::new();
    let path = top.path.key("hostSets");
    let Some(entries) = top.get("hostSets").and_then(|json| validator.map(json, &path)) else {
        return HostSets(sets);
    };
    if entries.iter().next().is_none() {
        validator.note(&path, Problem::EmptyObject);
    }
    for (name, json) in entries.iter() {
        let path = path.key(name);
        if !is_dns_subdomain(name) {
            let what = "a set's name is lower-case letters, digits, dashes and dots (DNS-1123)";
            validator.fault(&path, name, Fault::new(what));
        }
        let patterns = read_patterns(validator, json, &path);
        // A set with an error in it keeps its name, so that those who use it are not blamed as well.
        sets.push(Arc::new(HostSet { name: name.into(), patterns }));
    }
    // Of a name that is written twice, which is an error, the first stays.
    sets.sort_by(|one, other| one.name.cmp(&other.name));
    sets.dedup_by(|later, earlier| later.name == earlier.name);
    HostSets(sets)
}

fn read_patterns(
    validator: &mut Validator,
    json: &Json,
    path: &super::validator::ConfigPath<'_>,
) -> Vec<HostPattern> {
    validator.texts(json, path, |text| {
        if text.starts_with('@') {
            return Err(Fault::with_repair("host sets do not nest", "write the patterns of that set here"));
        }
        HostPattern::parse(text)
    })
}
