//! `egress-image`: the OCI image of the filter, without a container engine.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use egress_image::image::{Image, Labels};
use egress_image::layout::Layout;
use egress_image::registry::Registry;

/// The OCI image of egress-authz: built without a container engine, pushed, and fetched as Istio fetches it.
#[derive(Debug, Parser)]
#[command(name = "egress-image", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the image as an OCI layout and print its digest
    Build {
        /// The filter
        #[arg(long, value_name = "FILE")]
        wasm: PathBuf,
        /// The folder of the layout; an image that is there is replaced
        #[arg(long, value_name = "DIR")]
        layout: PathBuf,
        /// The revision of the source that the filter was built from
        #[arg(long, value_name = "COMMIT")]
        revision: Option<String>,
    },
    /// Push the image of a layout and print the lines for wasmplugin.yaml
    ///
    /// User and password are REGISTRY_USER and REGISTRY_PASSWORD, or docker's configuration.
    Push {
        /// The folder of the layout
        #[arg(long, value_name = "DIR")]
        layout: PathBuf,
        /// Speak to the registry without TLS (always so on this machine)
        #[arg(long)]
        plain_http: bool,
        /// host[:port]/repository:tag
        #[arg(value_name = "IMAGE")]
        image: String,
    },
    /// Fetch an image by the rules of Istio's agent, and write its wasm: does a gateway take it?
    Fetch {
        /// host[:port]/repository:tag or …@sha256:…
        #[arg(value_name = "IMAGE")]
        image: String,
        /// Where the wasm goes
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Speak to the registry without TLS (always so on this machine)
        #[arg(long)]
        plain_http: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match command {
        Command::Build { wasm, layout, revision } => {
            let binary =
                fs::read(&wasm).with_context(|| format!("reading {}: run `make build`", wasm.display()))?;
            let version = env!("CARGO_PKG_VERSION");
            let labels = Labels::new(version, env!("CARGO_PKG_REPOSITORY"), env!("CARGO_PKG_LICENSE"));
            let labels = match revision.filter(|revision| !revision.is_empty()) {
                Some(revision) => labels.revision(&revision),
                None => labels,
            };
            let image = Image::build(&binary, &labels)?;
            Layout::write(&layout, &image, version)?;
            println!("{}", image.digest());
        }
        Command::Push { layout, plain_http, image } => {
            let content = Layout::open(&layout)?.read()?;
            let registry = Registry::of(&image, plain_http)?;
            let digest = runtime()?.block_on(registry.push(&content))?;
            println!("pushed {image}; in wasmplugin.yaml:");
            println!("  url: oci://{}@{digest}", registry.repository());
            println!("or, the tag kept in the url, beside it:");
            println!("  sha256: {}", digest.trim_start_matches("sha256:"));
        }
        Command::Fetch { image, output, plain_http } => {
            let fetched = runtime()?.block_on(Registry::of(&image, plain_http)?.fetch())?;
            println!("{} with {} bytes of wasm, as Istio takes it", fetched.digest, fetched.wasm.len());
            if let Some(output) = output {
                fs::write(&output, fetched.wasm).with_context(|| format!("writing {}", output.display()))?;
            }
        }
    }
    Ok(())
}
