//! Access log lines in text, as Istio and Envoy write them without any configuration: they do not say who asked.

use egress_policy::names::{Authority, Host};

/// Whether a line is one, and the host that it asks for where that can be told:
/// `[time] "METHOD PATH PROTOCOL" … "AUTHORITY" "UPSTREAM" cluster local local remote SNI route`
pub(super) fn host_of(line: &str) -> Option<Option<String>> {
    let (time, rest) = line.strip_prefix('[')?.split_once("] \"")?;
    let is_time = !time.is_empty() && time.chars().all(|c| c.is_ascii_digit() || "-:.TZ+".contains(c));
    if !is_time || !rest.contains("\" ") {
        return None;
    }
    // From the end: what a client chooses may hold quotes.
    let mut quoted = rest.rsplit('"');
    let behind = quoted.next().unwrap_or_default();
    let authority = quoted.nth(2).unwrap_or_default();
    let sni = behind.split_ascii_whitespace().rev().nth(1).unwrap_or_default();
    // `-` stands for what there is not.
    let authority = Some(authority).filter(|authority| *authority != "-");
    let authority = authority.and_then(|authority| Authority::parse(authority.as_bytes()).ok());
    let authority = authority.map(|authority| authority.into_host_and_port().0);
    let is_name =
        |host: &Host| host.ip().is_none() && !host.to_string().starts_with("outbound_") && sni != "-";
    let host = authority.or_else(|| Host::parse(sni.as_bytes()).ok().filter(is_name));
    Some(host.map(|host| host.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_formats_of_istio_and_envoy() {
        let http = r#"[2026-03-04T05:06:07.890Z] "POST /x" y HTTP/2" 200 - via_upstream - "-" 1 2 3 4 "10.1.1.1" "a "b" c" "id" "files.example.org:8443" "192.0.2.1:443" outbound|443||files.example.org 10.0.0.1:1 10.0.0.1:2 10.1.1.1:3 sni.example.org default"#;
        assert_eq!(host_of(http), Some(Some("files.example.org".to_owned())));
        let tcp = r#"[2026-03-04T05:06:07.890Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" "-" "-" "-" - - 10.0.0.1:2 10.1.1.1:3 mail.example.org -"#;
        assert_eq!(host_of(tcp), Some(Some("mail.example.org".to_owned())));
        let plain = r#"[2026-03-04T05:06:07.890Z] "GET / HTTP/1.1" 200 - 0 5 1 1 "-" "curl" "id" "a.example.org" "192.0.2.1:80""#;
        assert_eq!(host_of(plain), Some(Some("a.example.org".to_owned())));
        for line in
            ["", "[x] \"GET / HTTP/1.1\" 200", "[2026-03-04 05:06:07.890][1][info][main] starting", "[[["]
        {
            assert_eq!(host_of(line), None, "{line}");
        }
    }
}
