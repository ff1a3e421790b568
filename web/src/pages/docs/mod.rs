//! The documentation: the OpenAPI and the AsyncAPI document as a page to read. It loads nothing but its style sheets; what folds is
//! HTML's own `details`, and a link into one opens it.

mod frames;
mod operation;
mod schema;

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::Document;
use crate::{assets::url, openapi::errors};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// `GET /api/docs`, from the OpenAPI and the AsyncAPI document.
pub fn docs(document: &Value, sockets: &Value) -> Markup {
    let info = &document["info"];
    let empty = Map::new();
    let schemas = document["components"]["schemas"].as_object().unwrap_or(&empty);
    let body = html! {
        header class="masthead" {
            a class="brand" href="/" {
                img src=(url("icon.svg")) alt="" width="32" height="32";
                "Starling"
            }
        }
        main class="docs" {
            nav aria-label="Contents" {
                ul {
                    @for tag in array(&document["tags"]) {
                        li { a href={ "#" (anchor(text(&tag["name"]))) } { (text(&tag["name"])) } }
                    }
                    li { a href="#frames" { "WebSocket frames" } }
                    li { a href="#refusals" { "Refusals" } }
                    li { a href="#objects" { "Objects" } }
                }
            }
            div class="contents" {
                section class="intro" {
                    h1 { "The HTTP interface" }
                    (prose(text(&info["description"])))
                    p class="hint" {
                        "Version " (text(&info["version"])) ". For programs: "
                        a href="/api/openapi.json" { "openapi.json" } ", "
                        a href="/api/asyncapi.json" { "asyncapi.json" } "."
                    }
                }
                @for tag in array(&document["tags"]) {
                    section id=(anchor(text(&tag["name"]))) {
                        h2 { (text(&tag["name"])) }
                        (prose(text(&tag["description"])))
                        @for (path, method, operation) in operations(document, &tag["name"]) {
                            (operation::render(document, path, method, operation))
                        }
                    }
                }
                (frames::render(sockets))
                section {
                    h2 id="refusals" { "Refusals" }
                    p { "Each is a " a href="#object-problem" { "Problem" } " with one of these codes." }
                    dl class="answers object" {
                        @for (status, code, meaning) in errors::all() {
                            dt id=(code) { (operation::status_mark(&status.to_string())) }
                            dd { p { code { (code) } " " (line(meaning)) } }
                        }
                    }
                }
                section id="objects" {
                    h2 { "Objects" }
                    @for (name, schema) in schemas { (schema::object(name, schema)) }
                }
            }
        }
    };
    Document {
        title: "Starling: the HTTP interface",
        class: "home",
        styles: &["home.css", "docs.css"],
        scripts: &[],
        indexed: false,
    }
    .render(&body)
}

/// The operations of a group: path, method, and what the document says.
fn operations<'a>(
    document: &'a Value,
    tag: &'a Value,
) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| METHODS.map(|method| (path.as_str(), method, &item[method])))
        .filter(move |(_, _, operation)| array(&operation["tags"]).contains(tag))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// What a reference names: the last part of its path.
fn referred(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.rsplit('/').next()
}

/// Paragraphs and lists, code between backticks, and bold text between double asterisks.
fn prose(text: &str) -> Markup {
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

fn line(text: &str) -> Markup {
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
