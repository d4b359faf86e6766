//! `paths`: strings, and templates with `{*}` and `{**}`.

use super::text::TextPattern;
use crate::Fault;
use crate::truth::Truth;

/// One entry of `paths` or `notPaths`, compared with the path without query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// Exact, `prefix*`, `*suffix` or `*`.
    Text(TextPattern),
    /// A template with `{*}` or `{**}`.
    Template(PathTemplate),
}

/// `/store/{*}/{**}/cart`: segments, then perhaps any number of them, then a literal end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    /// The segments in front; `None` is `{*}`.
    head: Box<[Option<Box<str>>]>,
    /// What follows `{**}`, its leading slash included; `None` where the template has no `{**}`.
    tail: Option<Box<str>>,
}

/// The operators of a template.
const ONE: &str = "{*}";
const MANY: &str = "{**}";

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// A path that no request can have, and a template that Istio would not accept.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.contains("://") {
            return Err(Fault::with_repair("a path has no scheme and no host", "write the path alone"));
        }
        if text.contains(['?', '#']) {
            return Err(Fault::new("paths are compared without query and fragment; `?` and `#` never match"));
        }
        if text.contains(ONE) || text.contains(MANY) {
            return PathTemplate::parse(text).map(Self::Template);
        }
        if text.contains(['{', '}']) {
            return Err(Fault::new("`{` and `}` stand only in the operators `{*}` and `{**}`"));
        }
        let pattern = TextPattern::parse(text)?;
        if let TextPattern::Exact(path) | TextPattern::Prefix(path) = &pattern
            && !path.starts_with('/')
        {
            return Err(Fault::with_repair("a path begins with `/`", format!("write `/{text}`")));
        }
        Ok(Self::Text(pattern))
    }

    /// Whether the pattern matches a request target; query and fragment are cut off here.
    #[must_use]
    pub fn matches(&self, target: &[u8]) -> Truth {
        let path = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        match self {
            Self::Text(pattern) => Truth::from(pattern.matches(path)),
            Self::Template(template) => template.matches(path),
        }
    }
}

impl PathPattern {
    /// Whether the pattern matches another reading of a path than the written one. Which bytes Envoy lets an operator
    /// cover is a question to what is written.
    #[must_use]
    pub fn fits(&self, reading: &[u8]) -> Truth {
        Truth::from(self.matches(reading) != Truth::False)
    }
}

impl PathTemplate {
    fn parse(text: &str) -> Result<Self, Fault> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(Fault::with_repair("a path begins with `/`", format!("write `/{text}`")));
        };
        let (front, tail) = match rest.split_once(MANY) {
            Some((front, tail)) => (front, Some(tail)),
            None => (rest, None),
        };
        let whole = Fault::new("`{*}` and `{**}` stand for whole segments, between slashes");
        let front = match tail {
            // `/a/{**}`: the slash in front of the operator belongs to the literal segments.
            Some(_) if front.is_empty() => None,
            Some(_) => Some(front.strip_suffix('/').ok_or(whole.clone())?),
            None => Some(front),
        };
        if let Some(tail) = tail {
            if tail.contains(ONE) || tail.contains(MANY) {
                return Err(Fault::new("`{**}` is the last operator of a template"));
            }
            if !tail.is_empty() && !tail.starts_with('/') {
                return Err(whole);
            }
            tail.split('/').try_for_each(check_literal)?;
        }
        let head = front
            .into_iter()
            .flat_map(|front| front.split('/'))
            .map(|segment| match segment {
                ONE => Ok(None),
                literal if literal.contains(ONE) => Err(whole.clone()),
                literal => check_literal(literal).map(|()| Some(literal.into())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { head, tail: tail.map(Into::into) })
    }

    /// What an operator covers is compared byte by byte with the alphabet that Envoy lets it cover. A path
    /// whose structure fits while such a byte does not is one on which proxies differ: unknown, so that a
    /// DENY holds it and an ALLOW does not.
    fn matches(&self, path: &[u8]) -> Truth {
        let Some(mut rest) = path.strip_prefix(b"/") else {
            return Truth::False;
        };
        let mut covered = Truth::True;
        let mut segments = self.head.iter().peekable();
        while let Some(expected) = segments.next() {
            let more = segments.peek().is_some() || self.tail.is_some();
            let (segment, after) = match rest.iter().position(|&byte| byte == b'/') {
                Some(at) if more => match rest.split_at_checked(at) {
                    Some((segment, after)) => (segment, after.get(1..).unwrap_or_default()),
                    None => return Truth::False,
                },
                None if more => return Truth::False,
                Some(_) => return Truth::False,
                None => (rest, <&[u8]>::default()),
            };
            match expected {
                Some(literal) if literal.as_bytes() != segment => return Truth::False,
                Some(_) => {}
                None if segment.is_empty() => return Truth::False,
                None => covered = covered.min(is_plain(segment)),
            }
            rest = after;
        }
        match &self.tail {
            None => covered,
            Some(tail) => match rest.strip_suffix(tail.as_bytes()) {
                Some(middle) => covered.min(is_plain(middle)),
                None => Truth::False,
            },
        }
    }
}

/// A literal segment in Istio's alphabet.
fn check_literal(segment: &str) -> Result<(), Fault> {
    if segment.contains(['{', '}']) {
        return Err(Fault::new("`{` and `}` stand only in the operators `{*}` and `{**}`"));
    }
    if segment.contains('*') {
        return Err(Fault::with_repair("a template has no bare `*`", "write `{*}` or `{**}`"));
    }
    if !segment.bytes().all(is_template_byte) {
        return Err(Fault::new("a template's literal is letters, digits and -._~%!$&'()+,;:@="));
    }
    Ok(())
}

fn is_template_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&byte)
}

fn is_plain(covered: &[u8]) -> Truth {
    if covered.iter().all(|&byte| is_template_byte(byte) || matches!(byte, b'/' | b'*')) {
        Truth::True
    } else {
        Truth::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Truth::{False, True, Unknown};

    fn matches(pattern: &str, path: &str) -> Truth {
        PathPattern::parse(pattern).unwrap().matches(path.as_bytes())
    }

    /// The vectors of Istio's own integration test (`tests/integration/security/authz_test.go`).
    #[test]
    fn templates_as_istio_tests_them() {
        let patterns = ["/allow/admin/{**}", "/foo/{*}/bar/{**}", "/store/{**}/cart"];
        for (path, expected) in [
            ("/allow/admin/", True),
            ("/allow/admin", False),
            ("/allow/user/", False),
            ("/allow/admin?param=value", False),
            ("/allow", False),
            ("/allow/admin/temp", True),
            ("/allow/admin/temp.txt", True),
            ("/allow/admin/foo/temp.txt", True),
            ("/foo/buzz/bar/bat.txt", True),
            ("/foo/buzz/bar/bat.temp.txt", True),
            ("/foo/buzz/bar/bat/fuzz.txt", True),
            ("/foo/buzz/bar/bat", True),
            ("/foo/bar/bat.txt", False),
            ("/foo//bar/bat.txt", False),
            ("/store//cart", True),
            ("/store/cart", False),
            ("/store/foo/cart", True),
            ("/store/foo/bar/cart", True),
        ] {
            let any = Truth::any(patterns.iter().map(|pattern| matches(pattern, path)));
            assert_eq!(any, expected, "{path}");
        }
    }

    #[test]
    fn templates_alone() {
        for (pattern, path, expected) in [
            ("/{*}", "/a", True),
            ("/{*}", "/", False),
            ("/{*}", "/a/", False),
            ("/{*}", "/a/b", False),
            ("/{*}/", "/a/", True),
            ("/{*}/", "/a", False),
            ("/{**}", "/", True),
            ("/{**}", "/a/b", True),
            ("/{**}/end", "/end", False),
            ("/{**}/end", "//end", True),
            ("/{**}/end", "/a/b/end", True),
            ("/{**}/end", "/a/ends", False),
            ("/a/{*}/{**}", "/a/b/", True),
            ("/a/{*}/{**}", "/a/b", False),
            ("/a/{*}", "/a/b?q=/c", True),
            ("/a/{*}", "/a/b#f", True),
            ("/a/{*}", "/a/b*c", True),
            ("/a/{*}", "/a/b|c", Unknown),
            ("/a/{*}/d", "/a/b\"c/d", Unknown),
            ("/a/{*}/d", "/a/b\"c/e", False),
            ("/a/{**}", "/a/\u{e4}/c", Unknown),
            ("/a/{*}", "", False),
            ("/a/{*}", "*", False),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn plain_patterns_are_compared_without_query_and_fragment() {
        assert_eq!(matches("/a", "/a?b"), True);
        assert_eq!(matches("/a", "/a#b"), True);
        assert_eq!(matches("/a", "/a/"), False);
        assert_eq!(matches("/a*", "/ab/c?d"), True);
        assert_eq!(matches("*.txt", "/a.txt?x.pdf"), True);
        assert_eq!(matches("*", "/"), True);
        assert_eq!(matches("/A", "/a"), False);
    }

    #[test]
    fn bad_patterns() {
        for bad in [
            "",
            "a",
            "a/{*}",
            "/a?b",
            "/a#b",
            "/a{*}",
            "/{*}b",
            "/{**}b",
            "/a{**}",
            "/{**}/{*}",
            "/{**}/{**}",
            "/{a}/{*}",
            "/{*}/*",
            "/a/*/b",
            "/{",
            "/{*}/a b",
            "/{***}",
        ] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
