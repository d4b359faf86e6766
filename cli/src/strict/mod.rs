//! The one strict reader: a tree is held against a closed description, and every error is noted at once, with file, line, path
//! and repair.
//!
//! A description is data, a `static` of [`Shape`]s: which keys an object has, of which type each is, which must be there. What a
//! description does not name does not exist: an unknown key, another type, a key written twice, `null`, an empty list, a map
//! where a list belongs, a template that nobody rendered, a word that kubectl reads as a boolean are errors, each with its
//! repair. What [`check`] passes can be taken apart by [`Node::get`](crate::yaml::Node::get) without looking at types again.
//!
//! ```ignore
//! static SOURCE: Object = Object::new("a source", &[
//!     Field::required("namespace", &Shape::Text, "The namespace of the workloads."),
//!     Field::new("ports", &Shape::List(&Shape::PORT), "Left out: every port."),
//! ]);
//! static FILE: Object = Object::new("this file", &[Field::required("from", &Shape::List(&Shape::Object(&SOURCE)), "Who.")]);
//!
//! let node = strict::one_document(&source)?;            // or `source.documents()?` where several are fine
//! let errors = strict::check(&source, &node, &Shape::Object(&FILE));
//! ```
//!
//! How to say what is not plain:
//! - `metadata`: `Shape::Object(&METADATA)`; what nobody here reads, such as `status`: [`Shape::Any`], in which only duplicate
//!   keys are errors;
//! - a value that another reader judges, such as a pluginConfig: [`Shape::Other`], which is not looked at;
//! - labels: `Shape::Map(&Shape::Text)`; a list or object that may be empty: [`Shape::ListOrEmpty`], [`Shape::ObjectOrEmpty`],
//!   [`Shape::MapOrEmpty`]; `null` where Kubernetes writes it: [`Shape::Nullable`];
//! - one of several types: [`Shape::Either`];
//! - a key that exists elsewhere and has no counterpart here: [`Shape::Refused`], with the reason and the repair.
//!
//! Merge keys (`<<`) are merged before, in [`crate::yaml`], and so are the bounds on size, depth and aliases.
//! The same description is the JSON Schema that editors read ([`schema`]).

mod description;
mod kubernetes;
mod reader;
mod schema;

pub(crate) use description::{Field, Object, Shape};
pub(crate) use kubernetes::METADATA;
pub(crate) use reader::{check, one_document, template_in};
pub(crate) use schema::schema;
