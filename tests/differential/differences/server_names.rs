//! `connection.sni`.

use super::{differs, get};
use crate::model::Request;

#[test]
fn case_and_final_dot_of_a_server_name_do_not_matter() {
    for name in ["WWW.Example.com", "www.example.com."] {
        let allow = format!(
            "policies: [{{name: p, rules: [{{when: [{{key: connection.sni, values: [{name}]}}]}}]}}]"
        );
        differs(&allow, &get("www.example.com"), "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
    }
}

#[test]
fn a_client_without_a_server_name_cannot_hide() {
    let silent = Request { sni: None, ..get("www.example.com") };
    let deny = "policies: [{name: p, action: DENY, rules: [{when: [{key: connection.sni, values: [bad.example]}]}]}]";
    differs(deny, &silent, "deny[ns[*]-policy[p]-rule[0]]", "allow");
    let allow = "policies: [{name: p, rules: [{when: [{key: connection.sni, notValues: [bad.example]}]}]}]";
    differs(allow, &silent, "deny[no_allow_matched]", "allow");
}
