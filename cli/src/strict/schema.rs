//! A description as JSON Schema.

use super::description::{Field, Object, Shape};
use serde_json::{Map, Value, json};

/// The schema of a value; what another reader looks at is `other`.
pub(crate) fn schema(shape: &Shape, other: &Value) -> Value {
    match shape {
        Shape::Text => json!({"type": "string", "minLength": 1}),
        Shape::TextOrEmpty => json!({"type": "string"}),
        Shape::Word(words) => json!({"type": "string", "enum": words}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::List(item) => json!({"type": "array", "items": schema(item, other), "minItems": 1}),
        Shape::ListOrEmpty(item) => json!({"type": "array", "items": schema(item, other)}),
        Shape::Map(value) => {
            json!({"type": "object", "additionalProperties": schema(value, other), "minProperties": 1})
        }
        Shape::MapOrEmpty(value) => json!({"type": "object", "additionalProperties": schema(value, other)}),
        Shape::Object(object) => {
            let mut closed = object_schema(object, other);
            closed.insert("minProperties".to_owned(), json!(1));
            Value::Object(closed)
        }
        Shape::ObjectOrEmpty(object) => Value::Object(object_schema(object, other)),
        Shape::Either(shapes) => {
            json!({"anyOf": shapes.iter().map(|shape| schema(shape, other)).collect::<Vec<_>>()})
        }
        Shape::Nullable(shape) => json!({"anyOf": [schema(shape, other), {"type": "null"}]}),
        Shape::Any => json!({}),
        Shape::Other => other.clone(),
        Shape::Refused { .. } => json!(false),
    }
}

fn object_schema(object: &Object, other: &Value) -> Map<String, Value> {
    let property = |field: &Field| {
        let mut value = schema(field.shape, other);
        if let Value::Object(value) = &mut value
            && !field.about.is_empty()
        {
            value.insert("description".to_owned(), json!(field.about));
        }
        (field.key.to_owned(), value)
    };
    let properties: Map<String, Value> = object.fields.iter().map(property).collect();
    let required: Vec<&str> =
        object.fields.iter().filter(|field| field.is_required).map(|field| field.key).collect();
    let mut closed = Map::new();
    closed.insert("type".to_owned(), json!("object"));
    closed.insert("properties".to_owned(), Value::Object(properties));
    closed.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        closed.insert("required".to_owned(), json!(required));
    }
    closed
}
