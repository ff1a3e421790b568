//! The documentation: the OpenAPI and the AsyncAPI document as a page. It needs only its style sheets: sections fold with
//! HTML's `details`, and a link into one opens it.

mod frames;
mod markup;
mod operation;
mod schema;

use maud::{Markup, html};
use serde_json::{Map, Value};

use self::markup::{anchor, array, line, prose, text};
use super::{
    document::{Document, masthead},
    texts::docs as t,
};
use crate::openapi::errors;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page `/api/docs`, from the OpenAPI and the AsyncAPI document.
pub fn docs(openapi: &Value, asyncapi: &Value) -> Markup {
    let info = &openapi["info"];
    let empty = Map::new();
    let schemas = openapi["components"]["schemas"].as_object().unwrap_or(&empty);
    let body = html! {
        (masthead(&html! {}))
        main class="docs" {
            nav aria-label=(t::CONTENTS) {
                ul {
                    @for tag in array(&openapi["tags"]) {
                        li { a href={ "#" (anchor(text(&tag["name"]))) } { (text(&tag["name"])) } }
                    }
                    li { a href="#frames" { (t::FRAMES) } }
                    li { a href="#errors" { (t::ERRORS) } }
                    li { a href="#objects" { (t::OBJECTS) } }
                }
            }
            div class="contents" {
                section class="intro" {
                    h1 { (t::HEADING) }
                    (prose(text(&info["description"])))
                    p class="hint" {
                        (t::VERSION.0) (text(&info["version"])) (t::VERSION.1)
                        a href="/api/openapi.json" { "openapi.json" } ", "
                        a href="/api/asyncapi.json" { "asyncapi.json" } "."
                    }
                }
                @for tag in array(&openapi["tags"]) {
                    section id=(anchor(text(&tag["name"]))) {
                        h2 { (text(&tag["name"])) }
                        (prose(text(&tag["description"])))
                        @for (path, method, operation) in operations(openapi, &tag["name"]) {
                            (operation::render(openapi, path, method, operation))
                        }
                    }
                }
                (frames::render(asyncapi))
                section {
                    h2 id="errors" { (t::ERRORS) }
                    p { (t::ERRORS_DETAIL.0) a href="#object-problem" { (t::PROBLEM) } (t::ERRORS_DETAIL.1) }
                    dl class="responses object" {
                        @for (status, code, meaning) in errors::all() {
                            dt id=(code) { (operation::status_mark(&status.to_string())) }
                            dd { p { code { (code) } " " (line(meaning)) } }
                        }
                    }
                }
                section id="objects" {
                    h2 { (t::OBJECTS) }
                    @for (name, schema) in schemas { (schema::object(name, schema)) }
                }
            }
        }
    };
    Document {
        title: t::TITLE,
        class: "home",
        styles: &["home.css", "docs.css"],
        scripts: &[],
        indexed: false,
    }
    .render(&body)
}

/// Returns the operations of a tag: path, method, and the operation's object.
fn operations<'a>(
    document: &'a Value,
    tag: &'a Value,
) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| METHODS.map(|method| (path.as_str(), method, &item[method])))
        .filter(move |(_, _, operation)| array(&operation["tags"]).contains(tag))
}
