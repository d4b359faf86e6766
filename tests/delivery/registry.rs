//! The image through a real registry, as a gateway gets it. Needs Debian's `docker-registry`, so `make test-mesh` runs it.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod engine;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use egress_image::image::{Image, Labels};
use egress_image::layout::Layout;
use egress_lab::filter::Protocol;
use egress_lab::paths::{filter_wasm, repo_dir};
use egress_lab::provision::EnvoyBinary;
use egress_lab::scenario::{Player, Scenario};
use serde_json::Value;
use tempfile::TempDir;

use self::engine::Engine;

/// A registry on loopback that is gone when dropped.
struct Registry {
    process: Child,
    address: SocketAddr,
    dir: TempDir,
}

/// `user` with the password `secret`, as `htpasswd -B` writes it.
const USERS: &str = "user:$2b$05$CfXVRBw/GkLTyx.3pRb.De7DCTm2i6M2Hf1UD73NJN6mF0T9Nkw3m\n";

impl Registry {
    fn start(with_users: bool) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let users = dir.path().join("users");
        fs::write(&users, USERS).unwrap();
        let auth = if with_users {
            format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", users.display())
        } else {
            String::new()
        };
        let config = dir.path().join("config.yml");
        let storage = dir.path().join("storage");
        fs::write(
            &config,
            format!(
                "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n{auth}",
                storage.display()
            ),
        )
        .unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("docker-registry is not there: `make test-mesh` installs it");
        let registry = Self { process, address, dir };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            let log = || fs::read_to_string(registry.dir.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the registry does not listen:\n{}", log());
            sleep(Duration::from_millis(50));
        }
        registry
    }

    fn image(&self) -> String {
        format!("{}/team/egress-authz", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `make image`, without its build: the filter that is there.
fn layout(dir: &Path) -> Image {
    let wasm = fs::read(filter_wasm().unwrap()).unwrap();
    let labels = Labels::new("0.0.0", "https://example.com", "Apache-2.0").revision("test");
    let image = Image::build(&wasm, &labels).unwrap();
    assert_eq!(image, Image::build(&wasm, &labels).unwrap(), "two builds differ");
    Layout::write(dir, &image, "test").unwrap();
    image
}

/// The command behind `make push`, with no user but the one given.
fn egress_image(arguments: &[&str], user: Option<(&str, &str)>) -> Output {
    let target = std::env::current_exe().unwrap();
    let program = target.ancestors().map(|dir| dir.join("egress-image")).find(|path| path.is_file());
    let mut command = Command::new(program.expect("`cargo build -p egress-image` first"));
    command
        .args(arguments)
        .env("DOCKER_CONFIG", "/nonexistent")
        .env_remove("REGISTRY_USER")
        .env_remove("REGISTRY_PASSWORD");
    if let Some((user, password)) = user {
        command.env("REGISTRY_USER", user).env("REGISTRY_PASSWORD", password);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
#[ignore = "needs Debian's docker-registry: `make test-mesh`"]
fn the_image_is_pushed_pulled_and_plays_scenario_a() {
    let registry = Registry::start(false);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("image");
    let image = layout(&dir);
    let tagged = format!("{}:1.2.3", registry.image());
    let pushed = egress_image(&["push", "--layout", dir.to_str().unwrap(), &tagged], None);
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    let reference = format!("{}@{}", registry.image(), image.digest());
    assert!(text(&pushed.stdout).contains(&format!("url: oci://{reference}")), "{}", text(&pushed.stdout));

    let fetched = tempfile::tempdir().unwrap();
    let fetched = fetched.path();
    for (name, from) in [("by-tag", &tagged), ("by-digest", &reference)] {
        let path = fetched.join(name);
        let got = egress_image(&["fetch", from, "--output", path.to_str().unwrap()], None);
        assert!(got.status.success(), "{}", text(&got.stderr));
        assert!(text(&got.stdout).contains(&image.digest()));
        assert_eq!(fs::read(&path).unwrap(), fs::read(filter_wasm().unwrap()).unwrap());
    }

    // What came out of the registry, in a real Envoy.
    let scenarios = Scenario::load_all(&repo_dir().unwrap().join("tests/scenarios")).unwrap();
    let scenario = scenarios.into_iter().find(|scenario| scenario.name == "deny-namespace").unwrap();
    let mut player = Player::new(EnvoyBinary::find().unwrap(), fetched.join("by-digest"));
    player.protocols = vec![Protocol::Http];
    let outcome = player.play(&[scenario]).unwrap();
    assert!(
        outcome.ok() && !outcome.rows.is_empty(),
        "{:?}",
        outcome.rows.iter().map(|row| &row.problems).collect::<Vec<_>>()
    );
}

/// A make target, in the target folder that this test was built in; what it prints.
fn make(arguments: &[&str]) -> String {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_path_buf();
    let output = Command::new("make")
        .args(["--no-print-directory", "--silent"])
        .args(arguments)
        .current_dir(repo_dir().unwrap())
        .env("CARGO_TARGET_DIR", target)
        .env_remove("EGRESS_AUTHZ_WASM")
        .output()
        .unwrap();
    assert!(output.status.success(), "make {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn digest_in(text: &str) -> String {
    let start = text.rfind("sha256:").expect("no digest");
    text.get(start..start + "sha256:".len() + 64).unwrap().to_owned()
}

#[test]
#[ignore = "needs Debian's docker-registry: `make test-mesh`"]
fn make_image_and_make_push_do_what_the_page_says() {
    let registry = Registry::start(false);
    // Named, because somebody may commit between the two.
    let image = ["image", "REVISION=test"];
    let digest = digest_in(&make(&image));
    assert_eq!(digest_in(&make(&image)), digest, "two builds differ");
    // Nor would another builder's: the filter holds no path of this machine.
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_path_buf();
    let wasm = fs::read(target.join("wasm32-wasip1/release/egress_authz.wasm")).unwrap();
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME")).unwrap();
    assert!(!wasm.windows(home.len()).any(|window| window == home.as_bytes()), "it holds {home}");
    let version = make(&["version"]);
    let tagged = format!("{}:{}", registry.image(), version.trim());
    let pushed = make(&["push", &format!("IMAGE={tagged}")]);
    assert!(pushed.contains(&format!("url: oci://{}@{digest}", registry.image())), "{pushed}");
    let fetched = egress_image(&["fetch", &tagged], None);
    assert!(fetched.status.success() && text(&fetched.stdout).contains(&digest), "{}", text(&fetched.stderr));
}

/// The Dockerfile's image, built by podman and pushed: Istio takes it, and it holds the same filter under the same labels.
#[test]
#[ignore = "needs root, podman and Debian's docker-registry: `make test-mesh`"]
fn the_dockerfile_gives_the_same() {
    let registry = Registry::start(false);
    let engine = Engine::new();
    let context = engine.path().join("context");
    let wasm = context.join("target/wasm32-wasip1/release/egress_authz.wasm");
    fs::create_dir_all(wasm.parent().unwrap()).unwrap();
    fs::copy(filter_wasm().unwrap(), &wasm).unwrap();
    fs::copy(repo_dir().unwrap().join("Dockerfile"), context.join("Dockerfile")).unwrap();
    let tagged = format!("{}:docker", registry.image());
    let podman = |arguments: &[&str]| {
        let output = engine.command("podman").args(arguments).output().unwrap();
        assert!(output.status.success(), "podman {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let (version, revision) = ("VERSION=1.2.3", "REVISION=abc");
    podman(&[
        "build",
        "--quiet",
        "--build-arg",
        version,
        "--build-arg",
        revision,
        "--tag",
        &tagged,
        context.to_str().unwrap(),
    ]);
    podman(&["push", "--quiet", "--tls-verify=false", &tagged]);
    let output = engine.path().join("fetched.wasm");
    let fetched = egress_image(&["fetch", &tagged, "--output", output.to_str().unwrap()], None);
    assert!(fetched.status.success(), "{}", text(&fetched.stderr));
    assert_eq!(fs::read(&output).unwrap(), fs::read(&wasm).unwrap());

    let inspected: Value = serde_json::from_str(&podman(&["inspect", &tagged])).unwrap();
    let labels = inspected.pointer("/0/Config/Labels").and_then(Value::as_object).unwrap();
    let ours: Value = serde_json::from_slice(&layout(&engine.path().join("ours")).config).unwrap();
    let ours = ours.pointer("/config/Labels").and_then(Value::as_object).unwrap();
    for (name, value) in ours {
        let same = match name.rsplit('.').next().unwrap() {
            "version" => labels.get(name) == Some(&"1.2.3".into()),
            "revision" => labels.get(name) == Some(&"abc".into()),
            // The place is the workspace's own, which the test's layout does not know.
            "source" => labels.contains_key(name),
            _ => labels.get(name) == Some(value),
        };
        assert!(same, "{name}: {value} and {:?}", labels.get(name));
    }
    assert!(ours.len() >= 5, "{ours:?}");
}

#[test]
#[ignore = "needs Debian's docker-registry: `make test-mesh`"]
fn who_may_push_is_told_apart() {
    let registry = Registry::start(true);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("image");
    layout(&dir);
    let tagged = format!("{}:1.2.3", registry.image());
    let push = |user| egress_image(&["push", "--layout", dir.to_str().unwrap(), &tagged], user);
    for (user, named) in [(None, "someone without a name"), (Some(("user", "wrong")), "the user user")] {
        let refused = push(user);
        assert_eq!(refused.status.code(), Some(1));
        let error = text(&refused.stderr);
        assert!(
            error.contains("does not let") && error.contains(named) && error.contains("REGISTRY_USER"),
            "{error}"
        );
        assert!(!error.contains("wrong"), "the password is in the error");
    }
    let pushed = push(Some(("user", "secret")));
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    let fetched = egress_image(&["fetch", &tagged], Some(("user", "secret")));
    assert!(fetched.status.success(), "{}", text(&fetched.stderr));
}

#[test]
#[ignore = "needs Debian's docker-registry: `make test-mesh`"]
fn what_is_not_there_is_said() {
    let registry = Registry::start(false);
    let image = registry.image();
    let missing = egress_image(&["fetch", &format!("{image}:none")], None);
    assert!(text(&missing.stderr).contains("there is no such image"), "{}", text(&missing.stderr));
    let down = registry.address;
    drop(registry);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("image");
    layout(&dir);
    let refused = egress_image(&["push", "--layout", dir.to_str().unwrap(), &format!("{image}:1")], None);
    assert_eq!(refused.status.code(), Some(1));
    let error = text(&refused.stderr);
    assert!(error.contains("does not answer") && error.contains(&down.to_string()), "{error}");
}
