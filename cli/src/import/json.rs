//! Building trees.

use egress_policy::config::{Json, Object};

pub(super) fn text(text: &str) -> Json {
    Json::Text(text.into())
}

pub(super) fn texts<T: AsRef<str>>(texts: &[T]) -> Json {
    Json::List(texts.iter().map(|item| text(item.as_ref())).collect())
}

pub(super) fn object<K: AsRef<str>>(entries: Vec<(K, Json)>) -> Json {
    Json::Object(Object(entries.into_iter().map(|(key, value)| (key.as_ref().into(), value)).collect()))
}
