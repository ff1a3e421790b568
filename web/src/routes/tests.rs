//! The router and the document are one: what is served is described, what is described is served. And what an
//! operation under `/api/v1` gets by being made of what is in `api`.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, Response, header},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_protocol::limits::PAGE_TOKEN_CHARS_MAX;
use tower::ServiceExt as _;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    api::{Json, Limit, List, PageMark, Path, Query},
    describe_pages, router,
};
use crate::{
    drain::Drain,
    lane::Lanes,
    metrics::WebMetrics,
    openapi::{
        self,
        errors::{AlreadyExists, ErrorResponses, Invalid, NotContacts},
    },
    problem::{self, Problem},
    session::tests::support,
};

fn served() -> Router {
    let lanes = Arc::new(Lanes::new(support::point(0)));
    router(support::app_state(&Arc::default(), &lanes, WebMetrics::default(), Drain::new().1))
}

/// Methods and addresses of a router. axum tells them to its `Debug` alone: `RouteId(1): MethodRouter(…)` for the one,
/// `RouteId(1): "/path"` for the other.
fn routes_of(router: &Router) -> BTreeSet<(String, String)> {
    let shown = format!("{router:?}");
    let shown = shown.split("fallback_router: ").next().unwrap();
    let parts: Vec<_> = shown.split("RouteId(").skip(1).filter_map(|part| part.split_once("): ")).collect();
    let paths = parts.iter().filter_map(|(id, part)| Some((id, part.strip_prefix('"')?.split('"').next()?)));
    let methods = |id: &str| {
        let (_, of) = parts.iter().find(|(known, part)| *known == id && !part.starts_with('"')).unwrap();
        let allowed = of.split_once("allow_header: Bytes(b\"").map_or("any", |(_, rest)| rest);
        allowed.split('"').next().unwrap().split(',').map(str::to_lowercase).collect::<Vec<_>>()
    };
    let all = paths.flat_map(|(id, path)| methods(id).into_iter().map(|method| (method, path.to_owned())));
    // A GET is also answered as HEAD: no document says so.
    all.filter(|(method, _)| method != "head").collect()
}

fn routes_in(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |m| (m, path)));
    all.map(|(method, path)| (method.clone(), path.clone())).collect()
}

async fn ask(router: Router, request: Request<Body>) -> (Response<()>, Value) {
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (Response::from_parts(head, ()), serde_json::from_slice(&body).unwrap_or_default())
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn the_document_lists_what_the_router_serves() {
    let router = served();
    let (_, document) = ask(router.clone(), get("/api/openapi.json")).await;
    let (described, pages) =
        (routes_in(&document), routes_in(&serde_json::to_value(describe_pages()).unwrap()));
    assert!(described.is_disjoint(&pages), "a page is in the document");
    let all: BTreeSet<_> = described.union(&pages).cloned().collect();
    assert_eq!(all, routes_of(&router));
    let beside = router.route("/beside", axum::routing::put(|| async {}));
    assert_ne!(all, routes_of(&beside), "a route beside the documented ones is not seen");
}

#[tokio::test]
async fn the_document_is_whole() {
    let (_, document) = ask(served(), get("/api/openapi.json")).await;
    assert_eq!(document["openapi"], "3.1.0");
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (method, path) in routes_in(&document) {
        let operation = &document["paths"][&path][&method];
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{path}: its name is another's too");
        assert!(operation["summary"].is_string(), "{method} {path} says nothing of itself");
        assert!(
            tags.contains(&&operation["tags"][0]),
            "{method} {path} is in no group: {}",
            operation["tags"]
        );
        for name in operation["security"].as_array().into_iter().flatten().filter_map(|of| of.as_object()) {
            let known = document["components"]["securitySchemes"].as_object().unwrap();
            assert!(name.keys().all(|name| known.contains_key(name)), "{method} {path}: {name:?}");
        }
        let mut given = operation["parameters"].as_array().into_iter().flatten();
        let named = |parameter: &Value, name: &str| parameter["in"] == "path" && parameter["name"] == name;
        let within = path.split('{').skip(1).map(|part| part.split('}').next().unwrap());
        for name in within {
            assert!(
                given.any(|parameter| named(parameter, name)),
                "{method} {path} does not describe {name}"
            );
        }
    }
    let references = document.to_string();
    for reference in references.split("\"$ref\":\"#").skip(1).map(|part| part.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let read = references.matches(&format!("schemas/{name}\"")).count() > 0;
        assert!(read || name.starts_with("List_"), "nothing refers to {name}: {schema}");
    }
}

#[tokio::test]
async fn the_document_is_sent_once() {
    let (head, _) = ask(served(), get("/api/openapi.json")).await;
    let etag = head.headers()[header::ETAG].clone();
    let (head, asyncapi) = ask(served(), get("/api/asyncapi.json")).await;
    assert!(asyncapi["asyncapi"] == "3.0.0" && head.headers()[header::ETAG] != etag, "{asyncapi}");
    for (tags, status) in
        [(etag.to_str().unwrap(), 304), ("\"other\", *", 304), ("\"other\"", 200), ("", 200)]
    {
        let mut request = get("/api/openapi.json");
        request.headers_mut().insert(header::IF_NONE_MATCH, tags.parse().unwrap());
        let (head, _) = ask(served(), request).await;
        assert_eq!((head.status().as_u16(), &head.headers()[header::ETAG]), (status, &etag), "{tags}");
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Things {
    /// Only those of this colour.
    colour: Option<String>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    #[param(inline)]
    cursor: Option<PageMark>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewThing {
    name: String,
    size: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Thing {
    number: usize,
}

/// A thing
#[utoipa::path(
    post, path = "/api/v1/things/{kind}", params(Things),
    responses((status = 200, description = "Yes.", body = List<Thing>), ErrorResponses<(AlreadyExists, NotContacts, Invalid)>),
)]
async fn make_thing(
    Path(kind): Path<String>,
    Query(query): Query<Things>,
    Json(body): Json<NewThing>,
) -> Result<Json<List<Thing>>, Problem> {
    let mut invalid = problem::Invalid::default();
    let short = |text: String| if text.len() < 3 { Ok(text) } else { Err("must be short") };
    let (name, kind) = (invalid.check("name", short(body.name)), invalid.check("kind", short(kind)));
    let (Some(_), Some(_)) = (name, kind) else { return Err(invalid.into()) };
    let first = query.cursor.map_or(Ok(0), |mark| mark.parse())?;
    let last = body.size.unwrap_or(120) as usize;
    let items = (first..last).take(query.limit.0 + 1).map(|number| Thing { number }).collect();
    drop(query.colour);
    Ok(Json(List::page(items, query.limit, |thing| (thing.number + 1).to_string())))
}

#[test]
fn an_operation_says_only_what_is_its_own() {
    let (_, mut document) = OpenApiRouter::<()>::default().routes(routes!(make_thing)).split_for_parts();
    openapi::complete(&mut document);
    let document = serde_json::to_value(document).unwrap();
    let operation = &document["paths"]["/api/v1/things/{kind}"]["post"];
    let refusals = operation["responses"].as_object().unwrap().iter().map(|(status, response)| {
        let name = response["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        (status.as_str(), name.unwrap_or("its own"))
    });
    let expected = [
        ("200", "its own"),
        ("400", "bad_request"),
        ("401", "unauthenticated.token_expired"),
        ("403", "forbidden.not_contacts"),
        ("404", "not_found"),
        ("409", "already_exists"),
        ("413", "too_large"),
        ("415", "unsupported_media_type"),
        ("422", "invalid"),
        ("429", "rate_limited"),
        ("503", "overloaded.draining.unavailable"),
        ("507", "storage_full"),
    ];
    assert_eq!(refusals.collect::<Vec<_>>(), expected);
    let headers = operation["responses"]["200"]["headers"].as_object().unwrap();
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-request-id", "x-starling-cursor"]);
    let parameters = operation["parameters"].as_array().unwrap().iter();
    let parameters: Vec<_> =
        parameters.map(|given| (given["name"].as_str(), given["required"].as_bool())).collect();
    let expected = [("colour", false), ("limit", false), ("cursor", false), ("kind", true)];
    let expected = expected.map(|(name, required)| (Some(name), Some(required)));
    assert_eq!(parameters[..4], expected);
    let schemas: Vec<_> =
        operation["parameters"].as_array().unwrap()[..4].iter().map(|given| &given["schema"]).collect();
    assert_eq!(schemas[0], &json!({ "type": "string" }));
    assert_eq!(schemas[1], &json!({ "type": "integer", "minimum": 1, "maximum": 200, "default": 50 }));
    assert_eq!(schemas[2], &json!({ "type": "string", "minLength": 1, "maxLength": PAGE_TOKEN_CHARS_MAX }));
    assert_eq!(operation["parameters"][0]["description"], "Only those of this colour.");
    let body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
    assert_eq!(body, Some("#/components/schemas/NewThing"));
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["NewThing"]["additionalProperties"], false);
    assert_eq!(schemas["List_Thing"]["properties"]["items"]["items"]["$ref"], "#/components/schemas/Thing");
    assert_eq!(schemas["List_Thing"]["required"], json!(["items", "next"]));
}

#[tokio::test]
async fn what_an_operation_does_not_take_is_refused() {
    for (method, path, body, status) in [
        (Method::POST, "/api/v1/logout", r#"{"all":true}"#, 400),
        (Method::POST, "/api/v1/logout", "x", 400),
        (Method::POST, "/api/v1/logout", " {} ", 401),
        (Method::POST, "/api/v1/logout?all=true", "", 401),
        (Method::DELETE, "/api/v1/sessions/x?all=true", "", 400),
        (Method::DELETE, "/api/v1/sessions/x", r#"{"all":true}"#, 400),
        (Method::GET, "/api/v1/me?x=1", "", 400),
        (Method::GET, "/api/v1/me?", "", 401),
        (Method::GET, "/room-exists?roomID=aaaaaaaaaaaaaaaa&x=1", "", 400),
        (Method::GET, "/room-messages?roomID=aaaaaaaaaaaaaaaa&x=1", "", 400),
    ] {
        let request = Request::builder().method(&method).uri(path).body(Body::from(body)).unwrap();
        let (answer, problem) = ask(served(), request).await;
        assert_eq!(answer.status(), status, "{method} {path} {body}: {problem}");
        let code = if status == 400 { "bad_request" } else { "unauthenticated" };
        assert_eq!(problem["code"], code, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn a_cursor_is_not_answered_from_an_earlier_state_where_another_node_would_know_better() {
    for (cursor, status) in [("1", 401), ("5000", 401), ("unreadable", 401), ("10000", 503)] {
        let request = Request::get("/api/v1/me").header("x-starling-cursor", cursor);
        let (answer, problem) = ask(served(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), status, "{cursor}: {problem}");
        assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), status == 503, "{cursor}");
    }
}

#[tokio::test]
async fn an_address_of_the_api_that_does_not_exist_is_a_problem_to_browsers_too() {
    let asked = |path: &str| Request::get(path).header(header::ACCEPT, "text/html").body(Body::empty());
    let (answer, problem) = ask(served(), asked("/api/v1/no-such-call").unwrap()).await;
    assert_eq!((answer.status().as_u16(), &problem["code"]), (404, &json!("not_found")));
    let (answer, page) = ask(served(), asked("/no-such-page").unwrap()).await;
    assert_eq!((answer.status().as_u16(), page), (404, Value::Null));
}

#[tokio::test]
async fn extractors_refuse_with_problems() {
    let router: Router = OpenApiRouter::default().routes(routes!(make_thing)).into();
    let right = r#"{"name":"a"}"#;
    for (target, kind, body, status, said) in [
        ("x", "application/json", right, 200, ""),
        ("x?limit=200&cursor=7&colour=", "application/json; charset=utf-8", right, 200, ""),
        ("x", "text/plain", right, 415, "application/json"),
        ("x", "application/json", "", 400, "must be a JSON object"),
        ("x", "application/json", " {", 400, "line 1"),
        ("x", "application/json", "[]", 400, "must be a JSON object"),
        ("x", "application/json", r#"["a", 1]"#, 400, "must be a JSON object"),
        ("x", "application/json", r#"{"name":"a"} x"#, 400, "trailing"),
        ("x", "application/json", r#"{"name":5}"#, 400, "name: invalid type"),
        ("x", "application/json", r#"{"name":"a","nam":1}"#, 400, "unknown field `nam`"),
        ("x", "application/json", r#"{"size":1}"#, 400, "missing field `name`"),
        ("xxx", "application/json", r#"{"name":"aaa"}"#, 422, "name must be short; kind must be short"),
        ("x?limit=0", "application/json", right, 400, "must be 1 to 200"),
        ("x?limit=201", "application/json", right, 400, "must be 1 to 200"),
        ("x?limit=many", "application/json", right, 400, "limit: invalid digit"),
        ("x?limit=1&limit=1", "application/json", right, 400, "duplicate field `limit`"),
        ("x?cursor=", "application/json", right, 400, "is not the next"),
        ("x?cursor=x", "application/json", right, 400, "is not the next"),
        ("x?color=red", "application/json", right, 400, "unknown field `color`"),
        ("%FF", "application/json", right, 404, "nothing at this address"),
    ] {
        let request = Request::builder().method(Method::POST).uri(format!("/api/v1/things/{target}"));
        let request = request.header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap();
        let (head, answer) = ask(router.clone(), request).await;
        assert_eq!(head.status(), status, "{target} {body}: {answer}");
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(said) && !detail.contains("deserialize"), "{target} {body}: {answer}");
    }
}

#[tokio::test]
async fn a_list_comes_by_pages() {
    let router: Router = OpenApiRouter::default().routes(routes!(make_thing)).into();
    let page = async |query: &str, size: usize| {
        let request = Request::post(format!("/api/v1/things/x?{query}"));
        let body = Body::from(json!({ "name": "a", "size": size }).to_string());
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
        let (_, list) = ask(router.clone(), request).await;
        (list["items"].as_array().unwrap().len(), list["next"].clone())
    };
    assert_eq!(page("", 49).await, (49, Value::Null));
    assert_eq!(page("", 50).await, (50, Value::Null));
    assert_eq!(page("", 51).await, (50, json!("50")));
    assert_eq!(page("cursor=50", 51).await, (1, Value::Null));
    assert_eq!(page("", 0).await, (0, Value::Null));
    assert_eq!(page("limit=200", 500).await, (200, json!("200")));
}
