//! A scenario's request as a curl's.

use anyhow::Result;
use egress_lab::client::http::{Answer, Ask};
use egress_lab::scenario::{Gets, Request};
use egress_lab::shape::Kind;

use crate::curl::Got;
use crate::pod::Pod;

/// Where a request goes whose host is no name that an application could look up: to a site that there is, with the host
/// written into the header, as one does who tries to reach a metadata service through the gateway.
pub(super) const ANY_SITE: &str = "www.example.com";

/// The pod's port of the gateway's listener.
pub(super) fn log_port(request: &Request) -> u16 {
    match request.over.kind.kind() {
        Kind::Mtls80 | Kind::Ambient80 => 8080,
        Kind::Mtls443 | Kind::Ambient443 => 8443,
        Kind::Pass444 => 8444,
    }
}

/// The site's name as a gateway file has it; none where what is asked for is not a name.
pub(super) fn asked_host(request: &Request) -> Result<Option<String>> {
    let ask = Ask::parse(&request.ask)?;
    let host = ask.host().trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    let named = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    Ok(named.then_some(host))
}

fn arguments(request: &Request) -> Result<Vec<String>> {
    let ask = Ask::parse(&request.ask)?;
    let site = asked_host(request)?.unwrap_or_else(|| ANY_SITE.to_owned());
    let mut arguments: Vec<String> = match ask.method.as_str() {
        "GET" => Vec::new(),
        "HEAD" => vec!["--head".to_owned()],
        method => vec!["--request".to_owned(), method.to_owned()],
    };
    // curl itself would tidy up some of these hosts.
    if ask.authority != site {
        arguments.extend(["--header".to_owned(), format!("Host: {}", ask.authority)]);
    }
    for (name, value) in &request.headers {
        arguments.extend(["--header".to_owned(), format!("{name}: {value}")]);
    }
    arguments.push(format!("{}://{site}{}", ask.scheme, ask.path));
    Ok(arguments)
}

/// Sends it from a pod; tells what came, and the answer where there was one.
pub(super) fn send(pod: &Pod, request: &Request) -> Result<(Result<Gets, String>, Option<Answer>)> {
    let arguments = arguments(request)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Ok(match pod.curl().run(&arguments) {
        Ok(Got::Answer(answer)) => (Ok(Gets::Status(answer.status)), Some(*answer)),
        Ok(Got::Closed) => (Ok(Gets::Closed), None),
        Err(error) => (Err(format!("{error:#}")), None),
    })
}

#[cfg(test)]
mod tests {
    use egress_lab::scenario::Scenario;

    use super::*;

    fn asked(ask: &str) -> Vec<String> {
        let scenario = format!(
            "{{title: x, steps: [{{requests: [{{who: a/b, over: mtls80, ask: '{ask}', gets: 200}}]}}]}}"
        );
        let scenario = Scenario::parse("one", &scenario).unwrap();
        arguments(scenario.requests().next().unwrap()).unwrap()
    }

    #[test]
    fn curl_is_asked_plainly_where_it_can_be() {
        assert_eq!(asked("GET http://www.example.com"), ["http://www.example.com/"]);
        assert_eq!(asked("HEAD http://a.example"), ["--head", "http://a.example/"]);
    }

    #[test]
    fn a_host_that_curl_would_tidy_up_is_written_into_the_header() {
        assert_eq!(
            asked("GET http://A.example.:80/x"),
            ["--header", "Host: A.example.:80", "http://a.example/x"]
        );
        assert_eq!(asked("GET http://127.1/"), ["--header", "Host: 127.1", "http://www.example.com/"]);
        assert_eq!(
            asked("GET http://[::ffff:10.0.0.1]/"),
            ["--header", "Host: [::ffff:10.0.0.1]", "http://www.example.com/"]
        );
    }
}
