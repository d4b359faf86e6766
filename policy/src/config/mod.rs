//! The configuration: from the bytes of `pluginConfig` to settings and policies, or to every error in it.

mod bundle;
mod choice;
mod conditions;
mod error;
mod fields;
mod host_sets;
mod json;
mod response;
mod rules;
mod settings;
mod template;
mod validator;

use bundle::unpack_with_text;
pub use bundle::{MAX_VALUES, unpack, values_in};
pub use error::{ConfigError, Problem};
pub use json::{Json, Object};
pub use response::DenyResponse;
pub use settings::{Effect, Guard, Mode, Settings, Unauthenticated};
pub use template::Placeholder;

use crate::rules::{HostSet, Policy};
use std::borrow::Cow;
use std::sync::Arc;
pub use validator::nearest;
use validator::{ConfigPath, Validator};

/// A whole, valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What is said once for all policies.
    pub settings: Settings,
    /// The named host lists, in order of their names.
    pub host_sets: Vec<Arc<HostSet>>,
    /// The policies, in configuration order.
    pub policies: Vec<Policy>,
}

impl Config {
    /// Parses the JSON text that Istio hands to a plugin; no bytes at all are `{}`.
    ///
    /// # Errors
    /// Every error of the configuration, each with its path, in the order of the configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<ConfigError>> {
        Self::parse_with_text(bytes).map(|(config, _)| config)
    }

    /// As [`Config::parse`], with the text that the configuration was read from: of a bundle, what it inflates to.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_with_text(bytes: &[u8]) -> Result<(Self, Cow<'_, [u8]>), Vec<ConfigError>> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok((Self::read(&Json::Object(Object::default()))?, Cow::Borrowed(bytes)));
        }
        let json = serde_json::from_slice(bytes).map_err(|error| vec![ConfigError::not_json(&error)])?;
        match unpack_with_text(&json)? {
            Some((json, text)) => Ok((Self::read_unpacked(&json)?, Cow::Owned(text))),
            None => Ok((Self::read_unpacked(&json)?, Cow::Borrowed(bytes))),
        }
    }

    /// Reads a configuration from a tree, whatever text it came from.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn read(json: &Json) -> Result<Self, Vec<ConfigError>> {
        let unpacked = unpack(json)?;
        Self::read_unpacked(unpacked.as_ref().unwrap_or(json))
    }

    fn read_unpacked(json: &Json) -> Result<Self, Vec<ConfigError>> {
        let mut validator = Validator::default();
        let root = ConfigPath::root();
        let Some(top) = validator.object(json, &root, settings::KEYS) else {
            return Err(validator.into_errors());
        };
        let settings = settings::read(&mut validator, &top);
        let host_sets = host_sets::read(&mut validator, &top);
        let policies = rules::read_policies(&mut validator, &top, &settings, &host_sets);
        let errors = validator.into_errors();
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { settings, host_sets: host_sets.into_sets(), policies })
    }
}
