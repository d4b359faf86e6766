//! `envoy/docker-compose.yaml` brought up for real, by podman-compose, with an image built here: scenario `deny-namespace` by `curl`, as
//! `envoy/README.md` says it. Needs root and Debian packages, so `make test-mesh` runs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod engine;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use egress_lab::compose;
use egress_lab::paths::{filter_wasm, repo_dir};
use egress_lab::provision::EnvoyBinary;
use serde_json::Value;

use self::engine::Engine;

const IMAGE: &str = "localhost/egress-lab-envoy";

/// Containers that are gone when dropped, with a storage of their own.
struct Containers {
    engine: Engine,
    compose_file: PathBuf,
    ports: Vec<(&'static str, u16)>,
}

impl Containers {
    fn prepare() -> Self {
        let engine = Engine::new();
        // The compose file as it is, in a folder like the repository's, so that its relative mount leads to files of ours.
        let compose_file = engine.path().join("envoy/docker-compose.yaml");
        fs::create_dir_all(compose_file.parent().unwrap()).unwrap();
        fs::copy(repo_dir().unwrap().join("envoy/docker-compose.yaml"), &compose_file).unwrap();
        let names = ["GATEWAY_ADMIN", "FRONTEND_HTTP", "FRONTEND_TLS", "DEFAULT_HTTP", "DEFAULT_TLS"];
        let held: Vec<TcpListener> =
            names.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports =
            names.into_iter().zip(held.iter().map(|socket| socket.local_addr().unwrap().port())).collect();
        Self { engine, compose_file, ports }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.engine.command(program);
        command
            .env("ENVOY_IMAGE", IMAGE)
            .envs(self.ports.iter().map(|(name, port)| (*name, port.to_string())));
        command
    }

    fn compose(&self, arguments: &[&str]) -> Output {
        let project = format!("egress-test-{}", std::process::id());
        self.command("podman-compose")
            .args(["-p", &project, "-f"])
            .arg(&self.compose_file)
            .args(arguments)
            .output()
            .unwrap()
    }

    /// An image from nothing: the binary, and the libraries that it asks for.
    fn build_image(&self) {
        let context = self.engine.path().join("image");
        let envoy = EnvoyBinary::find().unwrap().path;
        let libraries = Command::new("ldd").arg(&envoy).output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
        let binary = (envoy.clone(), PathBuf::from("/usr/local/bin/envoy"));
        for (from, to) in libraries.map(|path| (path.clone(), path)).chain([binary]) {
            let to = context.join(to.strip_prefix("/").unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
        fs::create_dir_all(context.join("tmp")).unwrap();
        fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin\n").unwrap();
        let built =
            self.command("podman").args(["build", "--quiet", "--tag", IMAGE]).arg(&context).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    fn port(&self, name: &str) -> u16 {
        self.ports.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn curl(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "10", "--include"])
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn http(&self, port: &str) -> (Option<i32>, String) {
        self.curl(&["--header", "Host: www.aliyun.com", &format!("http://127.0.0.1:{}/", self.port(port))])
    }

    fn https(&self, authority: &Path, port: &str) -> (Option<i32>, String) {
        let to = format!("::127.0.0.1:{}", self.port(port));
        self.curl(&["--cacert", authority.to_str().unwrap(), "--connect-to", &to, "https://www.aliyun.com/"])
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        self.compose(&["down"]);
    }
}

#[test]
#[ignore = "needs root, podman-compose and runc: `make test-mesh`"]
fn the_containers_tell_scenario_a() {
    let containers = Containers::prepare();
    let mounted = containers.engine.path().join("target/compose");
    let policy = fs::read_to_string(repo_dir().unwrap().join("envoy/policy.yaml")).unwrap();
    let policy: Value = yaml_serde::from_str(&policy).unwrap();
    compose::write(&mounted, &filter_wasm().unwrap(), &policy).unwrap();
    containers.build_image();
    let up = containers.compose(&["up", "-d"]);
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));

    let deadline = Instant::now() + Duration::from_secs(60);
    while !containers.http("DEFAULT_HTTP").1.starts_with("HTTP/1.1 200") {
        let logs = || String::from_utf8_lossy(&containers.compose(&["logs"]).stdout).into_owned();
        assert!(Instant::now() < deadline, "no answer:\n{}", logs());
        sleep(Duration::from_millis(300));
    }
    let (_, allowed) = containers.http("DEFAULT_HTTP");
    assert!(allowed.ends_with("You have reached the outside.\n"), "{allowed}");
    let (_, refused) = containers.http("FRONTEND_HTTP");
    assert!(
        refused.starts_with("HTTP/1.1 403") && refused.ends_with("\r\n\r\nRBAC: access denied"),
        "{refused}"
    );

    let authority = mounted.join("public-ca.crt");
    let (code, allowed) = containers.https(&authority, "DEFAULT_TLS");
    assert!(code == Some(0) && allowed.ends_with("You have reached the outside.\n"), "{code:?} {allowed}");
    let (code, refused) = containers.https(&authority, "FRONTEND_TLS");
    // The connection is closed in the handshake.
    assert_eq!((code, refused.as_str()), (Some(35), ""));
}
