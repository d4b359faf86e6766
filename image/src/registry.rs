//! A registry: pushing, and fetching by the rules of Istio's agent.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use http::HeaderValue;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError as OciError;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use crate::fetch;
use crate::image::{Image, MANIFEST, digest};

/// The variables that name a user; docker's configuration is read where they are not set.
pub const USER: &str = "REGISTRY_USER";
/// The user's password or token.
pub const PASSWORD: &str = "REGISTRY_PASSWORD";

/// Who asks where nothing is set.
const NOBODY: &str = "someone without a name";

/// An image's place in a registry.
pub struct Registry {
    reference: Reference,
    client: Client,
    auth: RegistryAuth,
    who: String,
}

/// What a registry holds under a name.
#[derive(Debug)]
pub struct Fetched {
    /// The manifest's digest.
    pub digest: String,
    /// The wasm binary.
    pub wasm: Vec<u8>,
}

// === impl Registry ===

impl Registry {
    /// The registry of a reference such as `registry.example.com/team/egress-authz:1.2.3`. Registries on this machine are
    /// spoken to without TLS, as Docker does; others only where `plain_http` says so.
    ///
    /// # Errors
    /// When it is no reference, or credentials cannot be read.
    pub fn of(reference: &str, plain_http: bool) -> Result<Self> {
        let bare = reference.strip_prefix("oci://").unwrap_or(reference);
        let parsed: Reference = bare.parse().map_err(|error| {
            anyhow!("{reference}: {error}; written as host[:port]/repository:tag or …@sha256:…")
        })?;
        let registry = parsed.resolve_registry().to_owned();
        let protocol = if plain_http || is_local(&registry) {
            ClientProtocol::HttpsExcept(vec![registry.clone()])
        } else {
            ClientProtocol::Https
        };
        let client = Client::new(ClientConfig {
            protocol,
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: Some(Duration::from_secs(60)),
            user_agent: concat!("egress-image/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        let (auth, who) = credentials(&registry)?;
        Ok(Self { reference: parsed, client, auth, who })
    }

    /// `host[:port]/repository`
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.reference.registry(), self.reference.repository())
    }

    /// Pushes an image under the reference's tag; the manifest goes as it is, so that its digest stays.
    ///
    /// # Errors
    /// When the registry cannot be reached, or refuses.
    pub async fn push(&self, image: &Image) -> Result<String> {
        if self.reference.digest().is_some() {
            bail!("push to a tag, not to a digest: the digest is what comes of it");
        }
        self.explain(
            self.client.auth(&self.reference, &self.auth, RegistryOperation::Push).await,
            "log in to",
        )?;
        for blob in [&image.config, &image.layer] {
            let pushed = self.client.push_blob(&self.reference, blob.clone(), &digest(blob)).await;
            self.explain(pushed, "push to")?;
        }
        let kind = HeaderValue::from_static(MANIFEST);
        let pushed = self.client.push_manifest_raw(&self.reference, image.manifest.clone(), kind).await;
        self.explain(pushed, "push to")?;
        Ok(image.digest())
    }

    /// Fetches the wasm binary as Istio's agent would.
    ///
    /// # Errors
    /// When the registry cannot be reached, refuses, or holds what the agent would not take.
    pub async fn fetch(&self) -> Result<Fetched> {
        let pulled = self.client.pull_manifest_raw(&self.reference, &self.auth, fetch::ACCEPTED).await;
        let (manifest, _) = self.explain(pulled, "fetch from")?;
        let found = digest(&manifest);
        if let Some(wanted) = self.reference.digest().filter(|wanted| *wanted != found) {
            bail!("asked for {wanted}, the registry answered with {found}");
        }
        // The rules ask for one blob, and say for which only in the middle: the layers are few and small.
        let mut blobs = Vec::new();
        for layer in layers(&manifest)? {
            let mut content = Vec::new();
            self.explain(self.client.pull_blob(&self.reference, &layer, &mut content).await, "fetch from")?;
            blobs.push((layer.digest, content));
        }
        let wasm = fetch::wasm(&manifest, &mut |wanted| {
            let blob = blobs.iter().find(|(digest, _)| digest == wanted);
            blob.map(|(_, content)| content.clone()).with_context(|| format!("no layer {wanted}"))
        })?;
        Ok(Fetched { digest: found, wasm })
    }

    fn explain<T>(&self, result: Result<T, OciError>, verb: &str) -> Result<T> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let host = self.reference.resolve_registry();
        let advice = match &error {
            OciError::RequestError(request) if request.is_connect() || request.is_timeout() => format!(
                "it does not answer. Is it running, and is `{host}` its name? (without TLS: --plain-http)"
            ),
            OciError::UnauthorizedError { .. } | OciError::AuthenticationFailure(_) => self.not_let_in(),
            OciError::ServerError { code: 401 | 403, .. } => self.not_let_in(),
            OciError::RegistryError { envelope, .. } if envelope.errors.iter().any(is_about_access) => {
                self.not_let_in()
            }
            OciError::ImageManifestNotFoundError(_) => "there is no such image".to_owned(),
            OciError::RegistryError { envelope, .. }
                if envelope.errors.iter().any(|error| format!("{:?}", error.code).ends_with("Unknown")) =>
            {
                "there is no such image".to_owned()
            }
            _ => "it answered with an error".to_owned(),
        };
        Err(anyhow::Error::new(error)).with_context(|| format!("cannot {verb} the registry {host}: {advice}"))
    }

    fn not_let_in(&self) -> String {
        format!("it does not let {} in. Set {USER} and {PASSWORD}, or `docker login` first", self.who)
    }
}

fn is_about_access(error: &oci_client::errors::OciError) -> bool {
    matches!(
        error.code,
        oci_client::errors::OciErrorCode::Unauthorized | oci_client::errors::OciErrorCode::Denied
    )
}

fn layers(manifest: &[u8]) -> Result<Vec<OciDescriptor>> {
    #[derive(serde::Deserialize)]
    struct Layers {
        layers: Vec<OciDescriptor>,
    }
    let manifest: Layers = serde_json::from_slice(manifest).context("what is there is no image manifest")?;
    Ok(manifest.layers)
}

/// Whether a registry is on this machine.
fn is_local(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Where docker keeps who the user is.
fn docker_config() -> Option<std::path::PathBuf> {
    let own = std::env::var_os("DOCKER_CONFIG").map(std::path::PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| std::path::Path::new(&home).join(".docker"));
    Some(own.or_else(home)?.join("config.json"))
}

fn credentials(registry: &str) -> Result<(RegistryAuth, String)> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (set(USER), set(PASSWORD)) {
        (Some(user), Some(password)) => {
            let who = format!("the user {user}");
            return Ok((RegistryAuth::Basic(user, password), who));
        }
        (None, None) => {}
        _ => bail!("of {USER} and {PASSWORD} only one is set"),
    }
    if !docker_config().is_some_and(|path| path.is_file()) {
        return Ok((RegistryAuth::Anonymous, NOBODY.to_owned()));
    }
    match docker_credential::get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            let who = format!("the user {user} of docker's configuration");
            Ok((RegistryAuth::Basic(user, password), who))
        }
        Ok(DockerCredential::IdentityToken(token)) => {
            Ok((RegistryAuth::Bearer(token), "the token of docker's configuration".to_owned()))
        }
        Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound) => {
            Ok((RegistryAuth::Anonymous, NOBODY.to_owned()))
        }
        Err(error) => bail!("docker's configuration has no usable credentials for {registry}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_this_machine() {
        for local in ["localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "localhost"] {
            assert!(is_local(local), "{local}");
        }
        for remote in ["registry.example.com", "localhost.example.com:5000", "10.0.0.1:5000"] {
            assert!(!is_local(remote), "{remote}");
        }
    }

    #[test]
    fn references_are_read_as_istio_writes_them() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let registry =
            Registry::of(&format!("oci://127.0.0.1:5000/team/egress-authz@{digest}"), false).unwrap();
        assert_eq!(registry.repository(), "127.0.0.1:5000/team/egress-authz");
        assert!(Registry::of("NOT A NAME", false).is_err());
    }
}
