//! A client inside a pod that holds the workload's certificate itself, and so can say what no sidecar says.

mod ambient;
mod carriers;
mod scenarios;

use std::process::ExitCode;

use anyhow::Result;
use egress_lab::certs::Authority;
use egress_mesh::mesh::{Mesh, Options};
use egress_mesh_tests::authority;
use egress_tests::tests;

/// The pods of the clients.
const WORKLOADS: [&str; 4] = ["a/x", "b/y", "mytest/sleep-a", "default/nginx"];

fn main() -> ExitCode {
    use ambient::*;
    use carriers::*;
    use scenarios::*;
    egress_mesh_tests::run(
        start,
        tests![
            domain_fronting,
            one_rule_both_protocols,
            server_speaks_first,
            no_dial_before_the_verdict,
            ambient_principal,
            one_policy_file_guards_http_and_network_side_by_side,
            the_same_as_traffic_extensions,
        ],
    )
}

/// The mesh, and its authority.
struct Inside {
    mesh: Mesh,
    authority: Authority,
}

fn start() -> Result<Inside> {
    let mesh = Mesh::start(&Options::with_workloads(&WORKLOADS)?)?;
    let authority = authority::of_mesh(&mesh)?;
    for who in WORKLOADS {
        authority::past_the_sidecar(mesh.pod(who)?, mesh.gateway()?.address())?;
    }
    Ok(Inside { mesh, authority })
}
