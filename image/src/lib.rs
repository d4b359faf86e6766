//! The OCI image that carries the filter to a gateway.
//!
//! Istio's agent takes exactly three shapes of image ([`fetch`]); [`image`] builds the second of them, an ordinary OCI
//! image whose only layer is a gzipped tar with `plugin.wasm`, because every registry, scanner and mirror knows that one.
//! The same wasm and labels give the same bytes, so an image can be built again and compared by its digest.
//!
//! ```
//! use egress_image::{fetch, image::{Image, Labels}};
//!
//! let wasm = b"\0asm\x01\0\0\0";
//! let image = Image::build(wasm, &Labels::new("1.2.3", "https://example.com/source", "Apache-2.0"))?;
//! let fetched = fetch::wasm(&image.manifest, &mut |digest| image.blob(digest))?;
//! assert_eq!(fetched, wasm);
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod fetch;
pub mod image;
pub mod layout;
pub mod registry;
