//! What a dry run reports.

use super::{ask, get, load};
use crate::bench::Bench;
use crate::model::Protocol;

#[test]
fn a_dry_run_is_judged_together_with_what_is_enforced() {
    let yaml = "policies:\n\
        - {name: now, rules: [{to: [{operation: {hosts: [a.example]}}]}]}\n\
        - {name: then, mode: DRY_RUN, rules: [{to: [{operation: {hosts: [b.example]}}]}]}\n";
    let bench = Bench::shared(Protocol::Http);
    let mut bench = Bench::turn(&bench);
    load(&mut bench, Protocol::Http, yaml);
    let shadow = "istio_dry_run_allow_shadow_engine_result";
    // Nothing would change for a.example: it stays allowed. Native shadow rules do not know of the enforced policy.
    let answers = ask(&mut bench, &get("a.example"));
    assert_eq!(answers.ours.reason, "allow[ns[*]-policy[now]-rule[0]]");
    assert!(answers.native.allowed);
    assert_eq!(answers.native.shadow[shadow], "denied");
    // b.example would be allowed, says either.
    let answers = ask(&mut bench, &get("b.example"));
    assert_eq!(answers.ours.reason, "deny[no_allow_matched] would_allow[ns[*]-policy[then]-rule[0]]");
    assert!(!answers.native.allowed);
    assert_eq!(answers.native.shadow[shadow], "allowed");
}
