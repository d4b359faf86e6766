//! `egressctl merge`: a policy that somebody wrote is in the whole, or there is an error.

use crate::common::{egressctl, text};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A folder of files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// What is written, and what is said; `Err` where it fails.
fn merge(folder: &Path) -> Result<(String, String), String> {
    let output = egressctl(&["merge"]).arg(folder).output().unwrap();
    let (written, said) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() { Ok((written, said)) } else { Err(said) }
}

fn refused(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    merge(folder.path()).unwrap_err()
}

const DENY: &str =
    "policies: [{name: no-lab, action: DENY, rules: [{to: [{operation: {hosts: [lab.example]}}]}]}]\n";

#[test]
fn a_deny_is_in_the_whole_or_an_error() {
    let tenants = [
        (format!("{DENY}{DENY}"), "policies: the key is written twice"),
        ("policies: {name: no-lab, action: DENY, rules: [{}]}".to_owned(), "begin each entry with `- `"),
        ("policies: no-lab".to_owned(), "policies: a list is wanted here, not a string"),
        ("policies:".to_owned(), "policies: null is not a value"),
        ("policies: [no-lab]".to_owned(), "policies[0]: an object is wanted here"),
        ("polices: [{name: a}]".to_owned(), "write `policies`"),
        ("- name: no-lab\n  action: DENY".to_owned(), "an object is wanted here, not a list"),
        (
            "policies: [{name: a, namespace: shop, namespace: cart}]".to_owned(),
            "policies[0].namespace: the key is written twice",
        ),
        ("hostSets: {lab: lab.example}".to_owned(), "write [\"lab.example\"]"),
        (format!("{DENY}---\n{DENY}"), "one document is wanted"),
        ("policies: [{name: {{ .Values.name }}}]".to_owned(), "template that was not rendered"),
    ];
    for (tenant, wanted) in tenants {
        let said = refused(&[("mesh.yaml", "{}"), ("namespaces/shop.yaml", &tenant)]);
        assert!(said.contains(wanted) && said.contains("shop.yaml"), "{tenant}: {said}");
        // The same for the platform's file, where the core is the judge.
        if tenant.starts_with("policies: {")
            || tenant.starts_with("policies: no")
            || tenant.matches("policies:").count() == 2
        {
            let said = refused(&[("mesh.yaml", &tenant)]);
            assert!(said.contains("mesh.yaml"), "{tenant}: {said}");
        }
    }
}

#[test]
fn a_merge_key_is_merged_before_the_policies_are() {
    let tenant = "\
policies:
- &a {name: a, action: DENY, rules: [{to: [{operation: {hosts: [a.example]}}]}]}
- {<<: *a, name: b}
";
    let folder = folder(&[("mesh.yaml", "{}"), ("namespaces/shop.yaml", tenant)]);
    let (written, _) = merge(folder.path()).unwrap();
    assert_eq!(written.matches("action: DENY").count(), 2, "{written}");
}

/// Of two sets of one name the namespace's own is meant in its file, the mesh's everywhere else; the file's owner is told.
#[test]
fn the_nearer_of_two_host_sets_wins_with_a_warning() {
    let rule = |name: &str| {
        format!("policies: [{{name: {name}, rules: [{{to: [{{operation: {{hosts: [\"@search\"]}}}}]}}]}}]\n")
    };
    let shop = format!("hostSets: {{search: [own.example]}}\n{}", rule("near"));
    let folder = folder(&[
        ("mesh.yaml", "hostSets: {search: [mesh.example]}"),
        ("namespaces/cart.yaml", &rule("far")),
        ("namespaces/shop.yaml", &shop),
    ]);
    let (written, said) = merge(folder.path()).unwrap();
    assert!(said.contains("warning: hostSets.search") && said.contains("shop.yaml:1:12"), "{said}");
    let policy = folder.path().join("whole.json");
    fs::write(&policy, &written).unwrap();
    for (namespace, host, code) in [
        ("shop", "own.example", 0),
        ("shop", "mesh.example", 2),
        ("cart", "mesh.example", 0),
        ("cart", "own.example", 2),
    ] {
        let principal = format!("cluster.local/ns/{namespace}/sa/x");
        let output =
            egressctl(&["explain", policy.to_str().unwrap(), "--principal", &principal, "--host", host])
                .output();
        assert_eq!(output.unwrap().status.code(), Some(code), "{namespace} {host}");
    }
}

#[test]
fn an_error_of_the_whole_is_shown_in_its_file() {
    let said = refused(&[
        ("mesh.yaml", "policies: [{name: a, rules: [{}]}]"),
        ("namespaces/cart.yaml", "hostSets: {x.y: [a.example, \"*b\"]}"),
        (
            "namespaces/shop.yaml",
            "policies:\n- {name: ok}\n- name: b\n  rules: [{to: [{operation: {methods: [get]}}]}]",
        ),
    ]);
    assert!(said.contains("hostSets.x.y[1]") && said.contains("cart.yaml:1:"), "{said}");
    assert!(
        said.contains("policies[1].rules[0].to[0].operation.methods[0]") && said.contains("shop.yaml:4:"),
        "{said}"
    );
}

#[test]
fn what_is_not_read_is_named() {
    let files = |extra: &'static str| [("mesh.yaml", "{}"), ("namespaces/shop.yaml", DENY), (extra, DENY)];
    for (extra, wanted) in [
        ("mesh.yml", "call it mesh.yaml"),
        ("namespace/cart.yaml", "call it namespaces"),
        ("cart.yaml", "move it into namespaces/"),
        ("namespaces/cart.txt", "<namespace>.yaml"),
        ("namespaces/Cart.yaml", "called after no namespace"),
        ("namespaces/shop.json", "has another file"),
        ("namespaces/sub/cart.yaml", "sub"),
    ] {
        let said = refused(&files(extra));
        assert!(said.contains(wanted), "{extra}: {said}");
    }
    let folder = folder(&files("namespaces/.cart.yaml"));
    let (_, said) = merge(folder.path()).unwrap();
    assert!(said.contains(".cart.yaml: a hidden file: it is not read"), "{said}");
}

#[cfg(unix)]
#[test]
fn links_that_leave_the_folder_and_devices_are_not_read() {
    use std::os::unix::fs::symlink;
    let outside = folder(&[("secret.yaml", "token: hunter2"), ("deny.yaml", DENY)]);
    for (link, target) in [
        ("namespaces/cart.yaml", "secret.yaml"),
        ("namespaces/cart.yaml", "deny.yaml"),
        ("namespaces/cart.yaml", "nowhere"),
    ] {
        let folder = folder(&[("mesh.yaml", "{}"), ("namespaces/shop.yaml", DENY)]);
        symlink(outside.path().join(target), folder.path().join(link)).unwrap();
        let said = merge(folder.path()).unwrap_err();
        assert!(said.contains("cart.yaml") && !said.contains("hunter2"), "{said}");
    }
    let all = folder(&[("mesh.yaml", "{}"), ("other/shop.yaml", DENY)]);
    symlink(outside.path(), all.path().join("namespaces")).unwrap();
    assert!(merge(all.path()).unwrap_err().contains("leaves the folder"));
    // A ConfigMap that is mounted is links inside the folder.
    let mounted =
        folder(&[("..data/mesh.yaml", "{}"), ("..data/shop.yaml", DENY), ("namespaces/x.yaml", DENY)]);
    symlink("..data/mesh.yaml", mounted.path().join("mesh.yaml")).unwrap();
    symlink("../..data/shop.yaml", mounted.path().join("namespaces/shop.yaml")).unwrap();
    assert_eq!(merge(mounted.path()).unwrap().0.matches("action: DENY").count(), 2);
    let pipe = folder(&[("mesh.yaml", "{}"), ("namespaces/shop.yaml", DENY)]);
    let made =
        std::process::Command::new("mkfifo").arg(pipe.path().join("namespaces/cart.yaml")).status().unwrap();
    assert!(made.success());
    assert!(merge(pipe.path()).unwrap_err().contains("a device or a pipe"));
    let output = egressctl(&["check", "/dev/zero"]).output().unwrap();
    assert!(text(&output.stdout).contains("a device or a pipe"), "{output:?}");
}
