//! Schemas of the values that many operations take or give, with their limits from `protocol`:
//! `#[schema(schema_with = values::room_name)]`, `#[param(schema_with = values::id)]`.

use starling_protocol::{
    ErrorCode,
    limits::{
        CURSOR_CHARS_MAX, GUEST_NAME_CHARS_MAX, ID_CHARS_MAX, MESSAGE_CHARS_MAX, PAGE_ITEMS, PAGE_ITEMS_MAX,
        PAGE_MARK_CHARS_MAX, ROOM_NAME_CHARS_MAX,
    },
};
use utoipa::openapi::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type, schema::SchemaType};

/// A text of so many characters.
pub fn text(chars_min: usize, chars_max: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(chars_min)).max_length(Some(chars_max))
}

/// An id of any kind.
pub fn id() -> Object {
    text(1, ID_CHARS_MAX).pattern(Some("^[A-Za-z0-9._~-]+$")).build()
}

/// A message's id.
pub fn uuid() -> Object {
    let format = SchemaFormat::Custom("uuid".to_owned());
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build()
}

/// A message's place.
pub fn pos() -> Object {
    text(1, ID_CHARS_MAX).pattern(Some("^[A-Za-z0-9_-]+$")).build()
}

/// A time.
pub fn at() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build()
}

/// A resume cursor.
pub fn cursor() -> Object {
    text(1, CURSOR_CHARS_MAX).build()
}

/// A guest's name.
pub fn guest_name() -> Object {
    text(1, GUEST_NAME_CHARS_MAX).build()
}

/// A room's name.
pub fn room_name() -> Object {
    text(1, ROOM_NAME_CHARS_MAX).build()
}

/// A room's name, or none.
pub fn room_name_or_null() -> Object {
    let types = SchemaType::Array(vec![Type::String, Type::Null]);
    text(1, ROOM_NAME_CHARS_MAX).schema_type(types).build()
}

/// A message's body.
pub fn message_body() -> Object {
    text(1, MESSAGE_CHARS_MAX).build()
}

/// How many items a page may have.
pub fn limit() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(PAGE_ITEMS_MAX))
        .default(Some(PAGE_ITEMS.into()))
        .build()
}

/// Where a page begins.
pub fn page_mark() -> Object {
    text(1, PAGE_MARK_CHARS_MAX).build()
}

/// One word of a list.
pub fn word(words: &[&str]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).build()
}

/// The `code` of a problem.
pub fn code() -> Object {
    word(&ErrorCode::ALL.map(ErrorCode::as_str))
}
