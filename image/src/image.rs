//! An image in memory.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use flate2::{Compression, GzBuilder};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The name that Istio looks for inside the layer.
pub const FILE: &str = "plugin.wasm";
/// The manifest's media type.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The configuration's media type.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The layer's media type.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Whether bytes begin as a wasm binary does: Istio's agent looks no further.
#[must_use]
pub fn is_wasm(bytes: &[u8]) -> bool {
    bytes.len() >= 8 && bytes.starts_with(b"\0asm")
}

/// What the image says of itself (`org.opencontainers.image.*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

// === impl Labels ===

impl Labels {
    /// What every image of ours says. There is no date among it: the same source is the same image.
    #[must_use]
    pub fn new(version: &str, source: &str, licences: &str) -> Self {
        Self(BTreeMap::new())
            .with("title", "egress-authz")
            .with(
                "description",
                "Decides which workload may reach which external host, at an Istio egress gateway",
            )
            .with("version", version)
            .with("source", source)
            .with("licenses", licences)
    }

    /// The same with the revision of the source.
    #[must_use]
    pub fn revision(self, revision: &str) -> Self {
        self.with("revision", revision)
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.0.insert(format!("org.opencontainers.image.{key}"), value.to_owned());
        self
    }
}

/// An image: a manifest, and the two blobs that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The manifest, as JSON.
    pub manifest: Vec<u8>,
    /// The configuration, as JSON.
    pub config: Vec<u8>,
    /// The layer, a gzipped tar.
    pub layer: Vec<u8>,
}

// === impl Image ===

impl Image {
    /// The image that holds a wasm binary.
    ///
    /// # Errors
    /// When the bytes are no wasm binary.
    pub fn build(wasm: &[u8], labels: &Labels) -> Result<Self> {
        ensure!(is_wasm(wasm), "not a wasm binary: it does not begin with \\0asm and a version");
        let tar = tar(wasm)?;
        let layer = gzip(&tar)?;
        // A platform has to be named; the agent takes whatever is there when the image is no index.
        let config = serde_json::to_vec(&json!({
            "architecture": "wasm",
            "os": "wasip1",
            "config": {"Labels": labels.0},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
            "history": [{"created_by": "egress-image build", "comment": "plugin.wasm"}],
        }))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(&config), "size": config.len()},
            "layers": [{"mediaType": LAYER, "digest": digest(&layer), "size": layer.len()}],
            "annotations": labels.0,
        }))?;
        Ok(Self { manifest, config, layer })
    }

    /// The digest of the manifest: what a WasmPlugin's `url` (`@sha256:…`) and `sha256` mean.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// The blob of a digest.
    ///
    /// # Errors
    /// When the image has none of it.
    pub fn blob(&self, wanted: &str) -> Result<Vec<u8>> {
        [&self.config, &self.layer]
            .into_iter()
            .find(|blob| digest(blob) == wanted)
            .cloned()
            .with_context(|| format!("the image has no blob {wanted}"))
    }
}

/// `sha256:` and the hex of a content's hash.
#[must_use]
pub fn digest(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    hash.iter().fold(String::from("sha256:"), |text, byte| format!("{text}{byte:02x}"))
}

/// One file, with nothing of the machine that packs it: no owner, no date, fixed permissions.
fn tar(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(wasm.len())?);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, FILE, wasm)?;
    Ok(archive.into_inner()?)
}

/// A gzip stream without name and date; the operating system's byte says "unknown".
fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const WASM: &[u8] = b"\0asm\x01\0\0\0 and some more";

    fn labels() -> Labels {
        Labels::new("1.2.3", "https://example.com/source", "Apache-2.0").revision("abc")
    }

    #[test]
    fn the_same_wasm_is_the_same_image() {
        let image = Image::build(WASM, &labels()).unwrap();
        assert_eq!(image, Image::build(WASM, &labels()).unwrap());
        assert_ne!(image.digest(), Image::build(&[WASM, b"!"].concat(), &labels()).unwrap().digest());
        assert_ne!(image.digest(), Image::build(WASM, &labels().revision("def")).unwrap().digest());
    }

    /// Held here so that a new version of a compressor that changes the bytes is noticed.
    #[test]
    fn the_bytes_are_known() {
        let image = Image::build(WASM, &labels()).unwrap();
        assert_eq!(image.digest(), "sha256:340cf1e3117cc9ffe678677099a7f89dce705ae93586df5db0add6c7b2ad5251");
    }

    #[test]
    fn it_says_what_it_is() {
        let image = Image::build(WASM, &labels()).unwrap();
        let config: Value = serde_json::from_slice(&image.config).unwrap();
        let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
        for labels in [&config["config"]["Labels"], &manifest["annotations"]] {
            assert_eq!(labels["org.opencontainers.image.version"], "1.2.3");
            assert_eq!(labels["org.opencontainers.image.revision"], "abc");
            assert_eq!(labels["org.opencontainers.image.source"], "https://example.com/source");
            assert_eq!(labels["org.opencontainers.image.licenses"], "Apache-2.0");
        }
        assert_eq!(manifest["layers"][0]["digest"], digest(&image.layer));
        assert_eq!(manifest["layers"][0]["size"], image.layer.len());
    }

    #[test]
    fn what_is_no_wasm_is_refused() {
        for bytes in [b"".as_slice(), b"\0asm", b"\x7fELF\x01\0\0\0", b"#!/bin/sh\n"] {
            assert!(Image::build(bytes, &labels()).is_err());
        }
    }
}
