//! Whether a request was refused, and by whom: any sign of it counts.

/// Who refused a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No ALLOW policy of ours admitted it; one may.
    NoPolicy,
    /// A DENY policy or a guard of ours, by its reason: somebody has meant that.
    Meant(String),
    /// Another filter, by its word for it.
    Filter(String),
    /// Envoy had nowhere to send it, or would not read it.
    NotServed(String),
}

/// What an access log line says about the end of its request.
#[derive(Debug, Default)]
pub(super) struct Ending<'l> {
    /// `%FILTER_STATE(wasm.egress_authz:PLAIN)%`
    pub(super) state: Option<&'l str>,
    /// `%RESPONSE_CODE_DETAILS%`
    pub(super) details: Option<&'l str>,
    /// `%CONNECTION_TERMINATION_DETAILS%`
    pub(super) termination: Option<&'l str>,
    /// `%RESPONSE_FLAGS%`
    pub(super) flags: Option<&'l str>,
    pub(super) code: Option<u16>,
    pub(super) cluster: Option<&'l str>,
    pub(super) is_connection: bool,
}

/// Flags of what befell a request after it was admitted (Envoy, access log usage, RESPONSE_FLAGS).
const AFTER_ADMISSION: &[&str] = &[
    "DC", "DF", "DI", "DR", "DT", "LH", "LR", "OM", "SI", "UC", "UDO", "UF", "UH", "UMSDR", "UO", "UPE",
    "UR", "URX", "UT",
];
/// Flags that another filter sets.
const OF_FILTERS: &[&str] = &["UAEX", "RL", "RLSE", "FI"];
/// How details begin that say the same as those flags.
const DETAILS_AFTER_ADMISSION: &[&str] = &[
    "via_upstream",
    "upstream_",
    "no_healthy_upstream",
    "response_timeout",
    "request_overall_timeout",
    "stream_idle_timeout",
    "duration_timeout",
    "max_duration_timeout",
    "downstream_remote_disconnect",
    "downstream_local_disconnect",
    "http2.remote_reset",
    "http2.remote_refuse",
    "http3.remote_reset",
    "response_payload_too_large",
    "retry_",
];
/// What ends an admitted connection.
const TERMINATION_AFTER_ADMISSION: &[&str] = &["idle_timeout", "max_connection_duration", "session_duration"];
/// What Envoy says of a request that it could not send anywhere, or not read.
const NOT_SERVED: &[&str] = &[
    "route_not_found",
    "filter_chain_not_found",
    "cluster_not_found",
    "direct_response",
    "http1.",
    "http2.",
    "http3.",
];

impl Refusal {
    /// By a reason of ours.
    pub(super) fn of_ours(reason: &str) -> Self {
        match reason {
            "no_allow_matched" | "default_action" => Self::NoPolicy,
            _ if reason.starts_with("expired[") => Self::NoPolicy,
            _ => Self::Meant(reason.to_owned()),
        }
    }
}

impl Ending<'_> {
    /// Who refused it; none where nothing says that anybody did.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let state = self.state.unwrap_or_default();
        let ours = |reason: &str| Refusal::of_ours(inside(reason, "recheck[").unwrap_or(reason));
        if let Some(reason) = inside(state, "deny[")
            .or_else(|| self.details.and_then(|details| inside(details, "egress_authz_denied[")))
        {
            return Some(ours(reason));
        }
        // What the dry run says counts only where nobody else refused.
        self.by_others().or_else(|| inside(state, "would_deny[").map(ours))
    }

    fn by_others(&self) -> Option<Refusal> {
        let begins = |text: &str, words: &[&str]| words.iter().any(|word| text.starts_with(word));
        let by_details = self.details.filter(|details| !begins(details, DETAILS_AFTER_ADMISSION));
        if let Some(details) = by_details {
            let word = first_word(details);
            return Some(match begins(details, NOT_SERVED) {
                true => Refusal::NotServed(word),
                false => Refusal::Filter(word),
            });
        }
        let by_termination = self
            .termination
            .filter(|details| !TERMINATION_AFTER_ADMISSION.iter().any(|word| details.contains(word)));
        if let Some(details) = by_termination {
            return Some(Refusal::Filter(first_word(details)));
        }
        let mut flags = self.flags.unwrap_or_default().split(',').map(str::trim);
        if let Some(flag) = flags.find(|flag| !flag.is_empty() && !AFTER_ADMISSION.contains(flag)) {
            let word = first_word(flag);
            return Some(match OF_FILTERS.contains(&flag) {
                true => Refusal::Filter(word),
                false => Refusal::NotServed(word),
            });
        }
        match (self.code, self.details) {
            // A response to what was no request.
            (Some(1..), _) if self.is_connection => return Some(Refusal::NotServed("no request".to_owned())),
            // Without details nobody knows whether the site said it.
            (Some(code @ (401 | 403 | 407 | 429)), None) => {
                return Some(Refusal::Filter(format!("{code} without response_code_details")));
            }
            _ => {}
        }
        (self.cluster == Some("BlackHoleCluster")).then(|| Refusal::NotServed("BlackHoleCluster".to_owned()))
    }
}

/// The word that a detail begins with: policies' names and addresses behind it say nothing about the kind.
fn first_word(text: &str) -> String {
    let is_word =
        |character: &char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-');
    let word: String = text.chars().take_while(is_word).take(64).collect();
    if word.is_empty() { "details that are no word".to_owned() } else { word }
}

/// What stands between a word and the bracket that ends it; brackets come in pairs.
pub(super) fn inside<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(word)?;
    let mut depth = 1_u32;
    let end = rest.find(|c| {
        depth = match c {
            '[' => depth + 1,
            ']' => depth - 1,
            _ => depth,
        };
        depth == 0
    })?;
    rest.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(word: &str) -> Option<Refusal> {
        Some(Refusal::Filter(word.to_owned()))
    }

    #[test]
    fn any_sign_counts() {
        let details =
            |details| Ending { details: Some(details), code: Some(403), ..Ending::default() }.refusal();
        for (text, word) in [
            (
                "rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]]",
                "rbac_access_denied_matched_policy",
            ),
            ("ext_authz_denied", "ext_authz_denied"),
            ("ext_authz_error", "ext_authz_error"),
            ("jwt_authn_access_denied{Jwt_is_missing}", "jwt_authn_access_denied"),
            ("local_rate_limited", "local_rate_limited"),
            ("wasm_fail_stream", "wasm_fail_stream"),
            ("something_new", "something_new"),
        ] {
            assert_eq!(details(text), filter(word), "{text}");
        }
        for text in ["route_not_found", "direct_response", "http1.codec_error", "filter_chain_not_found"] {
            assert_eq!(details(text), Some(Refusal::NotServed(text.to_owned())), "{text}");
        }
        for text in [
            "via_upstream",
            "upstream_reset_before_response_started{connection_termination}",
            "response_timeout",
        ] {
            assert_eq!(details(text), None, "the site's own 403: {text}");
        }
        let flags = |flags| Ending { flags: Some(flags), ..Ending::default() }.refusal();
        assert_eq!(flags("UAEX"), filter("UAEX"));
        assert_eq!(flags("UF,NR"), Some(Refusal::NotServed("NR".to_owned())));
        assert_eq!(flags("UF,URX"), None);
        let termination = "rbac_access_denied_matched_policy[none]";
        let ending = Ending { termination: Some(termination), is_connection: true, ..Ending::default() };
        assert_eq!(ending.refusal(), filter("rbac_access_denied_matched_policy"));
        assert_eq!(
            Ending { code: Some(403), ..Ending::default() }.refusal(),
            filter("403 without response_code_details")
        );
        let ending = Ending { code: Some(400), is_connection: true, ..Ending::default() };
        assert_eq!(ending.refusal(), Some(Refusal::NotServed("no request".to_owned())));
    }

    #[test]
    fn ours_is_told_from_others() {
        let state = |state, details| Ending { state: Some(state), details, ..Ending::default() }.refusal();
        assert_eq!(state("deny[no_allow_matched]", None), Some(Refusal::NoPolicy));
        assert_eq!(state("deny[recheck[expired[ns[a]-policy[b]-rule[0]]]]", None), Some(Refusal::NoPolicy));
        assert_eq!(
            state("deny[sni_mismatch] would_allow[x]", None),
            Some(Refusal::Meant("sni_mismatch".to_owned()))
        );
        assert_eq!(state("allow[default_action] would_deny[no_allow_matched]", None), None);
        assert_eq!(state("would_deny[default_action]", Some("via_upstream")), Some(Refusal::NoPolicy));
        assert_eq!(state("would_deny[default_action]", Some("ext_authz_denied")), filter("ext_authz_denied"));
    }
}
