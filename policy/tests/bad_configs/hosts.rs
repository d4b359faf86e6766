//! Patterns of hosts, each with its repair.

use crate::refused;

#[test]
fn patterns_of_hosts() {
    refused(
        r#"{"hostSets": {"search": ["a.example"]}, "policies": [{"name": "p", "rules": [{"to": [{"operation": {%s}}]}]}]}"#,
        "policies[0].rules[0].to[0].operation",
        &[
            (
                r#""hosts": ["*example.com"]"#,
                &[
                    r#"~.hosts[0]: "*example.com": a `*` stands for whole labels, first or last, and only once; write `*.example.com`"#,
                ],
            ),
            (
                r#""hosts": ["example*"]"#,
                &[
                    r#"~.hosts[0]: "example*": a `*` stands for whole labels, first or last, and only once; write `example.*`"#,
                ],
            ),
            (
                r#""hosts": ["www.*.com"]"#,
                &[r#"~.hosts[0]: "www.*.com": a `*` stands for whole labels, first or last, and only once"#],
            ),
            (
                r#""hosts": ["*.example.*"]"#,
                &[
                    r#"~.hosts[0]: "*.example.*": a `*` stands for whole labels, first or last, and only once"#,
                ],
            ),
            (
                r#""hosts": ["*.*"]"#,
                &[r#"~.hosts[0]: "*.*": a `*` stands for whole labels, first or last, and only once"#],
            ),
            (
                r#""hosts": ["**"]"#,
                &[r#"~.hosts[0]: "**": a `*` stands for whole labels, first or last, and only once"#],
            ),
            (r#""hosts": ["*."]"#, &[r#"~.hosts[0]: "*.": `*.` can match no host"#]),
            (r#""hosts": [".*"]"#, &[r#"~.hosts[0]: ".*": `.*` can match no host"#]),
            (
                r#""hosts": ["w*w.example"]"#,
                &[
                    r#"~.hosts[0]: "w*w.example": a `*` stands for whole labels, first or last, and only once"#,
                ],
            ),
            (
                r#""hosts": ["*example"]"#,
                &[
                    r#"~.hosts[0]: "*example": a `*` stands for whole labels, first or last, and only once; write `*.example`"#,
                ],
            ),
            (
                r#""hosts": ["*a..b"]"#,
                &[r#"~.hosts[0]: "*a..b": a `*` stands for whole labels, first or last, and only once"#],
            ),
            (
                r#""hosts": ["a..b*"]"#,
                &[r#"~.hosts[0]: "a..b*": a `*` stands for whole labels, first or last, and only once"#],
            ),
            (
                r#""hosts": ["*a b"]"#,
                &[r#"~.hosts[0]: "*a b": a `*` stands for whole labels, first or last, and only once"#],
            ),
            (
                r#""hosts": ["*[::1]"]"#,
                &[r#"~.hosts[0]: "*[::1]": a `*` stands for whole labels, first or last, and only once"#],
            ),
            (
                r#""hosts": ["*example.com:8443"]"#,
                &[
                    r#"~.hosts[0]: "*example.com:8443": a `*` stands for whole labels, first or last, and only once; write `*.example.com:8443`"#,
                ],
            ),
            (
                r#""hosts": ["Example*:8443"]"#,
                &[
                    r#"~.hosts[0]: "Example*:8443": a `*` stands for whole labels, first or last, and only once; write `Example.*:8443`"#,
                ],
            ),
            (
                r#""hosts": ["https://a b/c"]"#,
                &[r#"~.hosts[0]: "https://a b/c": a host pattern has no scheme (`https://`)"#],
            ),
            (
                r#""hosts": ["a b/c"]"#,
                &[r#"~.hosts[0]: "a b/c": a host pattern has no path (that belongs into `paths`)"#],
            ),
            (r#""hosts": ["u@a b"]"#, &[r#"~.hosts[0]: "u@a b": a host pattern has no userinfo"#]),
            (r#""hosts": [".10.0.0.1"]"#, &[r#"~.hosts[0]: ".10.0.0.1": a host does not begin with a dot"#]),
            (
                r#""hosts": [".example.com:80"]"#,
                &[
                    r#"~.hosts[0]: ".example.com:80": a host does not begin with a dot; write `*.example.com:80`"#,
                ],
            ),
            (
                r#""hosts": ["*.bad label"]"#,
                &[r#"~.hosts[0]: "*.bad label": `*.bad label` can match no host"#],
            ),
            (
                r#""hosts": ["https://*.example.com:8443/"]"#,
                &[
                    r#"~.hosts[0]: "https://*.example.com:8443/": a host pattern has no scheme (`https://`); write `*.example.com:8443`"#,
                ],
            ),
            (
                r#""hosts": ["https://www.example.com/path"]"#,
                &[
                    r#"~.hosts[0]: "https://www.example.com/path": a host pattern has no scheme (`https://`); write `www.example.com`"#,
                ],
            ),
            (
                r#""hosts": ["http://"]"#,
                &[r#"~.hosts[0]: "http://": a host pattern has no scheme (`http://`)"#],
            ),
            (
                r#""hosts": ["www.example.com/path"]"#,
                &[
                    r#"~.hosts[0]: "www.example.com/path": a host pattern has no path (that belongs into `paths`); write `www.example.com`"#,
                ],
            ),
            (
                r#""hosts": ["user@www.example.com"]"#,
                &[
                    r#"~.hosts[0]: "user@www.example.com": a host pattern has no userinfo; write `www.example.com`"#,
                ],
            ),
            (
                r#""hosts": ["user:pw@www.example.com"]"#,
                &[
                    r#"~.hosts[0]: "user:pw@www.example.com": a host pattern has no userinfo; write `www.example.com`"#,
                ],
            ),
            (
                r#""hosts": ["10.*"]"#,
                &[
                    r#"~.hosts[0]: "10.*": only the bare `*` and the literal itself match an IP address; name the address, or use `ports`"#,
                ],
            ),
            (
                r#""hosts": ["10.0.0.*"]"#,
                &[
                    r#"~.hosts[0]: "10.0.0.*": only the bare `*` and the literal itself match an IP address; name the address, or use `ports`"#,
                ],
            ),
            (r#""hosts": ["*.1"]"#, &[r#"~.hosts[0]: "*.1": `*.1` can match no host"#]),
            (r#""hosts": ["*.0.0.1"]"#, &[r#"~.hosts[0]: "*.0.0.1": `*.0.0.1` can match no host"#]),
            (
                r#""hosts": ["*.10.0.0.1"]"#,
                &[
                    r#"~.hosts[0]: "*.10.0.0.1": only the bare `*` and the literal itself match an IP address; name the address, or use `ports`"#,
                ],
            ),
            (
                r#""hosts": ["a.example:0"]"#,
                &[r#"~.hosts[0]: "a.example:0": `0` is not a port: a number from 1 to 65535, or `*`"#],
            ),
            (
                r#""hosts": ["a.example:65536"]"#,
                &[
                    r#"~.hosts[0]: "a.example:65536": `65536` is not a port: a number from 1 to 65535, or `*`"#,
                ],
            ),
            (
                r#""hosts": ["a.example:http"]"#,
                &[r#"~.hosts[0]: "a.example:http": `http` is not a port: a number from 1 to 65535, or `*`"#],
            ),
            (
                r#""hosts": ["a.example:"]"#,
                &[r#"~.hosts[0]: "a.example:": `` is not a port: a number from 1 to 65535, or `*`"#],
            ),
            (
                r#""hosts": ["a.example:080"]"#,
                &[r#"~.hosts[0]: "a.example:080": `080` is not a port: a number from 1 to 65535, or `*`"#],
            ),
            (
                r#""hosts": ["a.example:+80"]"#,
                &[r#"~.hosts[0]: "a.example:+80": `+80` is not a port: a number from 1 to 65535, or `*`"#],
            ),
            (
                r#""hosts": ["::1"]"#,
                &[r#"~.hosts[0]: "::1": an IPv6 address stands in brackets; write `[::1]`"#],
            ),
            (
                r#""hosts": ["2001:db8::1"]"#,
                &[r#"~.hosts[0]: "2001:db8::1": an IPv6 address stands in brackets; write `[2001:db8::1]`"#],
            ),
            (r#""hosts": ["a:b:80"]"#, &[r#"~.hosts[0]: "a:b:80": more than one `:`"#]),
            (
                r#""hosts": [".example.com"]"#,
                &[r#"~.hosts[0]: ".example.com": a host does not begin with a dot; write `*.example.com`"#],
            ),
            (
                r#""hosts": ["a..example"]"#,
                &[
                    r#"~.hosts[0]: "a..example": not a host: letters, digits, `-`, `_` and dots, or an IPv6 address in brackets"#,
                ],
            ),
            (r#""hosts": ["*..example"]"#, &[r#"~.hosts[0]: "*..example": `*..example` can match no host"#]),
            (r#""hosts": ["a..*"]"#, &[r#"~.hosts[0]: "a..*": `a..*` can match no host"#]),
            (
                r#""hosts": ["a example"]"#,
                &[
                    r#"~.hosts[0]: "a example": not a host: letters, digits, `-`, `_` and dots, or an IPv6 address in brackets"#,
                ],
            ),
            (
                r#""hosts": ["a%2eexample"]"#,
                &[
                    r#"~.hosts[0]: "a%2eexample": not a host: letters, digits, `-`, `_` and dots, or an IPv6 address in brackets"#,
                ],
            ),
            (r#""hosts": ["1.2.3"]"#, &[r#"~.hosts[0]: "1.2.3": an IPv4 address is four plain decimals"#]),
            (r#""hosts": ["127.1"]"#, &[r#"~.hosts[0]: "127.1": an IPv4 address is four plain decimals"#]),
            (
                r#""hosts": ["2130706433"]"#,
                &[r#"~.hosts[0]: "2130706433": an IPv4 address is four plain decimals"#],
            ),
            (r#""hosts": ["0x7f.1"]"#, &[r#"~.hosts[0]: "0x7f.1": an IPv4 address is four plain decimals"#]),
            (
                r#""hosts": ["256.1.1.1"]"#,
                &[r#"~.hosts[0]: "256.1.1.1": an IPv4 address is four plain decimals"#],
            ),
            (
                r#""hosts": ["01.2.3.4"]"#,
                &[r#"~.hosts[0]: "01.2.3.4": an IPv4 address is four plain decimals"#],
            ),
            (
                r#""hosts": ["[::1"]"#,
                &[
                    r#"~.hosts[0]: "[::1": not a host: letters, digits, `-`, `_` and dots, or an IPv6 address in brackets"#,
                ],
            ),
            (
                r#""hosts": ["[10.0.0.1]"]"#,
                &[
                    r#"~.hosts[0]: "[10.0.0.1]": not a host: letters, digits, `-`, `_` and dots, or an IPv6 address in brackets"#,
                ],
            ),
            (
                r#""hosts": ["[]"]"#,
                &[
                    r#"~.hosts[0]: "[]": not a host: letters, digits, `-`, `_` and dots, or an IPv6 address in brackets"#,
                ],
            ),
            (
                r#""hosts": ["-*"]"#,
                &[
                    r#"~.hosts[0]: "-*": a `*` stands for whole labels, first or last, and only once; write `-.*`"#,
                ],
            ),
            (
                r#""hosts": ["@serch"]"#,
                &[r#"~.hosts[0]: "@serch": no host set has this name; write `@search`"#],
            ),
            (r#""hosts": ["@unknown"]"#, &[r#"~.hosts[0]: "@unknown": no host set has this name"#]),
            (r#""hosts": ["@"]"#, &[r#"~.hosts[0]: "@": no host set has this name"#]),
            (
                r#""hosts": ["@search:443"]"#,
                &[
                    r#"~.hosts[0]: "@search:443": a set takes no port; its patterns have their own; write `@search`"#,
                ],
            ),
            (
                r#""hosts": ["@search@"]"#,
                &[r#"~.hosts[0]: "@search@": no host set has this name; write `@search`"#],
            ),
            (
                r#""hosts": ["a,b"]"#,
                &[r#"~.hosts[0]: "a,b": several hosts in one string; write each as an entry of its own"#],
            ),
            (
                r#""hosts": ["a,b!"]"#,
                &[
                    r#"~.hosts[0]: "a,b!": not a host: letters, digits, `-`, `_` and dots, or an IPv6 address in brackets"#,
                ],
            ),
            (
                r#""hosts": ["a.example, b.example"]"#,
                &[
                    r#"~.hosts[0]: "a.example, b.example": several hosts in one string; write each as an entry of its own"#,
                ],
            ),
        ],
    );
}
