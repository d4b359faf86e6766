//! How istiod rewrites principals and trust domains for a mesh with aliases.

/// A principal of five parts whose trust domain is of the mesh becomes one for each of the mesh's domains.
pub(super) fn principals(pattern: &str, bundle: &[String]) -> Vec<String> {
    let parts: Vec<&str> = pattern.split('/').collect();
    let domain = parts[0];
    let of_the_mesh = domain == "cluster.local" || bundle.iter().any(|listed| fits(listed, domain));
    if parts.len() != 5 || domain == "*" || !of_the_mesh {
        return vec![pattern.to_owned()];
    }
    let mut all = Vec::new();
    for listed in bundle {
        let kept = domain.strip_prefix('*').is_some_and(|suffix| listed.ends_with(suffix));
        let one = if kept { pattern.to_owned() } else { format!("{listed}/{}", parts[1..].join("/")) };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// A trust domain that is one of the mesh's becomes all of them.
pub(super) fn domains(pattern: &str, bundle: &[String]) -> Vec<String> {
    if bundle.iter().any(|listed| listed == pattern) { bundle.to_vec() } else { vec![pattern.to_owned()] }
}

fn fits(listed: &str, domain: &str) -> bool {
    let one_way = |text: &str, pattern: &str| {
        pattern.strip_prefix('*').is_some_and(|suffix| text.ends_with(suffix))
            || pattern.strip_suffix('*').is_some_and(|prefix| text.starts_with(prefix))
    };
    listed == domain || one_way(listed, domain) || one_way(domain, listed)
}
