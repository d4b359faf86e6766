//! Ways around the filter that there were, and that an Envoy in `tests/` shows as well.

use super::Stage;
use crate::Action;
use egress_policy::Protocol;
use serde_json::{Value, json};

const PLAIN: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02";

fn config(settings: &Value) -> Value {
    let mut config = json!({"type": "NETWORK", "policies": [{"name": "p", "rules": [{}]}]});
    for (key, value) in settings.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// A second verdict that differs, as in every rollout.
fn rollout(settings: &Value) -> Value {
    let mut config = config(settings);
    let dry_run = json!({"name": "trial", "action": "DENY", "mode": "DRY_RUN", "rules": [{}]});
    config["policies"].as_array_mut().unwrap().push(dry_run);
    config
}

/// A connection to `site.example` of which nothing is chosen before the client's bytes go on.
fn late_dial(plugin: &std::rc::Rc<crate::PluginInstance>) -> super::Talk {
    let talk = Stage::connect(plugin);
    talk.stream.set("server_name", "site.example");
    for name in ["cluster_name", "upstream_address"] {
        talk.stream.attributes.borrow_mut().remove(name);
    }
    talk
}

#[test]
fn a_dry_run_leaves_enforced_guards_on() {
    for settings in
        [json!({"routeMismatch": "DENY"}), json!({"privateUpstreams": "DENY", "routeMismatch": "ALLOW"})]
    {
        let stage = Stage::new();
        let talk = late_dial(&stage.plugin("p", &rollout(&settings)));
        assert_eq!(talk.client(PLAIN), Action::Continue, "the gateway dials with the client's bytes");
        assert_eq!(
            talk.stream.verdict(),
            "allow[ns[*]-policy[p]-rule[0]] would_deny[ns[*]-policy[trial]-rule[0]]"
        );
        talk.stream.set("cluster_name", "outbound|443||elsewhere.example");
        talk.stream.set("upstream_address", "127.0.0.1:443");
        assert_eq!(talk.site(b"hello"), Action::Pause, "{settings}");
        let reason = if settings["routeMismatch"] == "DENY" { "route_mismatch" } else { "private_upstream" };
        assert!(talk.stream.verdict().starts_with(&format!("deny[{reason}]")), "{}", talk.stream.verdict());
        assert_eq!(talk.stream.did("close"), 1);
    }
}

#[test]
fn a_waiting_guard_is_not_forgotten() {
    let guarded = json!({"routeMismatch": "DENY", "recheckConnections": false});
    let expiring = json!({"routeMismatch": "DENY", "recheckConnections": false, "policies": [
        {"name": "p", "rules": [{}]},
        {"name": "q", "expires": "1970-01-01T00:20:00Z", "rules": [{}]}]});
    for (settings, reloads) in [(&guarded, true), (&expiring, false)] {
        let stage = Stage::new();
        let plugin = stage.plugin("p", &config(settings));
        let talk = late_dial(&plugin);
        assert_eq!(talk.client(PLAIN), Action::Continue);
        if reloads {
            stage.plugin("p", &config(settings));
        } else {
            stage.host.seconds.set(Some(1_300));
            talk.stream.now.set(1_300);
        }
        assert_eq!(talk.client(b"more"), Action::Continue, "nothing is chosen yet");
        talk.stream.set("cluster_name", "outbound|443||elsewhere.example");
        assert_eq!(talk.site(b"hello"), Action::Pause, "{settings}");
        assert_eq!(talk.stream.verdict(), "deny[route_mismatch]");
    }
}

#[test]
fn a_neighbours_policy_admits_nothing() {
    let stage = Stage::new();
    let strict = stage.plugin("p", &json!({"type": "NETWORK"}));
    let waits = Stage::connect_at(&strict, "10.0.0.1:8443");
    assert_eq!(waits.client(HALF_A_HELLO), Action::Pause);
    let open = stage.plugin("p", &config(&json!({})));
    let neighbour = Stage::connect_at(&open, "10.0.0.1:9443");
    assert_eq!(neighbour.client(PLAIN), Action::Continue);
    // Whatever it turns out to be.
    assert_eq!(waits.client(b"\x00\x00\x00\x00"), Action::Pause);
    assert_eq!(waits.stream.did("close"), 1);

    // A live connection of the open one, beside a strict neighbour that comes later, may be its update, until somebody
    // connects again.
    let strict = stage.plugin("p", &json!({"type": "NETWORK", "defaultAction": "DENY"}));
    assert_eq!(Stage::connect_at(&strict, "10.0.0.1:8443").client(PLAIN), Action::Pause);
    let again = Stage::connect_at(&open, "10.0.0.1:9443");
    assert_eq!(again.client(PLAIN), Action::Continue);
    assert_eq!(neighbour.client(PLAIN), Action::Continue, "that one is in force there");
}

#[test]
fn two_configurations_of_one_listener_are_both_satisfied() {
    let stage = Stage::new();
    let strict = stage.plugin("p", &json!({"type": "NETWORK"}));
    let open = stage.plugin("p", &config(&json!({})));
    // Two filter chains of one listener, in turn.
    let waits = Stage::connect(&strict);
    assert_eq!(waits.client(HALF_A_HELLO), Action::Pause);
    for _ in 0..3 {
        assert_eq!(Stage::connect(&open).client(PLAIN), Action::Pause, "both have to admit");
        assert_eq!(Stage::connect(&strict).client(PLAIN), Action::Pause);
    }
    assert_eq!(waits.client(b"\x00\x00\x00\x00"), Action::Pause);
    assert_eq!(waits.stream.did("close"), 1);
}

#[test]
fn the_wrong_type_in_a_dry_run_passes_and_says_so() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &json!({"mode": "DRY_RUN", "type": "HTTP"}));
    let talk = Stage::connect(&plugin);
    assert_eq!(talk.client(PLAIN), Action::Continue);
    assert_eq!(talk.stream.verdict(), "would_deny[wrong_type]");
    let enforced = Stage::connect(&stage.plugin("q", &json!({"type": "HTTP", "defaultAction": "ALLOW"})));
    assert_eq!(enforced.client(PLAIN), Action::Pause);
    assert_eq!(enforced.stream.verdict(), "deny[wrong_type]");
}

#[test]
fn plugins_of_one_name_and_two_types_do_not_know_each_other() {
    let stage = Stage::new();
    let talk = Stage::connect(&stage.plugin("p", &config(&json!({}))));
    assert_eq!(talk.client(PLAIN), Action::Continue);
    let http = stage.plugin("p", &json!({"type": "HTTP"}));
    assert_eq!(http.config().unwrap().engine.settings().protocol, Protocol::Http);
    assert_eq!(talk.client(PLAIN), Action::Continue);
}

#[test]
fn the_timer_is_the_configurations_alone() {
    let stage = Stage::new();
    for (settings, milliseconds) in [
        (json!({}), 1_000),
        (json!({"privateUpstreams": "DENY"}), 5),
        (json!({"privateUpstreams": "DENY", "mode": "DRY_RUN"}), 1_000),
    ] {
        assert_eq!(stage.plugin("p", &config(&settings)).tick_milliseconds(), milliseconds, "{settings}");
    }
}
