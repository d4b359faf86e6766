//! A configuration that was accepted, and what is kept beside it on one worker.

use egress_policy::{Config, ConfigError, Engine};
use std::sync::Arc;

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
    pub fn parse(bytes: &[u8]) -> Result<Arc<Self>, Vec<ConfigError>> {
        let (config, text) = Config::parse_with_text(bytes)?;
        Ok(Arc::new(Self { hash: short_hash(&text), engine: Engine::new(config) }))
    }
}

/// FNV-1a, 64 bits: tells configurations apart in logs; nothing trusts it.
fn short_hash(bytes: &[u8]) -> Box<str> {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_can_share_a_configuration() {
        fn is_shared<T: Send + Sync>(_: &T) {}
        is_shared(&*LoadedConfig::parse(b"{}").unwrap());
    }

    #[test]
    fn the_hash_of_a_bundle_is_that_of_what_is_inside() {
        // `{}`, compressed by zlib.
        let bundle = br#"{"bundle": "eNqrrgUAAXUA+Q=="}"#;
        let inside = LoadedConfig::parse(b"{}").unwrap();
        assert_eq!(LoadedConfig::parse(bundle).unwrap().hash, inside.hash);
        assert_ne!(LoadedConfig::parse(b" {}").unwrap().hash, inside.hash);
        assert_eq!(inside.hash.len(), 16);
    }
}
