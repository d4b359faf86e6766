//! What a file may say, as data.

/// What a value must be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A string with something in it.
    Text,
    /// A string, which may be empty.
    TextOrEmpty,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Integer(i64, i64),
    /// A list with something in it.
    List(&'static Shape),
    /// A list; an empty one has a meaning of its own.
    ListOrEmpty(&'static Shape),
    /// An object whose keys the user chooses, with something in it.
    Map(&'static Shape),
    /// The same, which may be empty.
    MapOrEmpty(&'static Shape),
    /// An object whose keys are known, with something in it.
    Object(&'static Object),
    /// The same, which may be empty.
    ObjectOrEmpty(&'static Object),
    /// The first of these that is of the value's type.
    Either(&'static [&'static Shape]),
    /// This, or `null`.
    Nullable(&'static Shape),
    /// Anything; within it only keys written twice are errors.
    Any,
    /// Something that another reader looks at.
    Other,
    /// A key that is known and cannot be said here: why, and what to do.
    Refused { why: &'static str, repair: &'static str },
}

/// An object whose keys are known.
#[derive(Debug)]
pub(crate) struct Object {
    /// What it is, for people: `a rule`, `an AuthorizationPolicy`.
    pub(crate) title: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A key of an object.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) shape: &'static Shape,
    pub(crate) is_required: bool,
    /// What it is for, in a sentence: editors show it.
    pub(crate) about: &'static str,
}

// === impl Shape ===

impl Shape {
    /// A port.
    pub(crate) const PORT: Self = Self::Integer(1, 65_535);

    /// What is wanted, in words for an error.
    pub(super) fn wanted(&self) -> String {
        match self {
            Self::Text | Self::TextOrEmpty | Self::Word(_) => "a string".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Integer(..) => "a whole number".to_owned(),
            Self::List(_) | Self::ListOrEmpty(_) => "a list".to_owned(),
            Self::Map(_) | Self::MapOrEmpty(_) | Self::Object(_) | Self::ObjectOrEmpty(_) => {
                "an object".to_owned()
            }
            Self::Either(shapes) => {
                shapes.iter().map(|shape| shape.wanted()).collect::<Vec<_>>().join(" or ")
            }
            Self::Nullable(shape) => shape.wanted(),
            Self::Any | Self::Other | Self::Refused { .. } => "anything".to_owned(),
        }
    }
}

// === impl Object ===

impl Object {
    pub(crate) const fn new(title: &'static str, fields: &'static [Field]) -> Self {
        Self { title, fields }
    }
}

// === impl Field ===

impl Field {
    /// A key that may be left out.
    pub(crate) const fn new(key: &'static str, shape: &'static Shape, about: &'static str) -> Self {
        Self { key, shape, is_required: false, about }
    }

    /// A key that must be there.
    pub(crate) const fn required(key: &'static str, shape: &'static Shape, about: &'static str) -> Self {
        Self { key, shape, is_required: true, about }
    }
}
