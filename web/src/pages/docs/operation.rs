//! Renders one operation: its parameters, body, responses and errors.

use maud::{Markup, html};
use serde_json::Value;

use super::{
    markup::{array, line, prose, referred, text},
    schema,
};
use crate::pages::texts::docs as t;

/// Renders an operation as a line with method and path that unfolds.
pub fn render(document: &Value, path: &str, method: &str, operation: &Value) -> Markup {
    let parameters: Vec<_> =
        array(&operation["parameters"]).iter().map(|given| resolve(document, "parameters", given)).collect();
    let responses = || operation["responses"].as_object().into_iter().flatten();
    html! {
        details class="operation" {
            summary {
                span class={ "method " (method) } { (method.to_uppercase()) }
                code class="path" { (address(path)) }
                span class="operation-summary" { (line(text(&operation["summary"]))) }
            }
            div class="operation-details" id=(text(&operation["operationId"])) {
                (prose(text(&operation["description"])))
                @if requires_token(operation) { p class="hint" { (t::NEEDS_AUTHENTICATION) } }
                @if !parameters.is_empty() {
                    h3 { (t::PARAMETERS) }
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
                    h3 { (t::BODY) }
                    (prose(text(&body["description"])))
                    (contents(body))
                }
                h3 { (t::RESPONSES) }
                dl class="responses" {
                    @for (status, answer) in responses().filter(|(_, answer)| referred(answer).is_none()) {
                        dt { (status_mark(status)) }
                        dd {
                            @for part in text(&answer["description"]).lines() { p { (line(part)) } }
                            (contents(answer))
                        }
                    }
                }
                h3 { (t::ERRORS) }
                ul class="error-codes" {
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

/// Returns whether an operation has the document's default, a token, because it has no `security` of its own.
fn requires_token(operation: &Value) -> bool {
    operation.get("security").is_none()
}

/// Renders a status in the colour of its class.
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

/// Renders a path with its variable parts marked. On a narrow screen the line may break after each slash.
fn address(path: &str) -> Markup {
    html! {
        @for part in path.split_inclusive('/') {
            @if part.starts_with('{') { var { (part) } } @else { (part) }
            wbr;
        }
    }
}
