//! The frames of the two WebSockets, with examples, from the AsyncAPI document.

use maud::{Markup, html};
use serde_json::Value;

use super::{array, line, prose, schema, text};

/// All of them, a list for each side of each socket.
pub fn render(document: &Value) -> Markup {
    let channels = || document["channels"].as_object().into_iter().flatten();
    html! {
        section id="frames" {
            h2 { "WebSocket frames" }
            (prose(text(&document["info"]["description"])))
            @for (name, channel) in channels() {
                h3 { (text(&channel["title"])) ": " code { (text(&channel["address"])) } }
                (prose(text(&channel["description"])))
                @for side in ["server", "client"] {
                    h4 { @if side == "server" { "The server sends" } @else { "You send" } }
                    @for (key, message) in messages(document, &format!("{name}.{side}.")) {
                        (frame(key, message))
                    }
                }
            }
        }
    }
}

fn messages<'a>(document: &'a Value, prefix: &str) -> Vec<(&'a str, &'a Value)> {
    let all = document["components"]["messages"].as_object().into_iter().flatten();
    all.filter(|(key, _)| key.starts_with(prefix)).map(|(key, message)| (key.as_str(), message)).collect()
}

/// A line with the kind that unfolds.
fn frame(key: &str, message: &Value) -> Markup {
    let payload = &message["payload"];
    let parts = array(&payload["allOf"]).iter().chain([payload]);
    let fields = parts.flat_map(|part| {
        let fields = part["properties"].as_object().into_iter().flatten();
        fields.map(move |(name, of)| (name, of, array(&part["required"]).iter().any(|known| known == name)))
    });
    html! {
        details class="operation" {
            summary {
                code class="path" { (text(&message["name"])) }
                span class="says" { (line(text(&message["summary"]))) }
            }
            div class="inside" id=(key) {
                (prose(text(&message["description"])))
                dl class="fields" {
                    @for (name, field, required) in fields {
                        (schema::field(name, field, text(&field["description"]), required, None))
                    }
                }
                h3 { "Example" }
                @for example in array(&message["examples"]) {
                    pre { code { (pretty(&example["payload"])) } }
                }
            }
        }
    }
}

/// A text as it is sent, anything else as JSON.
fn pretty(payload: &Value) -> String {
    let json = || serde_json::to_string_pretty(payload).unwrap_or_default();
    payload.as_str().map_or_else(json, str::to_owned)
}
