//! Rules for both documents that generated clients and readers rely on.

use serde_json::{Value, json};

use super::document::Document;
use super::nonsense;
use harness::Node;
use harness::account::CHEAP_HASHES;
use harness::http::{get, request};

/// The verbs that operation ids begin with. Take a new one where none of these says it.
const VERBS: [&str; 28] = [
    "accept", "add", "block", "change", "check", "create", "decline", "delete", "edit", "end", "get", "join",
    "leave", "lift", "list", "logIn", "logOut", "mark", "open", "post", "refresh", "register", "remove",
    "request", "revoke", "search", "set", "unblock",
];

async fn documents(node: &Node) -> [Document; 2] {
    let openapi = get(node.http, "/api/openapi.json").await.expect("there is one");
    let asyncapi = get(node.http, "/api/asyncapi.json").await.expect("there is one");
    [Document::of(&openapi), Document::of(&asyncapi)]
}

/// Calls `look` with every field and parameter: its name, and its schema with its description.
fn fields(value: &Value, look: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            for (name, schema) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
                look(name, schema);
            }
            if let (Some(Value::String(name)), true, Some(schema)) =
                (members.get("name"), members.contains_key("in"), members.get("schema"))
            {
                let mut schema = schema.clone();
                schema["description"] = members.get("description").cloned().unwrap_or_default();
                look(name, &schema);
            }
            members.values().for_each(|member| fields(member, look));
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, look)),
        _ => {}
    }
}

/// Promise: both documents give every time the format `date-time`, and every id `uuid` or `id`.
#[tokio::test]
async fn each_time_and_id_has_a_format() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let (mut times, mut ids) = (0, 0);
    for document in &documents(&node).await {
        fields(&document.0, &mut |name, schema| {
            let described = schema["description"].as_str().unwrap_or_default();
            let format = schema["format"].as_str();
            let is_text = super::document::types(schema).contains(&"string");
            let is_time = name == "at" || name.ends_with("_at") || ["since", "dnd_until"].contains(&name);
            let is_id = ["id", "roomID", "reply_to", "read_up_to"].contains(&name)
                || name.ends_with("_id")
                || described.starts_with("The id of");
            if is_text && is_time {
                assert_eq!(format, Some("date-time"), "{name}: {schema}");
                times += 1;
            } else if is_text && is_id {
                assert!(matches!(format, Some("uuid" | "id")), "{name}: {schema}");
                ids += 1;
            }
        });
    }
    assert!(times >= 20 && ids >= 80, "only {times} times and {ids} ids were found");
}

/// Promise: errors are one schema by reference, so that a generated client has one class for all of them.
#[tokio::test]
async fn no_operation_has_an_error_schema_of_its_own() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let [document, _] = documents(&node).await;
    let mut errors = 0;
    for operation in document.operations() {
        for (status, response) in operation.responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let problem = document.resolve(response).pointer("/content/application~1problem+json/schema");
            let problem = problem.unwrap_or_else(|| panic!("{} {status} is no problem", operation.id));
            assert_eq!(
                problem,
                &json!({"$ref": "#/components/schemas/Problem"}),
                "{} {status}",
                operation.id
            );
            // An answer with a body of its own is the only one that is not shared.
            let contents = response["content"].as_object().map_or(0, serde_json::Map::len);
            assert!(response["$ref"].is_string() || contents > 1, "{} {status} is not shared", operation.id);
            errors += 1;
        }
    }
    assert!(errors >= 300, "only {errors} errors were found");
}

/// Promise: operation ids are a verb and its object, and programs find neither pages nor an operation twice.
#[tokio::test]
async fn operations_are_named_and_are_no_pages() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let [document, _] = documents(&node).await;
    for operation in document.operations() {
        let id = &operation.id;
        let object = VERBS.iter().find_map(|verb| {
            id.strip_prefix(verb)
                .filter(|object| object.starts_with(|letter: char| letter.is_ascii_uppercase()))
        });
        assert!(object.is_some() && id.chars().all(|letter| letter.is_ascii_alphanumeric()), "{id}");
        for response in operation.responses.values() {
            let page = document.resolve(response).pointer("/content/text~1html");
            assert_eq!(page, None, "{id} is a page");
        }
    }
    for address in ["/", "/login", "/register", "/r/{room}", "/api/docs", "/assets/{version}/{name}"] {
        assert!(document.0["paths"].get(address).is_none(), "{address} is a page");
    }
    assert_eq!(document.0["servers"][0]["url"], "/");
}

/// Promise: an operation requires a bearer token exactly if the document does not say otherwise.
#[tokio::test]
async fn a_bearer_token_is_required_unless_the_document_says_otherwise() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let [document, _] = documents(&node).await;
    assert_eq!(document.0["security"], json!([{"bearer": []}]));
    assert_eq!(document.0["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let (mut secured, mut open) = (0, 0);
    for operation in document.operations() {
        let ask = nonsense::all(&document, &operation, &[]).swap_remove(0);
        let headers: Vec<_> = ask.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = request(node.http, &ask.method, &ask.target, &headers, &ask.body).await;
        let answer = answer.unwrap_or_else(|error| panic!("{ask}: {error}"));
        // A refresh token is in the body.
        let refused = answer.code() == "unauthenticated" && operation.id != "refreshSession";
        assert_eq!(refused, operation.is_secured, "{ask}: {}", answer.text());
        if operation.is_secured { secured += 1 } else { open += 1 }
    }
    assert!(secured >= 45 && open >= 10, "{secured} and {open}");
}
