//! What sits where the filter sits, and its delivery by ECDS from a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Value, json};

const TYPES: &str = "type.googleapis.com";

/// The protocol of the place where a filter is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Inside the HTTP connection manager.
    Http,
    /// Before the TCP proxy.
    Network,
}

// === impl Protocol ===

impl Protocol {
    fn package(self) -> &'static str {
        match self {
            Self::Http => "envoy.extensions.filters.http",
            Self::Network => "envoy.extensions.filters.network",
        }
    }

    fn type_url(self, filter: &str) -> String {
        format!("{TYPES}/{}.{filter}", self.package())
    }
}

/// What Envoy does when the filter's VM fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// Refuse (Istio's `FAIL_CLOSE`).
    #[default]
    FailClosed,
    /// Start the VM again; refuse meanwhile.
    FailReload,
    /// Let everything pass.
    FailOpen,
}

// === impl FailurePolicy ===

impl FailurePolicy {
    fn as_str(self) -> &'static str {
        match self {
            Self::FailClosed => "FAIL_CLOSED",
            Self::FailReload => "FAIL_RELOAD",
            Self::FailOpen => "FAIL_OPEN",
        }
    }
}

/// What sits where the filter sits.
#[derive(Debug, Clone)]
pub enum Filter {
    /// Nothing.
    None,
    /// A wasm filter.
    Wasm(Wasm),
    /// Native RBAC filters in this order, each an `envoy.extensions.filters.{http,network}.rbac.v3.RBAC` without `@type`.
    NativeRbac(Vec<Value>),
}

/// A wasm filter.
#[derive(Debug, Clone)]
pub struct Wasm {
    /// The binary.
    pub path: PathBuf,
    /// The policy document; text, so that a broken one can be given too.
    pub config: String,
    /// What happens when the VM fails.
    pub failure_policy: FailurePolicy,
    /// Whether `type: NETWORK` is set in the document at places of that protocol. On, except to show a filter at the wrong place.
    pub set_type: bool,
    /// The plugin's name, where it is not its place's.
    pub name: Option<String>,
}

// === impl Wasm ===

impl Wasm {
    /// The filter with a policy document.
    #[must_use]
    pub fn new(path: PathBuf, config: &Value) -> Self {
        Self {
            path,
            config: config.to_string(),
            failure_policy: FailurePolicy::default(),
            set_type: true,
            name: None,
        }
    }

    /// Under a name of the test's choice.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

// === impl Filter ===

impl Filter {
    /// How many filters of the chain it is.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Wasm(_) => 1,
            Self::NativeRbac(configs) => configs.len(),
        }
    }

    /// The typed configurations, in order.
    pub(crate) fn typed(&self, protocol: Protocol, name: &str) -> Vec<Value> {
        match self {
            Self::None => Vec::new(),
            Self::Wasm(wasm) => vec![wasm_config(wasm, protocol, name)],
            Self::NativeRbac(configs) => configs.iter().map(|config| rbac_config(config, protocol)).collect(),
        }
    }
}

/// As istiod writes a WasmPlugin (`name` and `root_id`; the configuration is the JSON text of `pluginConfig`).
fn wasm_config(wasm: &Wasm, protocol: Protocol, name: &str) -> Value {
    let configuration = match (protocol, wasm.set_type, serde_json::from_str::<Value>(&wasm.config)) {
        // One document for both; only the type differs.
        (Protocol::Network, true, Ok(Value::Object(mut document))) => {
            document.insert("type".to_owned(), json!("NETWORK"));
            Value::Object(document).to_string()
        }
        _ => wasm.config.clone(),
    };
    json!({
        "@type": protocol.type_url("wasm.v3.Wasm"),
        "config": {
            "name": wasm.name.as_deref().unwrap_or(name),
            "root_id": "egress-authz",
            "failure_policy": wasm.failure_policy.as_str(),
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": wasm.path}},
            },
            "configuration": {"@type": format!("{TYPES}/google.protobuf.StringValue"), "value": configuration},
        },
    })
}

fn rbac_config(config: &Value, protocol: Protocol) -> Value {
    let mut config = config.clone();
    if let Value::Object(fields) = &mut config {
        fields.insert("@type".to_owned(), json!(protocol.type_url("rbac.v3.RBAC")));
        if protocol == Protocol::Network {
            fields.entry("stat_prefix").or_insert_with(|| json!("tcp."));
        }
    }
    config
}

/// One place in a filter chain whose filter comes from a file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Slot {
    /// The filter's and the resource's name.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its folder, watched: an update is a rename into it.
    pub(crate) dir: PathBuf,
    /// What may come.
    pub(crate) types: Vec<String>,
}

// === impl Slot ===

impl Slot {
    pub(crate) fn new(root: &Path, listener: &str, index: usize, protocol: Protocol) -> Result<Self> {
        // The resource's name becomes part of stat names, where a colon would be turned into an underscore.
        let name = if index == 0 {
            format!("egress-authz.{listener}")
        } else {
            format!("egress-authz.{listener}.{index}")
        };
        let dir = root.join("ecds").join(&name);
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let types = vec![protocol.type_url("wasm.v3.Wasm"), protocol.type_url("rbac.v3.RBAC")];
        Ok(Self { name, path: dir.join("filter.json"), dir, types })
    }

    /// Puts a filter there; Envoy sees the rename.
    pub(crate) fn write(&self, version: &str, typed: &Value) -> Result<()> {
        let response = json!({
            "version_info": version,
            "resources": [{
                "@type": format!("{TYPES}/envoy.config.core.v3.TypedExtensionConfig"),
                "name": self.name,
                "typed_config": typed,
            }],
        });
        let draft = self.dir.join(".filter.json");
        fs::write(&draft, serde_json::to_vec(&response)?)
            .with_context(|| format!("writing {}", draft.display()))?;
        fs::rename(&draft, &self.path).with_context(|| format!("renaming to {}", self.path.display()))
    }
}
