//! What Istio's agent takes for an image of a wasm filter.
//!
//! Written down from the rules that `istio-agent` follows when it meets a WasmPlugin with an `oci://` URL, so that an
//! image can be tried against them before a gateway does. Three shapes are taken, told apart by media types only.

use std::io::Read as _;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::image::{FILE, LAYER, MANIFEST, digest, is_wasm};

/// Docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's layer.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// The layer of an OCI artifact that is the wasm itself.
pub const WASM_LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";

/// `ISTIO_WASM_MAX_BINARY_SIZE_BYTES`, unless the agent is told otherwise.
const LARGEST: u64 = 256 * 1024 * 1024;

/// A manifest, as far as the rules look at it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    media_type: String,
    layers: Vec<Descriptor>,
}

/// What a manifest says of a blob.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
}

/// The manifests that an agent asks a registry for.
pub const ACCEPTED: &[&str] = &[MANIFEST, DOCKER_MANIFEST];

/// The wasm binary in an image, by the rules of Istio's agent.
///
/// # Errors
/// When the agent would not take the image; the gateway then has a deny-all filter in the plugin's place.
pub fn wasm(manifest: &[u8], blob: &mut dyn FnMut(&str) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let manifest: Manifest = serde_json::from_slice(manifest).context("the manifest is no image manifest")?;
    let last = manifest.layers.last().context("the image has no layer")?;
    let mut get = |layer: &Descriptor| -> Result<Vec<u8>> {
        let content = blob(&layer.digest)?;
        ensure!(digest(&content) == layer.digest, "the layer {} arrived damaged", layer.digest);
        Ok(content)
    };
    let binary = if manifest.media_type == DOCKER_MANIFEST {
        ensure!(
            last.media_type == DOCKER_LAYER,
            "a Docker image's last layer is {}, not {DOCKER_LAYER}",
            last.media_type
        );
        untar(&get(last)?)?
    } else if last.media_type == LAYER {
        untar(&get(last)?)?
    } else {
        ensure!(
            manifest.layers.len() == 2,
            "the last layer is {}, and an artifact has exactly 2 layers, not {}",
            last.media_type,
            manifest.layers.len()
        );
        let layer = manifest.layers.iter().find(|layer| layer.media_type == WASM_LAYER);
        get(layer.with_context(|| format!("none of the artifact's layers is {WASM_LAYER}"))?)?
    };
    ensure!(is_wasm(&binary), "what the image holds is no wasm binary");
    Ok(binary)
}

/// The first file called `plugin.wasm`, in whatever folder.
fn untar(layer: &[u8]) -> Result<Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(layer));
    for entry in archive.entries().context("the layer is no gzipped tar")? {
        let entry = entry.context("the layer is no gzipped tar")?;
        let name = entry.path()?.file_name().map(ToOwned::to_owned);
        if name.is_some_and(|name| name == FILE) {
            ensure!(entry.size() <= LARGEST, "{FILE} is larger than {LARGEST} bytes");
            let mut binary = Vec::new();
            entry.take(LARGEST).read_to_end(&mut binary).context("the layer is cut short")?;
            return Ok(binary);
        }
    }
    bail!("the layer has no file {FILE}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Image, Labels};
    use serde_json::{Value, json};

    const WASM: &[u8] = b"\0asm\x01\0\0\0 and some more";

    fn image() -> Image {
        Image::build(WASM, &Labels::new("1", "https://example.com", "Apache-2.0")).unwrap()
    }

    /// The image with its manifest edited, fetched.
    fn edited(edit: impl FnOnce(&mut Value)) -> Result<Vec<u8>> {
        let image = image();
        let mut manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
        edit(&mut manifest);
        wasm(&serde_json::to_vec(&manifest).unwrap(), &mut |digest| match image.blob(digest) {
            Ok(blob) => Ok(blob),
            Err(_) => Ok(WASM.to_vec()),
        })
    }

    #[test]
    fn ours_is_taken() {
        assert_eq!(edited(|_| {}).unwrap(), WASM);
    }

    #[test]
    fn a_docker_image_is_taken() {
        let docker = |layer: &'static str| {
            edited(move |manifest| {
                manifest["mediaType"] = json!(DOCKER_MANIFEST);
                manifest["layers"][0]["mediaType"] = json!(layer);
            })
        };
        assert_eq!(docker(DOCKER_LAYER).unwrap(), WASM);
        assert!(docker(LAYER).is_err());
    }

    #[test]
    fn an_artifact_has_two_layers_and_the_wasm_as_it_is() {
        let layer = json!({"mediaType": WASM_LAYER, "digest": digest(WASM), "size": WASM.len()});
        let config = json!({"mediaType": "application/json", "digest": digest(b"{}"), "size": 2});
        let artifact = |layers: Value| edited(move |manifest| manifest["layers"] = layers);
        assert_eq!(artifact(json!([layer, config])).unwrap(), WASM);
        assert!(artifact(json!([layer])).is_err());
        assert!(artifact(json!([layer, config, config])).is_err());
    }

    #[test]
    fn the_newer_artifact_types_are_not_taken() {
        let result = edited(|manifest| manifest["layers"][0]["mediaType"] = json!("application/wasm"));
        assert!(result.unwrap_err().to_string().contains("exactly 2 layers"));
    }

    #[test]
    fn a_damaged_layer_is_not_taken() {
        let image = image();
        let cut = wasm(&image.manifest, &mut |digest| {
            let mut blob = image.blob(digest)?;
            blob.truncate(blob.len() / 2);
            Ok(blob)
        });
        assert!(cut.unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_layer_without_the_file_is_not_taken() {
        let image = image();
        let empty = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let empty = empty.into_inner().unwrap().finish().unwrap();
        let mut manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
        manifest["layers"][0]["digest"] = json!(digest(&empty));
        let result = wasm(&serde_json::to_vec(&manifest).unwrap(), &mut |_| Ok(empty.clone()));
        assert!(result.unwrap_err().to_string().contains("no file plugin.wasm"));
    }
}
