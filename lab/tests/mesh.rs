//! The mesh without our filter: what the lab itself must be able to do for its verdicts to mean anything.

use egress_lab::client::http::Ask;
use egress_lab::filter::Filter;
use egress_lab::mesh::Mesh;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_lab::sidecar::Workload;

#[test]
fn everybody_reaches_everything_without_a_filter() {
    let mut shape = Shape::new(vec![Listener::new(Kind::Mtls80, Filter::None)]);
    shape.originate("secure.example");
    let mesh = Mesh::start(&shape, &[Workload::new("default/sleep"), Workload::new("other/sleep")]).unwrap();
    for who in ["default/sleep", "other/sleep"] {
        let answer = mesh.http(who, &Ask::parse("GET http://www.example.com/a?b=c").unwrap()).unwrap();
        assert_eq!(answer.status, 200);
        let saw = answer.json();
        assert_eq!(saw["scheme"], "http");
        assert_eq!(saw["host"], "www.example.com");
        assert_eq!(saw["path"], "/a?b=c");
    }
    let answer = mesh.http("default/sleep", &Ask::parse("GET http://secure.example/").unwrap()).unwrap();
    assert_eq!(answer.json()["scheme"], "https");
    assert_eq!(answer.json()["sni"], "secure.example");
    let seen = mesh.world().seen();
    assert_eq!(seen.requests_for("www.example.com"), 2);
    assert_eq!(seen.requests_for("secure.example"), 1);
}
