//! Tokens that the gateway verifies in front of the filter, as Istio's `RequestAuthentication` makes it.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use serde_json::{Value, json};

use crate::shape::TokenIssuer;

/// The key's name in the set of keys.
const KEY_ID: &str = "lab";

/// An issuer of tokens with a key of its own.
pub struct Issuer {
    name: String,
    key: EncodingKey,
    jwks: String,
}

// === impl Issuer ===

impl Issuer {
    /// An issuer of this name.
    ///
    /// # Errors
    /// When the cryptography library gives no key.
    pub fn new(name: &str) -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        // An uncompressed point: 4, x, y.
        let point = pair.der_bytes();
        let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else {
            bail!("a P-256 key of {} bytes", point.len())
        };
        let key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        Ok(Self {
            name: name.to_owned(),
            key: EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes())?,
            jwks: json!({"keys": [key]}).to_string(),
        })
    }

    /// What the gateway must know to verify its tokens.
    #[must_use]
    pub fn verifier(&self) -> TokenIssuer {
        TokenIssuer { issuer: self.name.clone(), jwks: self.jwks.clone() }
    }

    /// A token with these claims; `iss` and `exp` (in an hour) are added where they are missing.
    ///
    /// # Errors
    /// When the claims are no object.
    pub fn mint(&self, claims: &Value) -> Result<String> {
        let mut claims = claims.as_object().context("claims are an object")?.clone();
        claims.entry("iss").or_insert_with(|| json!(self.name));
        let expires = SystemTime::now() + Duration::from_secs(3600);
        let expires = expires.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        claims.entry("exp").or_insert_with(|| json!(expires));
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) };
        Ok(encode(&header, &claims, &self.key)?)
    }
}
