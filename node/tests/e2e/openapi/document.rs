//! A document of a node, OpenAPI or AsyncAPI: its operations, what they may answer, and values that fit its schemas.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use harness::http::Answer;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document, as the node serves it.
pub(crate) struct Document(pub(crate) Value);

/// One operation of it.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) id: String,
    /// Whether it requires a bearer token.
    pub(crate) is_secured: bool,
    pub(crate) parameters: Vec<Parameter>,
    /// The schema of its JSON body, if it has one.
    pub(crate) body: Option<Value>,
    pub(crate) responses: Map<String, Value>,
}

/// One parameter of an operation.
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) place: String,
    pub(crate) required: bool,
    pub(crate) schema: Value,
}

impl Document {
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self(answer.json())
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.0["paths"].as_object().expect("there are paths");
        let all = paths.iter().flat_map(|(path, item)| METHODS.map(|method| (path, method, &item[method])));
        all.filter(|(.., operation)| operation.is_object())
            .map(|(path, method, operation)| Operation {
                method,
                path: path.clone(),
                id: operation["operationId"].as_str().expect("it has a name").to_owned(),
                is_secured: operation.get("security").is_none(),
                parameters: self.parameters(operation),
                body: operation.pointer("/requestBody/content/application~1json/schema").cloned(),
                responses: operation["responses"].as_object().expect("it answers something").clone(),
            })
            .collect()
    }

    fn parameters(&self, operation: &Value) -> Vec<Parameter> {
        let given = operation["parameters"].as_array().into_iter().flatten().map(|given| self.resolve(given));
        given
            .map(|parameter| Parameter {
                name: parameter["name"].as_str().expect("it has a name").to_owned(),
                place: parameter["in"].as_str().expect("it is somewhere").to_owned(),
                required: parameter["required"] == true,
                schema: parameter["schema"].clone(),
            })
            .collect()
    }

    /// Resolves a reference; returns other values as they are.
    pub(crate) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        self.0.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    pub(crate) fn response<'a>(&'a self, operation: &'a Operation, status: u16) -> Option<&'a Value> {
        operation.responses.get(&status.to_string()).map(|response| self.resolve(response))
    }

    /// Whether an error code is one of those that an operation lists under a status: the name of a shared response has them.
    pub(crate) fn lists_code(operation: &Operation, status: u16, code: &str) -> bool {
        let shared =
            operation.responses.get(&status.to_string()).and_then(|response| response["$ref"].as_str());
        shared.is_none_or(|name| {
            name.rsplit('/').next().unwrap_or_default().split('.').any(|word| word == code)
        })
    }

    /// Whether an answer is what the document says: its content type, its headers, its JSON.
    pub(crate) fn check_answer(&self, listed: &Value, kind: &str, answer: &Answer) -> Result<(), String> {
        for name in listed["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            // The one header that an answer need not have.
            if answer.header(name).is_none() && name != "x-starling-cursor" {
                return Err(format!("without {name}"));
            }
        }
        let Some(contents) = listed["content"].as_object() else {
            return if answer.body.is_empty() { Ok(()) } else { Err("a body that is not listed".to_owned()) };
        };
        let content = contents.get(kind).ok_or_else(|| format!("{kind:?} is not listed"))?;
        if kind.ends_with("json") { self.fits(&content["schema"], &answer.json(), "") } else { Ok(()) }
    }

    /// Whether a value fits a schema, as far as these documents use them.
    pub(crate) fn fits(&self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        let schema = self.resolve(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.fits(part, value, place)?;
        }
        for key in ["oneOf", "anyOf"] {
            let mut parts = schema[key].as_array().into_iter().flatten().peekable();
            if parts.peek().is_some() && !parts.any(|part| self.fits(part, value, place).is_ok()) {
                return Err(format!("{place} fits none of {}", schema[key]));
            }
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return Err(format!("{place} is {value}, not one of {}", schema["enum"]));
        }
        let types = types(schema);
        if !types.is_empty() && !types.iter().any(|name| is_of(value, name)) {
            return Err(format!("{place} is {value}, no {types:?}"));
        }
        if let Some(text) = value.as_str().filter(|_| types.contains(&"string")) {
            check_format(schema["format"].as_str(), text)
                .map_err(|what| format!("{place} is {text}: {what}"))?;
        }
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(required).is_none() {
                return Err(format!("{place} has no {required}"));
            }
        }
        for (name, of) in value.as_object().into_iter().flatten() {
            match (schema["properties"].get(name), &schema["additionalProperties"]) {
                (Some(known), _) | (None, known @ Value::Object(_)) => {
                    self.fits(known, of, &format!("{place}.{name}"))?;
                }
                (None, Value::Bool(false)) => return Err(format!("{place} has an unknown field {name}")),
                _ => {}
            }
        }
        for (at, item) in value.as_array().into_iter().flatten().enumerate() {
            self.fits(&schema["items"], item, &format!("{place}[{at}]"))?;
        }
        Ok(())
    }

    /// A value that fits a schema, with every field that it may have.
    pub(crate) fn sample(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        for key in ["oneOf", "anyOf", "allOf", "enum"] {
            if let Some(first) = schema[key].as_array().and_then(|parts| parts.first()) {
                return if key == "enum" { first.clone() } else { self.sample(first) };
            }
        }
        match types(schema).first().copied() {
            Some("object") => {
                let fields = schema["properties"].as_object().into_iter().flatten();
                Value::Object(fields.map(|(name, of)| (name.clone(), self.sample(of))).collect())
            }
            Some("array") => json!([self.sample(&schema["items"])]),
            Some("string") => {
                let chars = schema["minLength"].as_u64().unwrap_or(1).max(1);
                json!("a".repeat(usize::try_from(chars).expect("it is small")))
            }
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
            Some("boolean") => json!(true),
            _ => Value::Null,
        }
    }
}

/// Promise: each time and id has a format, and the format says the truth.
fn check_format(format: Option<&str>, text: &str) -> Result<(), &'static str> {
    let shape = |byte: u8| if byte.is_ascii_digit() { '0' } else { char::from(byte) };
    let is_time = text.bytes().map(shape).eq("0000-00-00T00:00:00.000Z".chars());
    let is_uuid = text.len() == 36 && Uuid::try_parse(text).is_ok();
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match format {
        Some("date-time") if !is_time => Err("no time in UTC with milliseconds"),
        Some("uuid") if !is_uuid => Err("no UUID"),
        Some("id") if text.len() > 64 || !text.bytes().all(is_safe) => Err("no id"),
        Some("date-time" | "uuid" | "id") => Ok(()),
        _ if is_time => Err("a time without a format"),
        _ if is_uuid => Err("an id without a format"),
        _ => Ok(()),
    }
}

/// The names in `type`.
pub(crate) fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    }
}

pub(crate) fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_null(),
    }
}
