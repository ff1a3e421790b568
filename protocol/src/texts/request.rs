//! Refusals of requests by their form.

use std::fmt::Display;

pub const BEARER_MALFORMED: &str = "Authorization must be 'Bearer TOKEN'";
pub const FRAMES_MUST_BE_TEXT: &str = "frames must be text";
pub const ORIGIN_REFUSED: &str =
    "pages of other sites may not do this; the operator can allow a site in http.allowed_origins";
pub const OWN_PAGES_ONLY: &str =
    "this works only on this server's own pages; open the page there, and try again";
pub const HOST_REFUSED: &str =
    "this server does not accept the name in Host; its operator can allow it in http.allowed_hosts";
pub const METHOD_NOT_ALLOWED: &str = "this address does not support that method; see the documentation";
pub const NO_SUCH_ASSET: &str = "there is no such asset";
pub const NOTHING_HERE: &str = "there is nothing at this address";
pub const FOREIGN_CURSOR_PARAMETER: &str = "cursor must be the `next` of a page of this list";
pub const FOREIGN_CURSOR: &str = "this cursor is not from a page of this list";
pub const MUST_BE_NEXT: &str = "must be the `next` of a page of this list";
pub const MUST_BE_JSON: &str = "the body must be application/json";
pub const MUST_BE_OBJECT: &str = "the body must be a JSON object";
pub const BODY_INCOMPLETE: &str = "the body did not arrive completely";
pub const MUST_BE_FORM: &str = "the body must be application/x-www-form-urlencoded";
pub const FORM_TOO_LONG: &str = "the form is too long; shorten what you entered";
pub const FORM_UNREADABLE: &str = "the form could not be read; reload the page and try again";
pub const NO_PARAMETERS: &str = "this address takes no parameters";
pub const NO_BODY: &str = "this address takes no body";
pub const ID_MUST_BE_UUID: &str = "the id must be a UUID";
pub const MUST_BE_UUID: &str = "must be a UUID";
pub const MUST_BE_LANGUAGE: &str = "must be a language tag such as en or de-CH";
pub const MUST_BE_TIME: &str = "must be a time such as 2030-01-31T12:00:00.000Z";
pub const HALF_CLOSED: &str = "you closed your half of the connection; a WebSocket needs both";
pub const USERNAME_MISSING: &str = "username is missing; give a name, or log in";

pub const WEBSOCKET_NEEDS_HTTP_11: &str = "a WebSocket needs HTTP/1.1, and this request came as HTTP/1.0: a proxy in between must speak HTTP/1.1 and pass the upgrade on (nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection \"upgrade\")";
pub const WEBSOCKET_NEEDS_UPGRADE: &str = "this is the address of a WebSocket: send an upgrade request; a proxy in between must pass on the headers Upgrade and Connection";

/// A limit is reached. `what` names what was too much, as the table of limits does.
pub fn too_many(what: &str, seconds: u32) -> String {
    format!("too many {what}; try again in {seconds} s")
}

pub fn nothing_at(path: &str) -> String {
    format!("there is nothing at {path}")
}

pub fn body_too_long(max_kib: usize) -> String {
    format!("the body may be at most {max_kib} KiB")
}

pub fn too_long_to_store(max_bytes: usize) -> String {
    format!("this is too large: at most {max_bytes} bytes can be stored at once")
}

pub fn must_be_pos(parameter: &str) -> String {
    format!("{parameter} is not the pos of a message")
}

pub fn no_such_state(word: &str) -> String {
    format!("no such state: {word:?}")
}

/// A number is out of its limits.
pub fn must_be_between(least: impl Display, most: impl Display) -> String {
    format!("must be {least} to {most}")
}

pub fn must_be_seconds(least: impl Display, most: impl Display) -> String {
    format!("must be {least} to {most} seconds")
}

/// `why` says what does not parse.
pub fn bad_frame(why: impl Display) -> String {
    format!("this frame is not a valid request: {why}")
}

/// `why` completes the sentence, such as `must not be empty`.
pub fn bad_body(why: impl Display) -> String {
    format!("the body {why}")
}
