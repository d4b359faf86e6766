//! The configuration: from the bytes of `pluginConfig` to settings and policies, or to every error in it.

mod bundle;
mod choice;
mod conditions;
mod error;
mod fields;
mod host_sets;
mod json;
mod reader;
mod response;
mod rules;
mod settings;

pub use bundle::unpack;
pub use error::{ConfigError, Problem};
pub use json::{Json, Object};
pub use response::{DenyResponse, Placeholder, Template};
pub use settings::{Effect, Guard, Mode, Settings, Unauthenticated};

use crate::rules::{HostSet, Policy};
pub use reader::nearest;
use reader::{Path, Reader};
use std::rc::Rc;

/// A whole, valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What is said once for all policies.
    pub settings: Settings,
    /// The named host lists, in order of their names.
    pub host_sets: Vec<Rc<HostSet>>,
    /// The policies, in configuration order.
    pub policies: Vec<Policy>,
}

impl Config {
    /// Parses the JSON text that Istio hands to a plugin; no bytes at all are `{}`.
    ///
    /// # Errors
    /// Every error of the configuration, each with its path, in the order of the configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<ConfigError>> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Self::read(&Json::Object(Object::default()));
        }
        match serde_json::from_slice(bytes) {
            Ok(json) => Self::read(&json),
            Err(error) => Err(vec![ConfigError::not_json(&error)]),
        }
    }

    /// Reads a configuration from a tree, whatever text it came from.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn read(json: &Json) -> Result<Self, Vec<ConfigError>> {
        let unpacked = unpack(json)?;
        let json = unpacked.as_ref().unwrap_or(json);
        let mut reader = Reader::default();
        let root = Path::root();
        let Some(top) = reader.object(json, &root, settings::KEYS) else {
            return Err(reader.into_errors());
        };
        let settings = settings::read(&mut reader, &top);
        let host_sets = host_sets::read(&mut reader, &top);
        let policies = rules::read_policies(&mut reader, &top, &settings, &host_sets);
        let errors = reader.into_errors();
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { settings, host_sets: host_sets.into_sets(), policies })
    }
}
