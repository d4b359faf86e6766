//! Building trees whose keys keep their order.

use egress_policy::config::{Json, Object};

/// What a value of a resource may be written as.
pub(crate) trait ToJson {
    /// `None` leaves the key out.
    fn to_json(self) -> Option<Json>;
}

impl ToJson for Json {
    fn to_json(self) -> Option<Json> {
        Some(self)
    }
}

impl ToJson for &str {
    fn to_json(self) -> Option<Json> {
        Some(Json::Text(self.into()))
    }
}

impl ToJson for String {
    fn to_json(self) -> Option<Json> {
        Some(Json::Text(self.into()))
    }
}

impl ToJson for &String {
    fn to_json(self) -> Option<Json> {
        self.as_str().to_json()
    }
}

impl ToJson for u16 {
    fn to_json(self) -> Option<Json> {
        u32::from(self).to_json()
    }
}

impl ToJson for u32 {
    fn to_json(self) -> Option<Json> {
        Some(Json::Number(f64::from(self)))
    }
}

impl ToJson for bool {
    fn to_json(self) -> Option<Json> {
        Some(Json::Bool(self))
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(self) -> Option<Json> {
        Some(Json::List(self.into_iter().filter_map(ToJson::to_json).collect()))
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn to_json(self) -> Option<Json> {
        self.and_then(ToJson::to_json)
    }
}

/// An object of entries; those without a value are left out.
pub(crate) fn object(entries: Vec<(String, Option<Json>)>) -> Json {
    Json::Object(Object(
        entries.into_iter().filter_map(|(key, value)| Some((key.into_boxed_str(), value?))).collect(),
    ))
}

/// `obj! {"key": value, …}`, in the order as written.
macro_rules! obj {
    ($($key:tt : $value:expr),* $(,)?) => {
        $crate::render::tree::object(vec![
            $((String::from($key), $crate::render::tree::ToJson::to_json($value))),*
        ])
    };
}
pub(crate) use obj;
