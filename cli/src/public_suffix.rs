//! Which names have one owner: what stands directly below a public suffix is registered by anybody.

use psl::Psl as _;
use std::cell::Cell;

/// Domains of clouds: whoever rents something there gets a name, and the public suffix list knows few of them.
const CLOUDS: &[&str] = &[
    "aliyuncs.com",
    "amazonaws.com",
    "amazonaws.com.cn",
    "atlassian.net",
    "auth0.com",
    "azure.cn",
    "azure.com",
    "azure.net",
    "azure.us",
    "chinacloudapi.cn",
    "cloud.com",
    "databricks.com",
    "mongodb.net",
    "myhuaweicloud.com",
    "myqcloud.com",
    "okta.com",
    "oraclecloud.com",
    "salesforce.com",
    "sharepoint.com",
    "snowflakecomputing.com",
    "windows.net",
    "zendesk.com",
];

/// Whether everything below a name belongs to whoever has the name: it is no public suffix, no public suffix lies below it, as
/// `s3.amazonaws.com` lies below `amazonaws.com`, and it is not a cloud's.
pub(crate) fn has_one_owner(name: &str) -> bool {
    let Some(suffix) = psl::suffix(name.as_bytes()) else {
        return false;
    };
    // All services of a cluster.
    let is_cluster = name == "cluster.local" || name.starts_with("svc.");
    let is_suffix = suffix.as_bytes() == name.as_bytes();
    let is_cloud = CLOUDS.iter().any(|cloud| {
        let before = name.strip_suffix(cloud);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    });
    // What lies below a suffix that the list has within a cloud is a customer's.
    let is_customers = suffix.typ() == Some(psl::Type::Private);
    !is_cluster && !is_suffix && !has_suffixes_below(name) && (!is_cloud || is_customers)
}

/// The list is a tree of labels. It asks for one label more than a name has only where there are suffixes below that name.
fn has_suffixes_below(name: &str) -> bool {
    let is_asked = Cell::new(false);
    let one_more = std::iter::once_with(|| {
        is_asked.set(true);
        "-".as_bytes()
    });
    psl::List.find(name.rsplit('.').map(str::as_bytes).chain(one_more));
    is_asked.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_above_at_and_below() {
        for name in [
            "com",
            "co.uk",
            "github.io",
            "blogspot.com",
            "s3.amazonaws.com",
            "amazonaws.com",
            "eu-west-1.rds.amazonaws.com",
            "database.windows.net",
            "westeurope.cloudapp.azure.com",
            "azure.com",
            "windows.net",
            "core.windows.net",
            "googleapis.com.",
            "svc.cluster.local",
            "cluster.local",
            "",
            "us-west-2.compute.amazonaws.com",
            "compute.amazonaws.com",
            "cloudfront.net",
            "herokuapp.com",
            "run.app",
        ] {
            assert!(!has_one_owner(name), "{name}");
        }
        for name in [
            "example.com",
            "example.co.uk",
            "me.github.io",
            "bucket.s3.amazonaws.com",
            "api.example.com",
            "corp.internal",
            "data.svc.cluster.local",
            "payments.example",
        ] {
            assert!(has_one_owner(name), "{name}");
        }
    }
}
