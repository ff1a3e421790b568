//! Every bad way in which an operation can be asked, and what must come of it.

use std::fmt;

use serde_json::{Value, json};

use crate::openapi::document::{Document, Operation, Parameter, is_of, types};
use harness::http::encode;

/// The addresses under which unknown fields and content types are refused.
const STRICT: &str = "/api/v1/";
/// The limit of a body.
const BODY_BYTES_MAX: usize = 128 * 1_024;
/// Values that no parameter of any operation can have, or that few can: each as it stands in the address.
const GARBAGE: [&str; 12] = [
    "",
    "%00",
    "%FF%FE",
    "%",
    "%C3%BC",
    "..%2F..%2Fetc%2Fpasswd",
    "-1",
    "0",
    "99999999999999999999999",
    "null",
    "%27%20OR%201%3D1",
    "%E2%80%AE",
];

/// The expected answer to a request, beyond what the document lists.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    /// Anything listed.
    Listed,
    /// Not that it cannot be read.
    Read,
    /// A refusal.
    Refused,
    /// This one.
    Problem(u16, &'static str),
}

/// One request.
pub(crate) struct Ask {
    what: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) expected: Expected,
    /// Whether the address takes the method: the document speaks of these alone.
    listed: bool,
}

impl Ask {
    /// Whether the operation's document lists what may come.
    pub(crate) fn listed(&self) -> bool {
        self.listed
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target: String = self.target.chars().take(200).collect();
        let body: String = String::from_utf8_lossy(&self.body).chars().take(200).collect();
        write!(f, "{}: {} {target} {:?} {body}", self.what, self.method, self.headers)
    }
}

/// All of them, and the right request to begin with. `right` has values for parameters by their names.
pub(crate) fn all(document: &Document, operation: &Operation, right: &[(&str, &str)]) -> Vec<Ask> {
    let base = Base { document, operation, right };
    let mut foreign = base.ask("from another site's page", Expected::Listed);
    foreign.headers.push(("origin", "https://elsewhere.example".to_owned()));
    let mut asks = vec![base.ask("as it should be", Expected::Read), foreign];
    base.methods(&mut asks);
    for parameter in &operation.parameters {
        base.parameter(parameter, &mut asks);
    }
    if let Some(schema) = &operation.body {
        base.bodies(&document.sample(schema), &mut asks);
    }
    asks
}

struct Base<'a> {
    document: &'a Document,
    operation: &'a Operation,
    right: &'a [(&'a str, &'a str)],
}

/// A value as it stands in an address: lists with commas, as the document says of them.
fn in_address(value: &Value) -> String {
    match value {
        Value::String(text) => encode(text),
        Value::Array(items) => items.iter().map(in_address).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

impl Base<'_> {
    /// The request as it should be.
    fn ask(&self, what: impl Into<String>, expected: Expected) -> Ask {
        let body = self.operation.body.as_ref().map(|schema| self.document.sample(schema).to_string());
        Ask {
            what: what.into(),
            method: self.operation.method.to_uppercase(),
            target: self.target(|parameter| parameter.required.then(|| self.value(parameter))),
            headers: body.iter().map(|_| ("content-type", "application/json".to_owned())).collect(),
            body: body.map(String::into_bytes).unwrap_or_default(),
            expected,
            listed: true,
        }
    }

    fn value(&self, parameter: &Parameter) -> String {
        let known =
            self.right.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| encode(value));
        known.unwrap_or_else(|| in_address(&self.document.sample(&parameter.schema)))
    }

    /// The address, with these values, percent-encoded; `None` leaves one out.
    fn target(&self, value: impl Fn(&Parameter) -> Option<String>) -> String {
        let mut target = self.operation.path.clone();
        let mut query = Vec::new();
        for parameter in &self.operation.parameters {
            match (&*parameter.place, value(parameter)) {
                ("path", given) => {
                    target = target.replace(&format!("{{{}}}", parameter.name), &given.unwrap_or_default());
                }
                ("query", Some(given)) => query.push(format!("{}={given}", parameter.name)),
                _ => {}
            }
        }
        if query.is_empty() { target } else { format!("{target}?{}", query.join("&")) }
    }

    fn strict(&self) -> bool {
        self.operation.path.starts_with(STRICT)
    }

    fn methods(&self, asks: &mut Vec<Ask>) {
        let others = self.document.operations();
        let taken = |method: &str| {
            others.iter().any(|other| other.path == self.operation.path && other.method == method)
        };
        for method in ["get", "post", "put", "patch", "delete"].into_iter().filter(|method| !taken(method)) {
            let mut ask =
                self.ask("a method that it does not take", Expected::Problem(405, "method_not_allowed"));
            ask.method = method.to_uppercase();
            ask.listed = false;
            asks.push(ask);
        }
    }

    fn parameter(&self, parameter: &Parameter, asks: &mut Vec<Ask>) {
        let name = &parameter.name;
        let mut with = |what: &str, value: Option<String>, expected| {
            let mut ask = self.ask(format!("{name} {what}"), expected);
            ask.target = self.target(|other| match (other.name == *name, other.required) {
                (true, _) => value.clone(),
                (false, true) => Some(self.value(other)),
                (false, false) => None,
            });
            asks.push(ask);
        };
        match &*parameter.place {
            "header" => {
                for value in ["", "x", "ÿ", &"x".repeat(5_000)] {
                    let mut ask = self.ask(format!("{name} garbled"), Expected::Listed);
                    ask.headers.push((name.clone().leak(), value.to_owned()));
                    asks.push(ask);
                }
            }
            place => {
                for garbage in GARBAGE {
                    // An empty part of a path is another address; one that a URL cannot hold is none.
                    if place == "query" || !garbage.is_empty() {
                        with("garbled", Some(garbage.to_owned()), Expected::Listed);
                    }
                }
                with("far too long", Some("a".repeat(3_000)), Expected::Refused);
                if let Some(most) = parameter.schema["maxLength"].as_u64().filter(|most| *most < 3_000) {
                    let longer = "a".repeat(usize::try_from(most).expect("it is small") + 1);
                    with("one character too long", Some(longer), Expected::Refused);
                }
                with("unknown", Some("zzzzzzzzzzzzzzzz".to_owned()), Expected::Listed);
                if place == "query" {
                    if parameter.required {
                        with("missing", None, Expected::Problem(400, "bad_request"));
                    }
                    if types(&parameter.schema) == ["integer"] {
                        with("as a word", Some("many".to_owned()), Expected::Problem(400, "bad_request"));
                    }
                    let twice = format!("{0}&{name}={0}", self.value(parameter));
                    with("twice", Some(twice), Expected::Problem(400, "bad_request"));
                    if self.strict() {
                        let beside = format!("{}&no_such_parameter=1", self.value(parameter));
                        with("beside an unknown one", Some(beside), Expected::Problem(400, "bad_request"));
                    }
                }
            }
        }
    }

    fn bodies(&self, sample: &Value, asks: &mut Vec<Ask>) {
        let bad_request = Expected::Problem(400, "bad_request");
        let mut with = |what: String, body: Vec<u8>, expected| {
            let mut ask = self.ask(what, expected);
            ask.body = body;
            asks.push(ask);
        };
        let cut = sample.to_string();
        let mut unknown = sample.clone();
        if let Some(fields) = unknown.as_object_mut() {
            fields.insert("no_such_field".to_owned(), json!(1));
        }
        for (what, body) in [
            ("cut", cut.as_bytes()[..cut.len() - 1].to_vec()),
            ("no JSON", b"hello".to_vec()),
            ("a list", b"[]".to_vec()),
            ("a number", b"5".to_vec()),
            ("two values", format!("{cut} {cut}").into_bytes()),
            ("no UTF-8", vec![b'"', 0xff, 0xfe, b'"']),
            ("a lone surrogate", br#"{"\ud800":1}"#.to_vec()),
            ("deeper than anybody reads", "[".repeat(50_000).into_bytes()),
            ("an unknown field", unknown.to_string().into_bytes()),
            ("none but an unknown field", br#"{"no_such_field":1}"#.to_vec()),
        ] {
            with(format!("the body: {what}"), body, bad_request);
        }
        let large = vec![b' '; BODY_BYTES_MAX + 1];
        with("a body that is too large".to_owned(), large, Expected::Problem(413, "too_large"));
        for (name, value) in sample.as_object().into_iter().flatten() {
            self.field(name, value, sample, &mut with);
        }
        for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("nonsense")] {
            let expected = Expected::Problem(415, "unsupported_media_type");
            let expected = if self.strict() { expected } else { Expected::Listed };
            let mut ask = self.ask(format!("content type {kind:?}"), expected);
            ask.headers = kind.iter().map(|kind| ("content-type", (*kind).to_owned())).collect();
            asks.push(ask);
        }
    }

    /// One field of the body, of every wrong type, and a text in every wrong length.
    fn field(
        &self,
        name: &str,
        value: &Value,
        sample: &Value,
        with: &mut impl FnMut(String, Vec<u8>, Expected),
    ) {
        let mut body = |what: &str, value: Value, expected| {
            let mut body = sample.clone();
            body[name] = value;
            with(format!("{name} {what}"), body.to_string().into_bytes(), expected);
        };
        let wrong =
            [json!(5), json!(-1), json!(1.5), json!("x"), json!(true), json!([]), json!({}), Value::Null];
        for wrong in wrong.into_iter().filter(|wrong| !self.fits(name, wrong)) {
            body("of a wrong type", wrong, Expected::Problem(400, "bad_request"));
        }
        if value.is_string() {
            let most = self.most(name).map(|chars| "a".repeat(chars));
            if let Some(most) = most {
                body("as long as may be", json!(most), Expected::Read);
                body("one character too long", json!(most + "a"), Expected::Refused);
            }
            body("far too long", json!("a".repeat(40_000)), Expected::Refused);
            for text in ["", " ", "\u{0}", "\u{202e}", "a\nb", "🐦"] {
                body("odd", json!(text), Expected::Listed);
            }
        }
    }

    /// The most characters that a field of the body may have.
    fn most(&self, name: &str) -> Option<usize> {
        let most = self.schemas(name).find_map(|field| field["maxLength"].as_u64())?;
        usize::try_from(most).ok()
    }

    /// Whether a field of the body may be of the type that this value has.
    fn fits(&self, name: &str, value: &Value) -> bool {
        self.schemas(name).any(|field| {
            let types = types(field);
            types.is_empty() || types.iter().any(|of| is_of(value, of))
        })
    }

    /// The schemas of a field of the body: each object that the body may be has one.
    fn schemas<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        let schema = self.operation.body.as_ref().map(|schema| self.document.resolve(schema));
        let parts = schema.into_iter().flat_map(|schema| {
            let parts = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|key| schema[key].as_array());
            parts.flatten().chain([schema])
        });
        let fields = parts.map(move |part| &self.document.resolve(part)["properties"][name]);
        fields.filter(|field| !field.is_null()).map(|field| self.document.resolve(field))
    }
}
