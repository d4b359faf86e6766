//! Addresses, where the gateway trusts a proxy in front of it.

use super::{get, load};
use crate::bench::{Bench, Side};
use crate::model::{PORTS, Protocol, Request};

#[test]
fn both_kinds_of_addresses_are_the_client_that_a_trusted_proxy_names() {
    let bench = Bench::shared(Protocol::Http);
    let mut bench = Bench::turn(&bench);
    let forwarded = Request {
        headers: vec![("x-forwarded-for".to_owned(), "10.1.2.3".to_owned())],
        ..get("www.example.com")
    };
    for (field, native) in [("ipBlocks", 403), ("remoteIpBlocks", 200)] {
        let yaml =
            format!("policies: [{{name: p, rules: [{{from: [{{source: {{{field}: [10.1.2.3]}}}}]}}]}}]");
        load(&mut bench, Protocol::Http, &yaml);
        let (_envoy, addresses) = bench.behind_proxies(1).unwrap();
        let mut status = |side: Side| bench.status(&forwarded, addresses[&side.listener(PORTS[0])]).unwrap();
        assert_eq!((status(Side::Ours), status(Side::Native)), (200, native), "{field}");
    }
}
