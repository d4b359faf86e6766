//! An image as a folder: the OCI image layout, which `skopeo`, `crane`, `oras` and `podman` read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::image::{Image, MANIFEST, digest};

/// An image layout on disk, with one image.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
}

// === impl Layout ===

impl Layout {
    /// Writes an image. What was in the folder before is replaced.
    ///
    /// # Errors
    /// When the folder cannot be written, or holds something that is no image layout.
    pub fn write(dir: &Path, image: &Image, tag: &str) -> Result<Self> {
        if dir.exists() {
            let ours = dir.join("oci-layout").is_file() || fs::read_dir(dir)?.next().is_none();
            ensure!(ours, "{} holds something that is no image: name another folder", dir.display());
            fs::remove_dir_all(dir).with_context(|| format!("replacing {}", dir.display()))?;
        }
        let layout = Self { dir: dir.to_owned() };
        fs::create_dir_all(dir.join("blobs/sha256"))
            .with_context(|| format!("creating {}", dir.display()))?;
        for blob in [&image.config, &image.layer, &image.manifest] {
            layout.save(&layout.blob_path(&digest(blob))?, blob)?;
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": MANIFEST,
                "digest": image.digest(),
                "size": image.manifest.len(),
                "annotations": {"org.opencontainers.image.ref.name": tag},
            }],
        });
        layout.save(&dir.join("index.json"), &serde_json::to_vec(&index)?)?;
        // Last: a folder that has it is whole.
        layout.save(&dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(layout)
    }

    /// Opens what [`Layout::write`] left.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(dir: &Path) -> Result<Self> {
        ensure!(dir.join("oci-layout").is_file(), "{} holds no image: run `make image`", dir.display());
        Ok(Self { dir: dir.to_owned() })
    }

    /// Reads the image back; each blob is held against its digest.
    ///
    /// # Errors
    /// When something is missing or damaged.
    pub fn read(&self) -> Result<Image> {
        let index: Value = serde_json::from_slice(&self.load(&self.dir.join("index.json"))?)?;
        let manifest = self.blob(index.pointer("/manifests/0/digest"))?;
        let parsed: Value = serde_json::from_slice(&manifest)?;
        let config = self.blob(parsed.pointer("/config/digest"))?;
        let layer = self.blob(parsed.pointer("/layers/0/digest"))?;
        Ok(Image { manifest, config, layer })
    }

    fn blob(&self, wanted: Option<&Value>) -> Result<Vec<u8>> {
        let wanted = wanted.and_then(Value::as_str).context("the image names no such blob")?;
        let content = self.load(&self.blob_path(wanted)?)?;
        ensure!(digest(&content) == wanted, "the blob {wanted} is damaged: run `make image` again");
        Ok(content)
    }

    fn blob_path(&self, digest: &str) -> Result<PathBuf> {
        let hex = digest.strip_prefix("sha256:").with_context(|| format!("{digest} is no sha256 digest"))?;
        ensure!(hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest} is no sha256 digest");
        Ok(self.dir.join("blobs/sha256").join(hex))
    }

    fn load(&self, path: &Path) -> Result<Vec<u8>> {
        fs::read(path).with_context(|| format!("reading {}", path.display()))
    }

    fn save(&self, path: &Path, content: &[u8]) -> Result<()> {
        fs::write(path, content).with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Labels;

    fn image(more: &[u8]) -> Image {
        let wasm = [b"\0asm\x01\0\0\0", more].concat();
        Image::build(&wasm, &Labels::new("1", "https://example.com", "Apache-2.0")).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("image");
        for image in [image(b"one"), image(b"two")] {
            Layout::write(&dir, &image, "1").unwrap();
            assert_eq!(Layout::open(&dir).unwrap().read().unwrap(), image);
        }
        // The first image's blobs are gone.
        assert_eq!(fs::read_dir(dir.join("blobs/sha256")).unwrap().count(), 3);
    }

    #[test]
    fn a_damaged_blob_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("image");
        let image = image(b"one");
        let layout = Layout::write(&dir, &image, "1").unwrap();
        fs::write(layout.blob_path(&digest(&image.layer)).unwrap(), b"x").unwrap();
        assert!(layout.read().unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        assert!(Layout::write(dir.path(), &image(b""), "1").is_err());
        assert!(dir.path().join("thesis.txt").is_file());
    }
}
