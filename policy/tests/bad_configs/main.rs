//! Bad configurations, each with the full text of every error: the place, what is wrong, the repair.
//! And odd ones that are good.

#![expect(clippy::panic, reason = "a test fails loudly")]

mod good;
mod hosts;
mod policies;
mod rules;
mod settings;
mod several;
mod unicode;
mod values;

use egress_policy::Config;

/// Puts each text in the place of `%s` in the template; the errors must be exactly these, in this order.
/// `~` at the beginning of an error is the path of that place.
fn refused(template: &str, place: &str, cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let json = template.replacen("%s", text, 1);
        let expected: Vec<_> = expected.iter().map(|error| error.replacen('~', place, 1)).collect();
        assert_eq!(errors(&json), expected, "{json}");
    }
}

/// What is wrong with a configuration; it must be refused.
fn errors(json: &str) -> Vec<String> {
    match Config::parse(json.as_bytes()) {
        Ok(_) => panic!("accepted: {json}"),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}
