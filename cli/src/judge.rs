//! A configuration that is ready to judge requests.

use crate::diagnostics::Diagnostic;
use crate::request::Request;
use crate::source::{Input, Node, Plugin, PluginKind, Resource};
use egress_policy::{Attributes as _, Engine, Protocol, Trace, Verdict};
use serde::Serialize;
use std::path::Path;

/// One compiled configuration beside the text that it came from.
pub(crate) struct Judge {
    pub(crate) engine: Engine,
    pub(crate) written: Node,
}

/// The configurations of a file, by the traffic that they judge.
pub(crate) struct Judges {
    http: Result<Judge, Vec<Diagnostic>>,
    network: Result<Judge, Vec<Diagnostic>>,
    /// Where they come from.
    pub(crate) plugins: Vec<(Plugin, Protocol)>,
    /// What else is in the file.
    pub(crate) resources: Vec<String>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Judgement {
    /// `allow` or `deny`
    pub(crate) verdict: &'static str,
    /// None where `mode: DRY_RUN` lets pass what would be refused.
    pub(crate) reason: Option<String>,
    /// `would_deny[…]` or `would_allow[…]`
    #[serde(rename = "would")]
    pub(crate) dry_run_verdict: Option<String>,
    /// The AUDIT rules that matched.
    pub(crate) audit: Vec<String>,
}

impl Judges {
    /// Reads a file. `plugin` names the one that is meant where there are several.
    pub(crate) fn read(path: &Path, plugin: Option<&str>) -> Result<Self, Vec<Diagnostic>> {
        let (input, errors) = Input::read(&[path.to_path_buf()]);
        if !errors.is_empty() {
            return Err(errors);
        }
        let plugins: Vec<_> = input.plugins.iter().filter(|candidate| is_meant(candidate, plugin)).collect();
        let mut errors = Vec::new();
        let mut parsed = Vec::new();
        for plugin in plugins {
            match plugin.parse() {
                Ok(config) => parsed.push((plugin, config.settings.protocol)),
                Err(refusals) => errors.extend(refusals),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if parsed.is_empty() {
            let what = match plugin {
                Some(name) => format!("no plugin `{name}` is in it"),
                None => {
                    "no configuration is in it: neither a pluginConfig nor a WasmPlugin or TrafficExtension"
                        .to_owned()
                }
            };
            return Err(vec![Diagnostic::error(what).in_file(&path.display().to_string())]);
        }
        let file = path.display().to_string();
        Ok(Self {
            http: select(&parsed, Protocol::Http, &file),
            network: select(&parsed, Protocol::Network, &file),
            plugins: parsed.iter().map(|(plugin, protocol)| ((*plugin).clone(), *protocol)).collect(),
            resources: input.resources.iter().map(Resource::title).collect(),
        })
    }

    /// The plugin of a type, where there is one: the only configuration of a file serves both types unless a manifest says which.
    ///
    /// # Errors
    /// Several of one type.
    pub(crate) fn plugin_of(&self, protocol: Protocol) -> Result<Option<&Plugin>, Vec<Diagnostic>> {
        if let [(plugin, _)] = self.plugins.as_slice()
            && plugin.kind == PluginKind::Bare
        {
            return Ok(Some(plugin));
        }
        let mut of_type = self.plugins.iter().filter(|(_, of)| *of == protocol);
        match (of_type.next(), of_type.next()) {
            (Some(_), Some(_)) => self.judge_of(protocol).map(|_| None),
            (first, _) => Ok(first.map(|(plugin, _)| plugin)),
        }
    }

    /// The configuration that judges a request.
    pub(crate) fn for_request(&self, request: &Request) -> Result<&Judge, Vec<Diagnostic>> {
        self.judge_of(request.protocol())
    }

    fn judge_of(&self, protocol: Protocol) -> Result<&Judge, Vec<Diagnostic>> {
        let judge = match protocol {
            Protocol::Http => &self.http,
            Protocol::Network => &self.network,
        };
        judge.as_ref().map_err(Clone::clone)
    }
}

fn is_meant(plugin: &Plugin, name: Option<&str>) -> bool {
    let Some(name) = name else {
        return true;
    };
    let resource = &plugin.resource;
    match name.split_once('/') {
        Some((namespace, name)) => resource.namespace() == namespace && resource.name() == name,
        None => resource.name() == name,
    }
}

/// The configuration of a type; where there is but one, it serves both.
fn select(plugins: &[(&Plugin, Protocol)], protocol: Protocol, file: &str) -> Result<Judge, Vec<Diagnostic>> {
    let type_name = type_name(protocol);
    let of_type: Vec<_> =
        plugins.iter().filter(|(_, of)| *of == protocol).map(|(plugin, _)| *plugin).collect();
    let refuse = |what: String| Err(vec![Diagnostic::error(what).in_file(file)]);
    let plugin = match (of_type.as_slice(), plugins) {
        ([plugin], _) | ([], [(plugin, _)]) => *plugin,
        ([], _) => return refuse(format!("no plugin of type {type_name} is in it")),
        (several, _) => {
            let names: Vec<_> = several.iter().map(|plugin| plugin.title()).collect();
            let kind = if several.iter().all(|plugin| plugin.kind == PluginKind::Bare) {
                "documents"
            } else {
                "plugins"
            };
            return refuse(format!(
                "several {kind} of type {type_name} are in it ({}); name one with --plugin",
                names.join(", ")
            ));
        }
    };
    let config = plugin.parse_as(type_name)?;
    Ok(Judge { engine: Engine::new(config), written: plugin.config.clone() })
}

/// The word for a type in a configuration.
pub(crate) fn type_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "HTTP",
        Protocol::Network => "NETWORK",
    }
}

impl Judge {
    /// The verdict of a request.
    pub(crate) fn judge(&self, request: &Request) -> Judgement {
        self.judge_traced(request, &mut ())
    }

    /// The verdict of a request, and what led there.
    pub(crate) fn judge_traced(&self, request: &Request, trace: &mut impl Trace) -> Judgement {
        // One clock for the whole verdict.
        let at = request.now().ok();
        let request = Request { at, ..request.clone() };
        let facts = request.facts(self.engine.settings());
        let decision = self.engine.decide_traced(&facts, trace);
        let dry_run = |verdict: &Verdict<'_>| format!("would_{}[{}]", verdict.effect.word(), verdict.reason);
        Judgement {
            verdict: decision.verdict.as_ref().map_or("allow", |verdict| verdict.effect.word()),
            reason: decision.verdict.as_ref().map(|verdict| verdict.reason.to_string()),
            dry_run_verdict: decision.dry_run_verdict.as_ref().map(dry_run),
            audit: decision.audit.iter().map(ToString::to_string).collect(),
        }
    }
}
