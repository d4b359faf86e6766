//! A configuration reads the same from a bundle: the same settings, policies and rules, so the same decisions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_policy::Config;
use miniz_oxide::deflate::compress_to_vec_zlib;
use proptest::prelude::*;
use serde_json::{Value, json};

use egress_test_support::shapes::Shape;

fn packed(config: &Value, level: u8) -> Value {
    json!({"bundle": STANDARD.encode(compress_to_vec_zlib(config.to_string().as_bytes(), level))})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_shape_size_and_level(shape in 0..Shape::ALL.len(), policies in 0..600_usize, level in 0..=10_u8) {
        let config = Shape::ALL.get(shape).unwrap().config(policies);
        let unpacked = Config::parse(config.to_string().as_bytes());
        prop_assert!(unpacked.is_ok());
        prop_assert_eq!(Config::parse(packed(&config, level).to_string().as_bytes()), unpacked);
    }

    /// What is refused is refused with the same words.
    #[test]
    fn errors_are_those_of_what_is_inside(name in ".{0,40}", level in 0..=10_u8) {
        let config = json!({"policies": [{"name": name, "rules": [{"to": [{"operation": {"hosts": [name]}}]}]}]});
        prop_assert_eq!(
            Config::parse(packed(&config, level).to_string().as_bytes()),
            Config::parse(config.to_string().as_bytes())
        );
    }
}

/// At its full size: what one Kubernetes object is to carry.
#[test]
fn a_hundred_thousand_policies() {
    let config = Shape::Namespaces.config(100_000);
    let bundle = packed(&config, 6);
    assert_eq!(Config::parse(bundle.to_string().as_bytes()), Config::parse(config.to_string().as_bytes()));
}
