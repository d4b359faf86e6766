//! Istio's and Kubernetes' programs, built from pinned Go modules once and kept in `.tools/`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use egress_lab::paths::repo_dir;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::netns::run;

/// The oldest Go that the modules take.
const GO: (u32, u32) = (1, 26);

/// A folder with a `go.mod`, and what is built from it: name of the program, package.
const MODULES: &[(&str, &[(&str, &str)])] = &[
    (
        "kubernetes",
        &[
            ("etcd", "go.etcd.io/etcd/server/v3"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ],
    ),
    (
        "istio",
        &[
            ("pilot-agent", "istio.io/istio/pilot/cmd/pilot-agent"),
            ("istioctl", "istio.io/istio/istioctl/cmd/istioctl"),
            ("pilot-discovery", "istio.io/istio/pilot/cmd/pilot-discovery"),
        ],
    ),
];

/// The programs, and Istio's own files.
#[derive(Debug, Clone)]
pub struct Programs {
    kubernetes: PathBuf,
    istio: PathBuf,
    /// The folder of the module `istio.io/istio`.
    source: PathBuf,
}

// === impl Programs ===

impl Programs {
    /// Builds what is not there yet; the first time takes some minutes, and progress is shown on standard error.
    ///
    /// # Errors
    /// When there is no Go of the version that is needed, or a build fails.
    pub fn provide() -> Result<Self> {
        let mut dirs = Vec::new();
        for (module, programs) in MODULES {
            dirs.push(provide(module, programs)?);
        }
        let [kubernetes, istio] = dirs.try_into().map_err(|_| anyhow::anyhow!("an odd table of modules"))?;
        let source = source_of_istio()?;
        Ok(Self { kubernetes, istio, source })
    }

    pub(crate) fn etcd(&self) -> PathBuf {
        self.kubernetes.join("etcd")
    }

    pub(crate) fn api_server(&self) -> PathBuf {
        self.kubernetes.join("kube-apiserver")
    }

    /// `kubectl`
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.kubernetes.join("kubectl")
    }

    pub(crate) fn istiod(&self) -> PathBuf {
        self.istio.join("pilot-discovery")
    }

    pub(crate) fn agent(&self) -> PathBuf {
        self.istio.join("pilot-agent")
    }

    /// `istioctl`
    #[must_use]
    pub fn istioctl(&self) -> PathBuf {
        self.istio.join("istioctl")
    }

    /// Istio's CustomResourceDefinitions.
    pub(crate) fn crds(&self) -> PathBuf {
        self.source.join("manifests/charts/base/files/crd-all.gen.yaml")
    }

    /// The template of Envoy's bootstrap, as Istio's proxy image has it.
    pub(crate) fn bootstrap(&self) -> PathBuf {
        self.source.join("tools/packaging/common/envoy_bootstrap.json")
    }
}

/// Refuses where there is no Go, or one that is too old.
///
/// # Errors
/// As said.
pub fn check_go() -> Result<()> {
    const REPAIR: &str = "install Go 1.26 or later and put it on PATH (https://go.dev/doc/install)";
    let said = Command::new("go")
        .arg("version")
        .output()
        .with_context(|| format!("there is no `go`, which Istio's programs are built with: {REPAIR}"))?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = text.split_whitespace().nth(2).and_then(|word| word.strip_prefix("go")).unwrap_or_default();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < GO {
        bail!("`go` is {version}, and Istio's programs need {}.{} or later: {REPAIR}", GO.0, GO.1);
    }
    Ok(())
}

fn module_dir(module: &str) -> Result<PathBuf> {
    Ok(repo_dir()?.join("lab/mesh/programs").join(module))
}

fn provide(module: &str, programs: &[(&str, &str)]) -> Result<PathBuf> {
    let source = module_dir(module)?;
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        hash.update(fs::read(source.join(file)).with_context(|| format!("{module}/{file}"))?);
    }
    let hash: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let home = repo_dir()?.join(format!(".tools/mesh-{module}-{hash}"));
    fs::create_dir_all(&home)?;
    for (name, package) in programs {
        if !home.join(name).is_file() {
            check_go()?;
            build(&source, package, name, &home)?;
        }
    }
    Ok(home)
}

/// Builds one program; Go says each package that it compiles, which is the progress.
fn build(source: &Path, package: &str, name: &str, home: &Path) -> Result<()> {
    let begin = Instant::now();
    let draft = home.join(format!(".{name}-{}", std::process::id()));
    let terminal = std::io::stderr().is_terminal();
    eprintln!("Building {name} from {package} (the first time takes some minutes) …");
    let mut child = Command::new("go")
        .args(["build", "-v", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(&draft)
        .arg(package)
        .current_dir(source)
        .env("GOFLAGS", "")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting go")?;
    let mut said = Vec::new();
    let mut compiled = BTreeSet::new();
    for line in BufReader::new(child.stderr.take().context("no pipe from go")?).lines() {
        let line = line?;
        // A package has no spaces in it; everything else is a message.
        if line.contains(' ') {
            if !line.starts_with("go: downloading") {
                said.push(line.clone());
            }
        } else {
            compiled.insert(line.clone());
        }
        if terminal {
            eprint!("\r\x1b[K  {name}: {} packages, {:.70}", compiled.len(), line);
            std::io::stderr().flush()?;
        }
    }
    if terminal {
        eprint!("\r\x1b[K");
    }
    if !child.wait()?.success() {
        // Nothing half-built stays.
        let _ = fs::remove_file(&draft);
        bail!("go could not build {package}:\n{}", said.join("\n"));
    }
    fs::rename(&draft, home.join(name))?;
    eprintln!("  {name}: {} packages compiled in {:.0} s", compiled.len(), begin.elapsed().as_secs_f32());
    Ok(())
}

/// Where Go keeps the module; it is fetched where only the built programs were kept.
fn source_of_istio() -> Result<PathBuf> {
    let dir = module_dir("istio")?;
    check_go()?;
    let text = run(Command::new("go").args(["mod", "download", "-json", "istio.io/istio"]).current_dir(dir))
        .context("fetching the source of Istio, which holds its CustomResourceDefinitions")?;
    let json: Value = serde_json::from_str(&text)?;
    json.get("Dir").and_then(Value::as_str).map(PathBuf::from).context("go names no folder of istio.io/istio")
}
