//! HTTP requests.

use super::Stage;
use crate::scripted::ScriptedStream;
use crate::{Action, PluginInstance, Request};
use serde_json::json;
use std::rc::Rc;

fn stream(authority: &str) -> ScriptedStream {
    ScriptedStream::default()
        .with("peer_certificate", "spiffe://cluster.local/ns/a/sa/x")
        .with("authority", authority)
}

fn ask(instance: &Rc<PluginInstance>, stream: &ScriptedStream) -> Action {
    let request = Request::new(Rc::clone(instance));
    let action = request.on_headers(stream);
    assert_eq!(request.on_more(), action, "what follows the headers goes their way");
    action
}

const DECISIONS: &str = "namespace=.=a;.;verdict=.=allow;.;policy=.=*/p;.;egress_authz_decisions";

#[test]
fn an_admission_is_counted_and_the_next_comes_from_the_cache() {
    let stage = Stage::new();
    let rule = json!({"to": [{"operation": {"hosts": ["*.example"]}}]});
    let plugin = stage.plugin("p", &json!({"policies": [{"name": "p", "rules": [rule]}]}));
    let first = stream("www.example");
    assert_eq!(ask(&plugin, &first), Action::Continue);
    let second = stream("www.example");
    assert_eq!(ask(&plugin, &second), Action::Continue);
    assert!(second.done.borrow().is_empty(), "nothing is told of plain admissions");
    stage.host.seconds.set(Some(1_001));
    plugin.on_tick();
    assert_eq!(stage.host.metrics.borrow().get(DECISIONS), Some(&2));
    assert_eq!(second.reads.borrow().len(), 3, "peer, authority, server name: {:?}", second.reads);
    assert_eq!(ask(&plugin, &stream("www.elsewhere")), Action::Pause);
}

#[test]
fn a_refusal_is_answered_and_told() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &json!({}));
    let refused = stream("www.example");
    assert_eq!(ask(&plugin, &refused), Action::Pause);
    assert_eq!(
        *refused.done.borrow(),
        [
            "filter_state deny[default_action]",
            "answer 403 egress_authz_denied[default_action] \"RBAC: access denied\""
        ]
    );
}

#[test]
fn an_answer_that_envoy_does_not_take_still_lets_nothing_pass() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &json!({}));
    let refused = stream("www.example");
    refused.refused.replace(vec!["answer", "set_filter_state"]);
    assert_eq!(ask(&plugin, &refused), Action::Pause);
    assert!(refused.done.borrow().is_empty());
}

#[test]
fn what_cannot_be_read_is_refused() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &json!({"policies": [{"name": "p", "rules": [{}]}]}));
    for attribute in ["peer_certificate", "authority", "server_name"] {
        let unreadable = stream("www.example");
        unreadable.unreadable.replace(vec![attribute]);
        assert_eq!(ask(&plugin, &unreadable), Action::Pause, "{attribute}");
        assert_eq!(unreadable.verdict(), "deny[attribute_unavailable]", "{attribute}");
    }
}

#[test]
fn without_a_configuration_nothing_passes() {
    let stage = Stage::new();
    let plugin = PluginInstance::new(&stage.worker);
    assert!(!plugin.configure(b"p", b"{\"polices\": []}"));
    let refused = stream("www.example");
    assert_eq!(ask(&plugin, &refused), Action::Pause);
    assert!(refused.done.borrow()[0].starts_with("answer 403 egress_authz_denied[attribute_unavailable]"));
}

#[test]
fn a_bad_update_leaves_the_configuration_as_it_is() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &json!({"defaultAction": "ALLOW"}));
    assert!(!plugin.configure(b"p", b"{\"mode\": \"enforce\"}"));
    assert_eq!(ask(&plugin, &stream("www.example")), Action::Continue);
    assert!(plugin.configure(b"p", b"{}"));
    assert_eq!(
        ask(&plugin, &stream("www.example")),
        Action::Pause,
        "no admission outlives its configuration"
    );
}
