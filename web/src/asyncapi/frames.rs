//! The frames of both sockets: kinds and schemas from the types that are written and read.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use starling_protocol::{
    ErrorCode,
    frame::{
        client::{self, MessageObject, ServerFrame},
        live,
    },
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::{examples, prose};
use crate::live_frame::LiveFrame;

/// One kind of frame.
pub struct Frame {
    /// The value of the field `type`, or a name if the frame has none.
    pub kind: String,
    pub schema: Value,
    pub content_type: &'static str,
    /// Example payloads, as the code encodes the server's frames and parses the client's.
    pub examples: Vec<Value>,
}

/// A WebSocket.
pub struct Socket {
    pub name: &'static str,
    pub address: &'static str,
    pub title: &'static str,
    pub summary: &'static str,
    pub description: String,
    pub needs_bearer: bool,
    pub from_server: Vec<Frame>,
    pub from_client: Vec<Frame>,
}

impl Socket {
    /// Returns the name of a frame in the document. It contains the side, because both sides may have a frame of the same
    /// kind.
    pub fn message_name(&self, frame: &Frame) -> String {
        let is_from_client = self.from_client.iter().any(|own| std::ptr::eq(own, frame));
        let side = if is_from_client { "client" } else { "server" };
        format!("{}.{side}.{}", self.name, frame.kind)
    }
}

/// Returns the sockets of a quick room and of an account.
pub fn sockets() -> [Socket; 2] {
    let quick_examples = examples::quick();
    let mut quick = kinds(&MessageObject::schema(), &quick_examples);
    quick.extend(kinds(&ServerFrame::schema(), &quick_examples));
    let account_examples = examples::account();
    let mut account = kinds(&LiveFrame::schema(), &account_examples);
    account.extend(kinds(&ServerFrame::schema(), &quick_examples).into_iter().filter(is_shared));
    [
        Socket {
            name: "quick",
            address: "/ws",
            title: "A quick room",
            summary: "One room, with or without an account.",
            description: prose::quick(),
            needs_bearer: false,
            from_server: quick,
            from_client: posts(),
        },
        Socket {
            name: "account",
            address: "/api/v1/live",
            title: "An account",
            summary: "Everything that concerns you: all your rooms and contacts.",
            description: prose::account(),
            needs_bearer: true,
            from_server: account,
            from_client: requests(),
        },
    ]
}

fn is_shared(frame: &Frame) -> bool {
    ServerFrame::LIVE_KINDS.contains(&&*frame.kind)
}

/// Returns the two frames that post in a quick room.
fn posts() -> Vec<Frame> {
    let json_post = Frame {
        kind: "post".to_owned(),
        schema: to_value(&client::post_schema()),
        content_type: "application/json",
        examples: examples::posts(),
    };
    let text_post = Frame {
        kind: "text".to_owned(),
        schema: json!({
            "type": "string",
            "minLength": 1,
            "maxLength": 8000,
            "description": "A post. Any text that is not a JSON object is the body.",
        }),
        content_type: "text/plain",
        examples: vec![json!("Hello")],
    };
    vec![json_post, text_post]
}

/// Returns the requests on the socket of an account. They refuse unknown fields, which utoipa doesn't put into the
/// schema.
fn requests() -> Vec<Frame> {
    let mut frames = kinds(&live::request_schema(), &examples::requests());
    for frame in &mut frames {
        frame.schema["additionalProperties"] = json!(false);
    }
    frames
}

/// Returns the kinds of frames in the schema of a type. An enum has one for each variant.
fn kinds(schema: &RefOr<Schema>, examples: &[Value]) -> Vec<Frame> {
    let schema = to_value(schema);
    let variants = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema]);
    let frames = variants.into_iter().map(|schema| {
        let kind = kind(&schema).unwrap_or_default();
        let examples = examples.iter().filter(|example| example["type"] == *kind).cloned().collect();
        Frame { kind, schema, content_type: "application/json", examples }
    });
    frames.collect()
}

/// Returns the only value of the field `type`, in a schema or in a part of it.
fn kind(schema: &Value) -> Option<String> {
    let own = schema.pointer("/properties/type/enum/0").and_then(Value::as_str).map(str::to_owned);
    own.or_else(|| schema["allOf"].as_array()?.iter().find_map(kind))
}

/// Returns the schemas that the frames refer to.
pub fn shared_schemas() -> BTreeMap<String, Value> {
    let mut schemas = vec![(ErrorCode::name().into_owned(), ErrorCode::schema())];
    LiveFrame::schemas(&mut schemas);
    ServerFrame::schemas(&mut schemas);
    schemas.into_iter().map(|(name, schema)| (name, to_value(&schema))).collect()
}

fn to_value(schema: &RefOr<Schema>) -> Value {
    serde_json::to_value(schema).expect("a schema is made of strings and maps")
}
