//! What `up` leaves for people: the folder `.mesh/istio/` with wrappers for the programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::Result;
use egress_lab::paths::repo_dir;
use egress_mesh::mesh::{Mesh, public_authority_file};
use egress_mesh::place::{APPLICATION_USER, HUB, PREFIX, RUN};

/// `.mesh/istio/` in the repository.
pub(super) struct State {
    dir: PathBuf,
}

// === impl State ===

impl State {
    pub(super) fn open() -> Result<Self> {
        let dir = repo_dir()?.join(".mesh/istio");
        fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("mesh.log")
    }

    /// The list of things to try; it is there when the mesh is.
    pub(super) fn hints(&self) -> PathBuf {
        self.dir.join("hints.txt")
    }

    /// Writes the wrappers and the list.
    pub(super) fn write(&self, mesh: &Mesh) -> Result<()> {
        let kubeconfig = mesh.kubectl().kubeconfig().display();
        let in_hub = |program: PathBuf| {
            format!(
                "exec ip netns exec {HUB} env KUBECONFIG={kubeconfig} KUBECACHEDIR={RUN}/kubectl-cache {} \"$@\"\n",
                program.display()
            )
        };
        let authorities = public_authority_file();
        let curl = format!(
            "who=$1; shift\nexec ip netns exec \"{PREFIX}$(echo \"$who\" | tr / -)\" sh -c 'mount --bind {ca} /etc/ssl/certs/ca-certificates.crt && exec setpriv --reuid {APPLICATION_USER} --regid {APPLICATION_USER} --clear-groups -- curl \"$@\"' curl \"$@\"\n",
            ca = authorities.display()
        );
        let admin = format!(
            "who=$1; shift\nexec ip netns exec \"{PREFIX}$(echo \"$who\" | tr / -)\" curl -sS \"http://127.0.0.1:15000$1\"\n"
        );
        for (name, text) in [
            ("kubectl", in_hub(mesh.programs().kubectl())),
            ("istioctl", in_hub(mesh.programs().istioctl())),
            ("curl-as", curl),
            ("admin", admin),
        ] {
            let path = self.dir.join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}"))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        // Renamed into place: whoever waits for the file reads all of it.
        fs::write(self.dir.join("hints.draft"), self.text(mesh)?)?;
        Ok(fs::rename(self.dir.join("hints.draft"), self.hints())?)
    }

    fn text(&self, mesh: &Mesh) -> Result<String> {
        let dir = self.dir.display();
        let gateway = mesh.gateway()?;
        Ok(format!(
            "The mesh is up, with `kubectl apply -k deploy/istio` in force. It is reached from its own namespaces only; wrappers do that:

  {dir}/kubectl get wasmplugins -A
  {dir}/kubectl get authorizationpolicies,gateways,virtualservices,serviceentries -A
  {dir}/istioctl analyze --use-kube=false deploy/istio/*.yaml
  {dir}/curl-as mytest/sleep-a -i http://www.httpbin.org/            # 200
  {dir}/curl-as default/nginx -i http://www.httpbin.org/             # 403
  {dir}/curl-as mytest/sleep-a https://www.httpbin.org/              # 200, the application's own TLS
  {dir}/curl-as default/nginx https://www.httpbin.org/               # closed
  {dir}/admin istio-egressgateway /config_dump | less                  # what the gateway has; the plugins are `ecds_filters`
  {dir}/admin istio-egressgateway /stats/prometheus | grep egress_authz

  a policy of your own: egressctl render SHORT.yaml, with the image {image}

  KUBECONFIG  {kubeconfig}   (in the namespace {HUB}: ip netns exec {HUB} …)
  kubectl     {kubectl}
  istioctl    {istioctl}
  access log  {access}
  agent log   {log}

End it with `make mesh-down`.
",
            image = mesh.image(),
            kubeconfig = mesh.kubectl().kubeconfig().display(),
            kubectl = mesh.programs().kubectl().display(),
            istioctl = mesh.programs().istioctl().display(),
            access = gateway.access_log().path().display(),
            log = gateway.agent().log_path().display(),
        ))
    }

    /// Removes what belongs to a running mesh; the log stays.
    pub(super) fn clear(&self) {
        for name in ["kubectl", "istioctl", "curl-as", "admin", "hints.txt", "hints.draft"] {
            // What is not there need not be removed.
            let _ = fs::remove_file(self.dir.join(name));
        }
    }
}
