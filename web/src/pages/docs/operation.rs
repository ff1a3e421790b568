//! One operation: what it takes and what it answers.

use maud::{Markup, html};
use serde_json::Value;

use super::{array, line, prose, referred, schema, text};

/// A line with method and address that unfolds.
pub fn render(document: &Value, path: &str, method: &str, operation: &Value) -> Markup {
    let parameters: Vec<_> =
        array(&operation["parameters"]).iter().map(|given| resolve(document, "parameters", given)).collect();
    let responses = || operation["responses"].as_object().into_iter().flatten();
    html! {
        details class="operation" {
            summary {
                span class={ "method " (method) } { (method.to_uppercase()) }
                code class="path" { (address(path)) }
                span class="says" { (line(text(&operation["summary"]))) }
            }
            div class="inside" id=(text(&operation["operationId"])) {
                (prose(text(&operation["description"])))
                @if operation.get("security").is_none() { p class="hint" { "Requires a bearer token." } }
                @if !parameters.is_empty() {
                    h3 { "Parameters" }
                    dl class="fields" {
                        @for parameter in &parameters {
                            (schema::field(
                                text(&parameter["name"]),
                                &parameter["schema"],
                                text(&parameter["description"]),
                                parameter["required"] == true,
                                Some(text(&parameter["in"])),
                            ))
                        }
                    }
                }
                @if let Some(body) = operation.get("requestBody") {
                    h3 { "Body" }
                    (prose(text(&body["description"])))
                    (contents(body))
                }
                h3 { "Answers" }
                dl class="answers" {
                    @for (status, answer) in responses().filter(|(_, answer)| referred(answer).is_none()) {
                        dt { (status_mark(status)) }
                        dd {
                            @for said in text(&answer["description"]).lines() { p { (line(said)) } }
                            (contents(answer))
                        }
                    }
                }
                h3 { "Refuses" }
                ul class="refuses" {
                    @for (status, codes) in responses().filter_map(|(status, answer)| Some((status, referred(answer)?))) {
                        @for code in codes.split('.') {
                            li { a href={ "#" (code) } { (status_mark(status)) " " (code) } }
                        }
                    }
                }
            }
        }
    }
}

/// A status, in the colour of its class.
pub fn status_mark(status: &str) -> Markup {
    html! { span class={ "status s" (&status[..1]) } { (status) } }
}

fn contents(of: &Value) -> Markup {
    html! {
        @for (media_type, content) in of["content"].as_object().into_iter().flatten() {
            p class="content" {
                code { (media_type) } " "
                @if content["schema"]["type"] != "string" { (schema::kind(&content["schema"])) }
            }
        }
    }
}

fn resolve<'a>(document: &'a Value, kind: &str, given: &'a Value) -> &'a Value {
    referred(given).map_or(given, |name| &document["components"][kind][name])
}

/// The address, its variable parts marked, and where it may be broken on a narrow screen.
fn address(path: &str) -> Markup {
    html! {
        @for part in path.split_inclusive('/') {
            @if part.starts_with('{') { var { (part) } } @else { (part) }
            wbr;
        }
    }
}
