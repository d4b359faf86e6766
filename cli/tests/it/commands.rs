//! Every command as a process: standard output, standard error, exit code.

use crate::common;
use insta::internals::SettingsBindDropGuard;
use insta_cmd::assert_cmd_snapshot;
use std::path::Path;
use std::process::Command;

fn egressctl(args: &[&str]) -> Command {
    let mut command = common::egressctl(args);
    command.current_dir(common::repository().join("cli/tests/data")).env("COLUMNS", "100");
    command
}

/// What differs from build to build or day to day.
fn stable() -> SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.add_filter(r"egressctl \d+\.\d+\.\d+ \([0-9a-z]+\)", "egressctl [VERSION]");
    settings.add_filter(r"[^ ]*/tests/data", "[DATA]");
    settings.bind_to_scope()
}

macro_rules! snapshots {
    ($($name:ident: $($arg:expr),* $(=> $stdin:expr)?;)*) => {$(
        #[test]
        fn $name() {
            let _stable = stable();
            assert_cmd_snapshot!(stringify!($name), egressctl(&[$($arg),*]) $(.pass_stdin($stdin))?);
        }
    )*};
}

snapshots! {
    version: "--version";
    help: "--help";
    no_arguments: ;
    unknown_command: "chekc";

    check_help: "check", "--help";
    check_errors: "check", "errors.yaml";
    check_errors_json: "check", "errors.yaml", "--format", "json";
    check_errors_color: "check", "typo.yaml", "--color", "always";
    check_warnings: "check", "warnings.yaml";
    check_network: "check", "network.yaml";
    check_manifests: "check", "manifests.yaml";
    check_gateways: "check", "gateways.yaml";
    check_good: "check", "good.yaml";
    check_good_json: "check", "good.yaml", "--format", "json";
    check_json_file: "check", "typo.json";
    check_stdin: "check", "-" => "polices: []\n";
    check_empty: "check", "-" => "";
    check_not_yaml: "check", "-" => "policies:\n- name: [a\n  rules: []\n";
    check_other_resources: "check", "-" => "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    check_bad_bundle: "check", "-" => "bundle: abc\n";
    check_missing_file: "check", "nowhere.yaml";
    check_no_file: "check";
    check_root_namespace: "check", "rootless.yaml", "--root-namespace", "mesh-root";

    explain_help: "explain", "--help";
    explain_allow: "explain", "good.yaml", "--principal", "cluster.local/ns/shop/sa/checkout", "--host", "eu.payments.example", "--sni", "eu.payments.example";
    explain_deny: "explain", "good.yaml", "--principal", "cluster.local/ns/shop/sa/frontend", "--host", "eu.payments.example:8443", "--method", "POST";
    explain_deny_json: "explain", "good.yaml", "--principal", "cluster.local/ns/shop/sa/frontend", "--host", "eu.payments.example", "--format", "json";
    explain_by_deny_policy: "explain", "good.yaml", "--principal", "cluster.local/ns/shop/sa/checkout", "--host", "www.evil.example";
    explain_nobody: "explain", "good.yaml", "--host", "www.example.com";
    explain_foreign: "explain", "good.yaml", "--principal", "elsewhere/ns/shop/sa/checkout", "--host", "www.example.com";
    explain_invalid_identity: "explain", "good.yaml", "--principal", "spiffe://cluster.local/someone", "--host", "www.example.com";
    explain_malformed_host: "explain", "good.yaml", "--principal", "cluster.local/ns/shop/sa/checkout", "--host", "127.1";
    explain_fronting: "explain", "good.yaml", "--principal", "cluster.local/ns/shop/sa/checkout", "--host", "a.example", "--sni", "b.example";
    explain_fields: "explain", "fields.yaml", "--principal", "cluster.local/ns/a/sa/x", "--host", "www.example.com", "--method", "PUT",
        "--path", "/upload?x=1", "--port", "8080", "--source-ip", "10.1.2.3", "--header", "X-Team=blue", "--header", "x-team=red",
        "--claims", r#"{"iss": "me", "sub": "you", "aud": ["a", "b"], "deep": {"er": "x"}}"#;
    explain_fields_bare: "explain", "fields.yaml", "--principal", "cluster.local/ns/a/sa/x", "--host", "www.example.com";
    explain_path_readings: "explain", "paths.yaml", "--principal", "cluster.local/ns/a/sa/x", "--host", "www.example.com", "--path", "/x/..%2fadmin;v=1?q";
    explain_path_unclear: "explain", "paths.yaml", "--principal", "cluster.local/ns/a/sa/x", "--host", "www.example.com", "--path", "/api/%zz";
    explain_path_agrees: "explain", "paths.yaml", "--principal", "cluster.local/ns/a/sa/x", "--host", "www.example.com", "--path", "/api/group%2Fproject";
    explain_network: "explain", "fields.yaml", "--network", "--principal", "cluster.local/ns/a/sa/x", "--host", "www.example.com", "--sni", "www.example.com";
    explain_network_no_name: "explain", "fields.yaml", "--network", "--principal", "cluster.local/ns/a/sa/x";
    explain_route_mismatch: "explain", "guards.yaml", "--network", "--principal", "cluster.local/ns/a/sa/x", "--host", "a.example", "--cluster", "outbound|443||b.example";
    explain_private_upstream: "explain", "guards.yaml", "--network", "--principal", "cluster.local/ns/a/sa/x", "--host", "a.example", "--upstream-ip", "127.0.0.1";
    explain_private_address: "explain", "guards.yaml", "--principal", "cluster.local/ns/a/sa/x", "--host", "169.254.169.254";
    explain_expired: "explain", "expiring.yaml", "--principal", "cluster.local/ns/a/sa/x", "--host", "a.example", "--at", "2031-01-01T00:00:00Z";
    explain_not_yet_expired: "explain", "expiring.yaml", "--principal", "cluster.local/ns/a/sa/x", "--host", "a.example", "--at", "2029-01-01T00:00:00Z";
    explain_dry_run: "explain", "dry-run.yaml", "--principal", "cluster.local/ns/a/sa/x", "--host", "a.example";
    explain_dry_run_mode: "explain", "dry-run-mode.yaml", "--host", "a.example";
    explain_several_plugins: "explain", "plugins.yaml", "--host", "a.example";
    explain_plugin: "explain", "plugins.yaml", "--host", "a.example", "--plugin", "istio-system/second";
    explain_no_such_plugin: "explain", "plugins.yaml", "--host", "a.example", "--plugin", "third";
    explain_bad_config: "explain", "typo.yaml", "--host", "a.example";
    explain_bad_config_json: "explain", "typo.yaml", "--host", "a.example", "--format", "json";
    explain_without_host: "explain", "good.yaml";
    explain_bad_claims: "explain", "good.yaml", "--host", "a", "--claims", "[1]";
    explain_bad_header: "explain", "good.yaml", "--host", "a", "--header", "x";
    explain_bad_time: "explain", "good.yaml", "--host", "a", "--at", "tomorrow";

    test_help: "test", "--help";
    test_passes: "test", "good.yaml", "good.cases.yaml";
    test_passes_json: "test", "good.yaml", "good.cases.yaml", "--format", "json";
    test_fails: "test", "good.yaml", "wrong.cases.yaml";
    test_fails_color: "test", "good.yaml", "wrong.cases.yaml", "--color", "always";
    test_bad_table: "test", "good.yaml", "bad.cases.yaml";
    test_empty_table: "test", "good.yaml", "-" => "cases: []\n";
    test_without_expectation: "test", "good.yaml", "-" => "cases:\n- {name: a, host: b}\n";
    test_both_bad: "test", "typo.yaml", "nowhere.yaml";

    diff_help: "diff", "--help";
    diff_same: "diff", "good.yaml", "good.yaml", "good.cases.yaml";
    diff_flips: "diff", "good.yaml", "changed.yaml", "good.cases.yaml";
    diff_flips_json: "diff", "good.yaml", "changed.yaml", "good.cases.yaml", "--format", "json";
    diff_log: "diff", "good.yaml", "changed.yaml", "audit.log";
    diff_without_requests: "diff", "good.yaml", "changed.yaml";
    diff_plugins: "diff", "plugins.yaml", "good.yaml", "--plugin", "second";
    diff_no_log: "diff", "good.yaml", "changed.yaml", "typo.json";
    diff_bad: "diff", "typo.yaml", "good.yaml";

    import_help: "import", "--help";
    import_everything: "import", "istio.yaml";
    import_http_only: "import", "istio.yaml", "--http-only";
    import_strict: "import", "istio-good.yaml", "--strict";
    import_audit_dry_run: "import", "istio-audit.yaml";
    import_json: "import", "istio-good.yaml", "--format", "json";
    import_gateway_namespace: "import", "istio-good.yaml", "--root-namespace", "root", "--gateway-namespace", "egress", "--gateway-labels", "app=out,istio=egressgateway";
    import_gateway_api: "import", "istio-good.yaml", "--gateway-namespace", "egress", "--gateway-labels", "gateway.networking.k8s.io/gateway-name=out";
    import_trust_domain: "import", "istio-good.yaml", "--trust-domain", "mesh.example";
    import_refused: "import", "istio-refused.yaml";
    import_smokescreen: "import", "smokescreen.yaml";
    import_smokescreen_refused: "import", "-" => "services:\n- {name: Some Role, action: enforce}\n- {name: a, action: maybe}\nglobal_deny_list: [\"bad*\"]\n";
    import_nothing: "import", "good.yaml";
    import_bad_label: "import", "istio.yaml", "--gateway-labels", "x";

    merge_help: "merge", "--help";
    merge_tenants: "merge", "../../../examples/multi-tenant";
    merge_json: "merge", "merge-small", "--format", "json";
    merge_bad: "merge", "merge-bad";
    merge_bad_values: "merge", "merge-bad-values";
    merge_nowhere: "merge", "nowhere";

    pack_help: "pack", "--help";
    pack_bare: "pack", "good.yaml";
    pack_bare_json: "pack", "good.yaml", "--format", "json";
    pack_manifest: "pack", "plugins.yaml";
    pack_invalid: "pack", "typo.yaml";
    pack_nothing: "pack", "-" => "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    unpack_help: "unpack", "--help";
    unpack_bundle: "unpack", "packed.yaml";
    unpack_plain: "unpack", "good.yaml";
    explain_bundle: "explain", "packed.yaml", "--principal", "cluster.local/ns/shop/sa/checkout", "--host", "eu.payments.example";
    check_bundle: "check", "packed.yaml";
    check_bundle_inside: "check", "packed-typo.yaml";

    schema_help: "schema", "--help";
    completions_help: "completions", "--help";
    completions_unknown: "completions", "csh";
    man_help: "man", "--help";
}
