//! What is legal and surprising, and what is wrong around a configuration.

mod ceilings;
mod cover;
mod gateways;
mod manifests;
mod matches;
mod policies;
mod settings;

use crate::diagnostics::Diagnostic;
use crate::source::{Input, Plugin};
use egress_policy::Config;

/// A plugin whose configuration is valid.
pub(crate) struct Valid<'p> {
    pub(crate) plugin: &'p Plugin,
    pub(crate) config: Config,
}

/// All findings about an input.
pub(crate) fn findings(input: &Input, root_namespace: &str) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let mut valid = Vec::new();
    for plugin in &input.plugins {
        match plugin.parse() {
            Ok(config) => valid.push(Valid { plugin, config }),
            Err(errors) => findings.extend(errors),
        }
    }
    for valid in &valid {
        findings.extend(settings::findings(valid));
        findings.extend(policies::findings(valid));
        findings.extend(manifests::findings(valid, root_namespace));
    }
    findings.extend(gateways::findings(&input.resources, &valid));
    findings
}
