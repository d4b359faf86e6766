//! What every Kubernetes object has.

use super::description::{Field, Object, Shape};

/// `metadata`: what people write, and what `kubectl get` adds to it.
pub(crate) static METADATA: Object = Object::new(
    "metadata",
    &[
        Field::required("name", &Shape::Text, "The object's name."),
        Field::new("namespace", &Shape::Text, "The object's namespace."),
        Field::new("labels", &Shape::Nullable(&Shape::MapOrEmpty(&Shape::TextOrEmpty)), ""),
        Field::new("annotations", &Shape::Nullable(&Shape::MapOrEmpty(&Shape::TextOrEmpty)), ""),
        Field::new(
            "generateName",
            &Shape::Refused {
                why: "a name that the cluster makes up is known to nobody here",
                repair: "write `name`",
            },
            "",
        ),
        Field::new("creationTimestamp", &Shape::Nullable(&Shape::Text), ""),
        Field::new("deletionTimestamp", &Shape::Nullable(&Shape::Text), ""),
        Field::new("deletionGracePeriodSeconds", &Shape::Any, ""),
        Field::new("finalizers", &Shape::ListOrEmpty(&Shape::Text), ""),
        Field::new("generation", &Shape::Any, ""),
        Field::new("managedFields", &Shape::ListOrEmpty(&Shape::Any), ""),
        Field::new("ownerReferences", &Shape::ListOrEmpty(&Shape::Any), ""),
        Field::new("resourceVersion", &Shape::Text, ""),
        Field::new("selfLink", &Shape::TextOrEmpty, ""),
        Field::new("uid", &Shape::Text, ""),
    ],
);
