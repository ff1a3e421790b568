//! The AsyncAPI document of the two WebSockets, `/ws` and `/api/v1/live`. Its frames come from the types that the sockets
//! write and read, its query parameters from the OpenAPI document, its close codes from the sessions: nothing is described
//! twice.

mod examples;
mod frames;
mod prose;

use axum::http::Uri;
use serde_json::{Map, Value, json};

use self::frames::{Frame, Socket};
use crate::openapi::{BEARER, bearer_scheme};

/// Makes the document. `openapi` is the complete OpenAPI document.
pub fn document(openapi: &Value, public_url: Option<&str>) -> Value {
    let sockets = frames::sockets();
    let components = json!({
        "schemas": frames::shared_schemas(),
        "messages": messages(&sockets),
        "securitySchemes": { BEARER: bearer_scheme() },
    });
    let channels: Map<_, _> =
        sockets.iter().map(|socket| (socket.name.to_owned(), channel(socket, openapi))).collect();
    let operations: Map<_, _> = sockets.iter().flat_map(operations).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Starling: the WebSockets",
            "version": openapi["info"]["version"],
            "description": prose::introduction(),
            "license": { "name": openapi["info"]["license"]["name"] },
        },
        "defaultContentType": "application/json",
        "servers": { "node": server(public_url) },
        "channels": channels,
        "operations": operations,
        "components": components,
    })
}

/// The public address, or a placeholder for the address of the node.
fn server(public_url: Option<&str>) -> Value {
    let uri = public_url.and_then(|url| url.parse::<Uri>().ok());
    let Some((uri, host)) = uri.as_ref().and_then(|uri| Some((uri, uri.authority()?))) else {
        return json!({
            "host": "{host}",
            "protocol": "ws",
            "description": "The node that served this document.",
            "variables": { "host": { "default": "127.0.0.1:8080", "description": "Its address and port." } },
        });
    };
    let protocol = if uri.scheme_str() == Some("https") { "wss" } else { "ws" };
    let path = uri.path().trim_end_matches('/');
    json!({ "host": host.as_str(), "protocol": protocol, "pathname": path, "description": "The service." })
}

fn messages(sockets: &[Socket]) -> Map<String, Value> {
    let frames = sockets.iter().flat_map(|socket| {
        let frames = socket.from_server.iter().chain(&socket.from_client);
        frames.map(move |frame| (socket.message_name(frame), message(frame)))
    });
    frames.collect()
}

fn message(frame: &Frame) -> Value {
    let description = frame.schema["description"].as_str().unwrap_or_default();
    let summary = description.split_once(". ").map_or(description, |(first, _)| first).trim_end_matches('.');
    let examples: Vec<_> = frame.examples.iter().map(|payload| json!({ "payload": payload })).collect();
    json!({
        "name": frame.kind,
        "title": frame.kind,
        "summary": summary,
        "description": description,
        "contentType": frame.content_type,
        "payload": frame.schema,
        "examples": examples,
    })
}

fn channel(socket: &Socket, openapi: &Value) -> Value {
    let frames = socket.from_server.iter().chain(&socket.from_client);
    let messages: Map<_, _> = frames
        .map(|frame| {
            let name = socket.message_name(frame);
            let reference = json!({ "$ref": format!("#/components/messages/{name}") });
            (name, reference)
        })
        .collect();
    json!({
        "address": socket.address,
        "title": socket.title,
        "summary": socket.summary,
        "description": socket.description,
        "servers": [{ "$ref": "#/servers/node" }],
        "messages": messages,
        "bindings": { "ws": { "method": "GET", "query": query(socket, openapi), "bindingVersion": "0.1.0" } },
        "x-close-codes": prose::close_codes(),
    })
}

/// The query parameters of a socket, as the OpenAPI document lists them.
fn query(socket: &Socket, openapi: &Value) -> Value {
    let parameters = openapi["paths"][socket.address]["get"]["parameters"].as_array();
    let parameters = parameters.into_iter().flatten().filter(|parameter| parameter["in"] == "query");
    let name = |parameter: &Value| parameter["name"].as_str().unwrap_or_default().to_owned();
    let required: Vec<_> =
        parameters.clone().filter(|parameter| parameter["required"] == true).map(name).collect();
    let properties: Map<_, _> = parameters
        .map(|parameter| {
            let mut schema = parameter["schema"].clone();
            schema["description"] = parameter["description"].clone();
            (name(parameter), schema)
        })
        .collect();
    if required.is_empty() {
        // The validator refuses an empty list.
        return json!({ "type": "object", "properties": properties });
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

/// What the server sends on a socket, and what it receives.
fn operations(socket: &Socket) -> [(String, Value); 2] {
    let operation = |action: &str, summary: &str, frames: &[Frame]| {
        let channel = format!("#/channels/{}", socket.name);
        let messages: Vec<_> = frames
            .iter()
            .map(|frame| json!({ "$ref": format!("{channel}/messages/{}", socket.message_name(frame)) }))
            .collect();
        let mut operation = json!({
            "action": action,
            "channel": { "$ref": channel },
            "summary": summary,
            "messages": messages,
        });
        if socket.needs_bearer {
            operation["security"] = json!([{ "$ref": format!("#/components/securitySchemes/{BEARER}") }]);
        }
        operation
    };
    let name = |verb: &str| format!("{verb}{}{}Frames", socket.name[..1].to_uppercase(), &socket.name[1..]);
    [
        (name("send"), operation("send", "The server sends these frames to you.", &socket.from_server)),
        (name("receive"), operation("receive", "You send these frames to the server.", &socket.from_client)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use starling_protocol::frame::{client, live};

    use super::*;

    /// Promise: the document has an example of every kind of frame, so a new kind is not forgotten.
    #[test]
    fn every_kind_of_frame_has_an_example() {
        for socket in frames::sockets() {
            for frame in socket.from_server.iter().chain(&socket.from_client) {
                assert!(!frame.examples.is_empty(), "no example of {} on {}", frame.kind, socket.address);
                assert!(frame.schema["description"].is_string(), "no description of {}", frame.kind);
            }
            let kinds = socket.from_server.iter().map(|frame| &*frame.kind).collect::<BTreeSet<_>>();
            assert_eq!(kinds.len(), socket.from_server.len(), "{kinds:?}");
        }
    }

    /// Promise: the sockets read the examples of what clients send.
    #[test]
    fn examples_of_clients_parse() {
        let [quick, account] = frames::sockets();
        let text = |example: &Value| example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        for example in quick.from_client.iter().flat_map(|frame| &frame.examples) {
            assert!(client::parse_post(&text(example)).is_ok(), "{example}");
        }
        for example in account.from_client.iter().flat_map(|frame| &frame.examples) {
            assert!(live::parse(&text(example)).is_ok(), "{example}");
            let mut unknown = example.clone();
            unknown["no_such_field"] = json!(1);
            assert!(live::parse(&text(&unknown)).is_err(), "{example}: the schema allows no other fields");
        }
    }

    #[test]
    fn the_server_is_the_public_address() {
        assert_eq!(server(None)["host"], "{host}");
        let public = server(Some("https://chat.example/starling/"));
        let expected = json!({ "host": "chat.example", "protocol": "wss", "pathname": "/starling", "description": "The service." });
        assert_eq!(public, expected);
    }
}
