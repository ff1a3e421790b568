//! Reads values of a document, and renders its prose.

use maud::{Markup, html};
use serde_json::Value;

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// The name that a `$ref` refers to: the last part of its path.
pub fn referred(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.rsplit('/').next()
}

/// Renders paragraphs and lists, with code between backticks and bold text between `**`.
pub fn prose(text: &str) -> Markup {
    html! {
        @for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
            @if paragraph.starts_with("- ") {
                ul { @for item in paragraph.lines() { li { (line(item.trim_start_matches("- "))) } } }
            } @else {
                p { (line(paragraph)) }
            }
        }
    }
}

pub fn line(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (bold(part)) }
        }
    }
}

fn bold(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split("**").enumerate() {
            @if at % 2 == 1 { strong { (part) } } @else { (part) }
        }
    }
}
