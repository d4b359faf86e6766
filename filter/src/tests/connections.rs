//! TCP connections.

use super::{Stage, Talk};
use crate::Action;
use serde_json::{Value, json};

fn open() -> Value {
    json!({"type": "NETWORK", "policies": [{"name": "p", "rules": [{}]}]})
}

const PLAIN: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02";

#[test]
fn bytes_pass_once_they_are_admitted() {
    let stage = Stage::new();
    let talk = Stage::connect(&stage.plugin("p", &open()));
    assert_eq!(talk.client(PLAIN), Action::Continue);
    assert_eq!(talk.site(b"HTTP/1.1 200"), Action::Continue);
    assert_eq!(talk.client(PLAIN), Action::Continue);
    assert!(talk.stream.done.borrow().is_empty(), "{:?}", talk.stream.done);
}

#[test]
fn a_refusal_closes_and_nothing_passes_afterwards() {
    let stage = Stage::new();
    let talk = Stage::connect(&stage.plugin("p", &json!({"type": "NETWORK"})));
    assert_eq!(talk.client(PLAIN), Action::Pause);
    assert_eq!(*talk.stream.done.borrow(), ["filter_state deny[default_action]", "close"]);
    for _ in 0..3 {
        assert_eq!(talk.client(PLAIN), Action::Pause);
        assert_eq!(talk.site(b"hello"), Action::Pause);
    }
    assert_eq!(talk.stream.did("close"), 1);
}

#[test]
fn a_close_that_envoy_does_not_carry_out_still_lets_nothing_pass() {
    let stage = Stage::new();
    let talk = Stage::connect(&stage.plugin("p", &json!({"type": "NETWORK"})));
    talk.stream.refused.replace(vec!["close", "set_filter_state"]);
    assert_eq!(talk.client(PLAIN), Action::Pause);
    assert_eq!((talk.client(PLAIN), talk.site(b"hello")), (Action::Pause, Action::Pause));
}

#[test]
fn bytes_that_cannot_be_read_are_refused() {
    let stage = Stage::new();
    let talk = Stage::connect(&stage.plugin("p", &open()));
    talk.stream.unreadable.replace(vec!["client_bytes"]);
    assert_eq!(talk.client(PLAIN), Action::Pause);
    assert_eq!(talk.stream.verdict(), "deny[attribute_unavailable]");
}

#[test]
fn a_greeting_before_the_identity_is_refused() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &open());
    let talk = Stage::connect(&plugin);
    assert_eq!(talk.site(b"220 mail"), Action::Continue, "with a certificate it passes");
    let talk = Stage::connect(&plugin);
    talk.stream.attributes.borrow_mut().remove("peer_certificate");
    talk.stream.is_tls.set(true);
    assert_eq!(talk.site(b""), Action::Continue, "a site that closes without a word holds nothing");
    assert_eq!(talk.site(b"220 mail"), Action::Pause);
    assert_eq!(talk.stream.verdict(), "deny[identity_pending]");
}

#[test]
fn a_hello_has_ten_seconds_by_the_clock() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &open());
    let talk = Stage::connect(&plugin);
    assert_eq!(talk.client(HALF_A_HELLO), Action::Pause);
    for second in 1_001..=1_010 {
        stage.host.seconds.set(Some(second));
        // Ticks may come more often than once a second.
        plugin.on_tick();
        plugin.on_tick();
        assert_eq!(talk.stream.did("close"), 0, "{second}");
    }
    stage.host.seconds.set(Some(1_012));
    plugin.on_tick();
    assert_eq!(talk.stream.verdict(), "deny[hello_timeout]");
    assert_eq!(talk.stream.did("close"), 1);
}

#[test]
fn new_connections_let_the_time_pass_too() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &open());
    plugin.on_tick();
    let talk = Stage::connect(&plugin);
    assert_eq!(talk.client(HALF_A_HELLO), Action::Pause);
    // No tick comes any more.
    stage.host.seconds.set(Some(1_020));
    let others: Vec<Talk> = (0..20).map(|_| Stage::connect(&plugin)).collect();
    assert_eq!(talk.stream.verdict(), "deny[hello_timeout]");
    // Whoever let it pass is spoken of again.
    assert_eq!(others.iter().filter(|other| other.stream.did("enter") == 1).count(), 1);
}

#[test]
fn a_clock_that_is_set_ends_no_hello() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &open());
    plugin.on_tick();
    let talk = Stage::connect(&plugin);
    assert_eq!(talk.client(HALF_A_HELLO), Action::Pause);
    for seconds in [500_000, 900, 901] {
        stage.host.seconds.set(Some(seconds));
        plugin.on_tick();
    }
    assert_eq!(talk.stream.did("close"), 0);
    // Where Envoy does not tell the time at all, each tick is a second.
    stage.host.seconds.set(None);
    (0..20).for_each(|_| plugin.on_tick());
    assert_eq!(talk.stream.did("close"), 1);
}

#[test]
fn what_the_gateway_dials_is_awaited() {
    let stage = Stage::new();
    let mut config = open();
    config["privateUpstreams"] = json!("DENY");
    let plugin = stage.plugin("p", &config);
    assert_eq!(plugin.tick_milliseconds(), 5);
    for (address, passes) in [("9.9.9.9:443", true), ("127.0.0.1:443", false)] {
        let talk = Stage::connect(&plugin);
        talk.stream.attributes.borrow_mut().remove("upstream_address");
        assert_eq!(talk.client(PLAIN), Action::Pause);
        plugin.on_tick();
        assert_eq!(talk.client(b"more"), Action::Pause);
        assert!(talk.stream.done.borrow().iter().all(|line| line == "enter"), "{:?}", talk.stream.done);
        talk.stream.set("upstream_address", address);
        plugin.on_tick();
        assert_eq!(talk.stream.did("resume"), usize::from(passes), "{address}");
        assert_eq!(talk.stream.did("close"), usize::from(!passes), "{address}");
        let then = if passes { Action::Continue } else { Action::Pause };
        assert_eq!((talk.client(b"more"), talk.site(b"hello")), (then, then), "{address}");
    }
}

#[test]
fn an_expiry_closes_a_live_connection_and_costs_nothing_before() {
    let stage = Stage::new();
    let policy = |name: &str, expires: &str| json!({"name": name, "expires": expires, "rules": [{}]});
    let plugin = stage.plugin(
        "p",
        &json!({"type": "NETWORK", "policies": [
            policy("late", "1970-01-01T01:00:00Z"), policy("gone", "1970-01-01T00:00:10Z")]}),
    );
    let talk = Stage::connect(&plugin);
    talk.stream.now.set(1_000);
    assert_eq!(talk.client(PLAIN), Action::Continue);
    stage.host.seconds.set(Some(3_599));
    assert_eq!(talk.client(PLAIN), Action::Continue);
    assert_eq!(talk.stream.reads.borrow()["now"], 1, "decided once");
    stage.host.seconds.set(Some(3_600));
    talk.stream.now.set(3_600);
    assert_eq!(talk.client(PLAIN), Action::Pause);
    assert_eq!(talk.stream.verdict(), "deny[recheck[expired[ns[*]-policy[late]-rule[0]]]]");
    assert_eq!(stage.plugin("q", &open()).tick_milliseconds(), 1_000);
}

#[test]
fn a_configuration_closes_what_it_refuses_and_leaves_the_rest() {
    let stage = Stage::new();
    let old = stage.plugin("p", &open());
    let (one, other) = (Stage::connect(&old), Stage::connect(&old));
    assert_eq!((one.client(PLAIN), other.client(PLAIN)), (Action::Continue, Action::Continue));
    let mut same = open();
    same["defaultAction"] = json!("ALLOW");
    stage.plugin("p", &same);
    assert_eq!(one.client(PLAIN), Action::Continue);
    stage.plugin("p", &json!({"type": "NETWORK"}));
    assert_eq!(one.client(PLAIN), Action::Pause);
    assert_eq!(one.stream.verdict(), "deny[recheck[default_action]]");
    assert_eq!(other.site(b"hello"), Action::Pause, "at the site's bytes, too");
}

#[test]
fn a_configuration_that_is_given_up_makes_the_one_before_active_again() {
    let stage = Stage::new();
    let old = stage.plugin("p", &open());
    let talk = Stage::connect(&old);
    assert_eq!(talk.client(PLAIN), Action::Continue);
    let strict = stage.plugin("p", &json!({"type": "NETWORK"}));
    strict.on_delete();
    assert_eq!(talk.client(PLAIN), Action::Continue);
}

#[test]
fn a_connection_that_is_gone_is_forgotten() {
    let stage = Stage::new();
    let plugin = stage.plugin("p", &open());
    let talk = Stage::connect(&plugin);
    assert_eq!(talk.client(HALF_A_HELLO), Action::Pause);
    talk.connection.on_delete();
    stage.host.seconds.set(Some(1_020));
    plugin.on_tick();
    stage.host.seconds.set(Some(1_040));
    plugin.on_tick();
    assert_eq!(talk.stream.did("close") + talk.stream.did("enter"), 0);
}

/// Ticks may come every five milliseconds; gauges are set once a second, those of every plugin.
#[test]
fn a_tick_within_a_second_sets_no_gauge() {
    let stage = Stage::new();
    let (one, other) = (stage.plugin("p", &open()), stage.plugin("q", &open()));
    for second in [1_001, 1_002] {
        stage.host.seconds.set(Some(second));
        let before = stage.host.gauges_set.get();
        for _ in 0..200 {
            one.on_tick();
            other.on_tick();
        }
        assert_eq!(stage.host.gauges_set.get() - before, 2 * 3, "three for each of two plugins");
    }
    for plugin in ["p", "q"] {
        let name = format!("plugin=.={plugin};.;egress_authz_policies");
        assert_eq!(stage.host.metrics.borrow().get(&name), Some(&1));
    }
}

/// Once the address is there nothing waits for it, also where a further ClientHello has begun meanwhile.
#[test]
fn an_address_is_awaited_no_longer_than_it_takes() {
    let hello = crate::connection::hello(b"site.example");
    let stage = Stage::new();
    let mut config = open();
    config["privateUpstreams"] = json!("DENY");
    config["routeMismatch"] = json!("ALLOW");
    let plugin = stage.plugin("p", &config);
    let talk = Stage::connect(&plugin);
    talk.stream.attributes.borrow_mut().remove("upstream_address");
    assert_eq!(talk.client(&hello), Action::Pause);
    assert_eq!(talk.client(&hello[..20]), Action::Pause, "a further hello begins");
    talk.stream.set("upstream_address", "9.9.9.9:443");
    plugin.on_tick();
    let entered = talk.stream.did("enter");
    plugin.on_tick();
    assert_eq!(talk.stream.did("enter"), entered, "it is not asked again");
}
