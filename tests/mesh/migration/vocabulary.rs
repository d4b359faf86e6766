//! The small world that policies and requests are drawn from, so that they meet.

pub(crate) const NAMESPACES: [&str; 4] = ["shop", "shop-backend", "data", "kube-system"];
pub(crate) const NAMESPACE_PATTERNS: [&str; 4] = ["shop*", "*-system", "*end", "*"];
pub(crate) const ACCOUNTS: [&str; 3] = ["frontend", "worker", "web-2"];
pub(crate) const HOSTS: [&str; 6] = [
    "www.example.com",
    "api.example.com",
    "a.b.example.com",
    "api.example.org",
    "shop.example.net",
    "8.8.4.4",
];
/// Patterns that mean the same on both sides.
pub(crate) const HOST_PATTERNS: [&str; 4] = ["*", "api.*", "www.*", "shop.example.net:8443"];
pub(crate) const PORTS_ASKED: [&str; 4] = ["", "", ":8443", ":80"];
pub(crate) const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "DELETE"];
pub(crate) const METHOD_PATTERNS: [&str; 3] = ["P*", "*T", "*"];
pub(crate) const PATHS: [&str; 8] =
    ["/", "/a", "/a/b", "/a/b/c", "/info.txt", "/store/x/cart", "/store/x/y/cart", "/admin"];
pub(crate) const PATH_PATTERNS: [&str; 7] =
    ["/a*", "/a/*", "*.txt", "*/cart", "/store/{*}/cart", "/store/{**}/cart", "/{*}"];
pub(crate) const TEAMS: [&str; 3] = ["red", "blue", "redder"];
pub(crate) const TEAM_PATTERNS: [&str; 3] = ["red*", "*d", "b*"];
pub(crate) const SERVER_NAMES: [&str; 2] = ["www.example.com", "mail.example.org"];
/// The clients are in 10.77.0.0/16; the gateway's listener is at 8080.
pub(crate) const BLOCKS: [&str; 3] = ["10.77.0.0/16", "10.88.0.0/16", "0.0.0.0/0"];
pub(crate) const LISTENER_PORTS: [&str; 2] = ["8080", "80"];
