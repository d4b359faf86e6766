//! What is refused whatever the policies say.

use super::{differs, get};
use crate::model::Request;

const ANY_HOST: &str = "policies: [{name: p, rules: [{to: [{operation: {hosts: ['*']}}]}]}]";

#[test]
fn an_authority_that_names_no_host_is_refused() {
    for authority in ["2130706433", "127.1", "0x7f.1"] {
        differs(ANY_HOST, &get(authority), "deny[malformed_host]", "allow");
    }
}

#[test]
fn a_private_address_needs_a_rule_of_its_own() {
    let guarded = format!("privateAddresses: DENY\n{ANY_HOST}");
    differs(&guarded, &get("169.254.169.254"), "deny[private_address]", "allow");
}

#[test]
fn the_host_must_be_the_server_name() {
    let fronting = Request { sni: Some("www.example.com".to_owned()), ..get("hidden.example.org") };
    differs(&format!("sniMismatch: DENY\n{ANY_HOST}"), &fronting, "deny[sni_mismatch]", "allow");
}

#[test]
fn nothing_is_allowed_by_default() {
    let nobody = "defaultAction: DENY\npolicies: []";
    differs(nobody, &get("www.example.com"), "deny[default_action]", "allow");
}
