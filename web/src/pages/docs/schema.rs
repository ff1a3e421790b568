//! Renders schemas: an object as a list of its fields, and a type with its limits.

use maud::{Markup, html};
use serde_json::Value;

use super::markup::{anchor, array, line, prose, referred, text};
use crate::pages::texts::OPTIONAL;
use crate::pages::texts::docs as t;

/// Renders an object under an anchor.
pub fn object(name: &str, schema: &Value) -> Markup {
    html! {
        article class="object" id=(anchor_of(name)) {
            h3 { (title(name)) }
            (prose(text(&schema["description"])))
            @if let Some(fields) = schema["properties"].as_object() {
                dl class="fields" {
                    @for (name, field_schema) in fields {
                        (field(
                            name,
                            field_schema,
                            text(&field_schema["description"]),
                            array(&schema["required"]).iter().any(|required| required == name),
                            None,
                        ))
                    }
                }
            } @else {
                p { (kind(schema)) }
            }
        }
    }
}

/// Renders a field or a parameter. The `place` of a parameter is `path`, `query` or `header`.
pub fn field(name: &str, schema: &Value, description: &str, required: bool, place: Option<&str>) -> Markup {
    html! {
        dt {
            code { (name) }
            span class="hint" {
                @if let Some(place) = place { (place) ", " }
                @if required { (t::REQUIRED) } @else { (OPTIONAL) }
            }
        }
        dd {
            p class="kind" { (kind(schema)) }
            @if !description.is_empty() { p { (line(description)) } }
        }
    }
}

/// Renders a type in words.
pub fn kind(schema: &Value) -> Markup {
    if let Some(name) = referred(schema) {
        return html! { a href={ "#" (anchor_of(name)) } { (title(name)) } };
    }
    for (key, between) in [("oneOf", t::OR), ("anyOf", t::OR), ("allOf", t::WITH)] {
        if let Some(parts) = schema[key].as_array() {
            return html! {
                @for (at, part) in parts.iter().enumerate() {
                    @if at > 0 { (between) }
                    (kind(part))
                }
            };
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return html! {
            @for (at, value) in values.iter().enumerate() {
                @if at > 0 { " " }
                code { (value.as_str().map_or_else(|| value.to_string(), str::to_owned)) }
            }
        };
    }
    let names: Vec<_> = match &schema["type"] {
        Value::Array(names) => names.iter().map(text).collect(),
        name => vec![text(name)],
    };
    html! {
        @for (at, name) in names.iter().enumerate() {
            @if at > 0 { (t::OR) }
            @match *name {
                "array" => { (t::LIST_OF) (kind(&schema["items"])) },
                "object" if schema.get("properties").is_some() => { (t::OBJECT_OF) (members(schema)) },
                "" => { (t::ANYTHING) },
                name => (name),
            }
        }
        (limits(schema))
    }
}

fn members(schema: &Value) -> Markup {
    html! {
        @for (at, (name, member)) in schema["properties"].as_object().into_iter().flatten().enumerate() {
            @if at > 0 { ", " }
            code { (name) } ": " (kind(member))
        }
    }
}

fn limits(schema: &Value) -> Markup {
    let range = |least: &str, most: &str| match (&schema[least], &schema[most]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, most) => Some(t::at_most(most)),
        (least, Value::Null) => Some(t::at_least(least)),
        (least, most) => Some(t::between(least, most)),
    };
    let characters = range("minLength", "maxLength").map(t::characters);
    let items = range("minItems", "maxItems").map(t::items);
    let default = schema.get("default").map(t::default_value);
    let format = schema["format"].as_str().filter(|_| schema["type"] != "integer").map(str::to_owned);
    let limits = [format, range("minimum", "maximum"), characters, items, default];
    html! {
        @for limit in limits.into_iter().flatten() { ", " (limit) }
        @if let Some(pattern) = schema["pattern"].as_str() { ", " code { (pattern) } }
    }
}

fn anchor_of(name: &str) -> String {
    format!("object-{}", anchor(name))
}

/// Returns the title of a schema: `List of Message` for `List_Message`.
fn title(name: &str) -> String {
    name.replace('_', t::OF)
}
