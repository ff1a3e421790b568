//! The documentation: the OpenAPI document as a page to read. It loads nothing but its style sheets; what folds is
//! HTML's own `details`, and a link into one opens it.

mod operation;
mod schema;

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::Document;
use crate::assets::url;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// `GET /api/docs`, from the document.
pub fn docs(document: &Value) -> Markup {
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
                        a href="/api/openapi.json" { "openapi.json" } "."
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
                section {
                    h2 id="refusals" { "Refusals" }
                    p { "Each is a " a href="#object-problem" { "Problem" } " with one of these codes." }
                    dl class="responses object" {
                        @for (status, code, meaning) in refusals(document) {
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

/// The codes that are used, by status: each shared answer says "`code`: meaning." a line.
fn refusals(document: &Value) -> Vec<(u64, &str, &str)> {
    let shared = document["components"]["responses"].as_object().into_iter().flatten();
    let said = shared.flat_map(|(_, answer)| {
        let status =
            answer.pointer("/content/application~1problem+json/schema/allOf/1/properties/status/enum/0");
        let status = status.and_then(Value::as_u64).unwrap_or_default();
        let lines = text(&answer["description"]).lines();
        lines.filter_map(move |said| Some((status, said.strip_prefix('`')?.split_once("`: ")?)))
    });
    let said: BTreeSet<_> = said.collect();
    said.into_iter().map(|(status, (code, meaning))| (status, code, meaning)).collect()
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

/// Paragraphs, and code between backticks.
fn prose(text: &str) -> Markup {
    html! {
        @for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
            p { (line(paragraph)) }
        }
    }
}

fn line(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
