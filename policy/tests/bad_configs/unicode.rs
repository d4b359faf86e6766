//! Hosts that are not ASCII: the punycode form is named where its tables are compiled in.

use crate::errors;
use egress_policy::Config;

#[test]
fn a_host_in_unicode_is_told_its_punycode_form() {
    for (host, punycode) in
        [("bücher.example", "xn--bcher-kva.example"), ("*.bücher.example", "*.xn--bcher-kva.example")]
    {
        let json = format!(
            r#"{{"policies": [{{"name": "p", "rules": [{{"to": [{{"operation": {{"hosts": ["{host}"]}}}}]}}]}}]}}"#
        );
        let form = if cfg!(feature = "idna") {
            format!("`{punycode}`")
        } else {
            "its punycode form (`xn--…`)".to_owned()
        };
        let expected = format!(
            "policies[0].rules[0].to[0].operation.hosts[0]: {host:?}: \
             not ASCII; requests carry the punycode form; write {form}"
        );
        assert_eq!(errors(&json), [expected]);
        assert!(Config::parse(json.replace(host, punycode).as_bytes()).is_ok());
    }
}

#[test]
fn bytes_that_are_no_text_are_not_json() {
    let errors = Config::parse(b"{\"type\": \"\xff\"}").unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].to_string(), "not JSON: invalid unicode code point at line 1 column 11");
}
