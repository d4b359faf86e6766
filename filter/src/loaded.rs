//! A configuration that was accepted, and what is kept beside it on one worker.

use egress_policy::{Config, ConfigError, Engine};
use std::rc::Rc;

/// A configuration that was accepted.
pub struct LoadedConfig {
    /// What decides.
    pub engine: Engine,
    /// A short hash of the configuration's text (of a bundle, what it inflates to), which audit lines and metrics carry.
    pub hash: Box<str>,
}

impl LoadedConfig {
    /// Parses and compiles the bytes of a `pluginConfig`: a pure function of them, and all or nothing.
    ///
    /// # Errors
    /// Every error of the configuration, each with its path.
    pub fn parse(bytes: &[u8]) -> Result<Rc<Self>, Vec<ConfigError>> {
        let (config, text) = Config::parse_with_text(bytes)?;
        Ok(Rc::new(Self { hash: short_hash(&text), engine: Engine::new(config) }))
    }
}

/// FNV-1a, 64 bits: tells configurations apart in logs; nothing trusts it.
fn short_hash(bytes: &[u8]) -> Box<str> {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}").into()
}
