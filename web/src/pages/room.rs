//! The room: a gate that asks a guest for a name and lets whoever is logged in pass, the log with its composer, and who is here.
//! Served by the router at `/r/ID`; `room.js` opens the gate and fills the rest over the WebSocket.
//! The two templates at the end are the only markup that messages and notices have.

use maud::{Markup, html};
use starling_protocol::limits::{GUEST_NAME_CHARS_MAX, MESSAGE_CHARS_MAX};

use super::{Document, icons};
use crate::assets::url;

/// What a room without a name is called.
const UNNAMED: &str = "Quick room";

const STYLES: [&str; 6] = ["room.css", "name-form.css", "log.css", "message.css", "composer.css", "people.css"];

/// The entry first, then all it imports.
const SCRIPTS: [&str; 32] = [
    "room.js",
    "avatar.js",
    "backoff.js",
    "batch.js",
    "composer.js",
    "connection.js",
    "connectivity.js",
    "conversation.js",
    "copy.js",
    "delivery.js",
    "failed-message.js",
    "grouping.js",
    "history.js",
    "linkify.js",
    "message.js",
    "moment.js",
    "name-form.js",
    "notices.js",
    "outbox.js",
    "people.js",
    "probe.js",
    "recent.js",
    "scroller.js",
    "session-state.js",
    "status.js",
    "storage.js",
    "texts.js",
    "timeline.js",
    "unread.js",
    "uuid.js",
    "viewport.js",
    "views.js",
];

/// `GET /r/ID` of a room that exists. `me`: the username of whoever is logged in and so comes as himself.
pub fn room(room_id: &str, name: Option<&str>, me: Option<&str>) -> Markup {
    let title = name.unwrap_or(UNNAMED);
    let body = html! {
        header class="bar" {
            a class="home-link" href="/" aria-label="Starling, front page" {
                img src=(url("icon.svg")) alt="" width="36" height="36";
            }
            div class="room-heading" {
                h1 dir="auto" { (title) }
                p id="status" { span role="status" {} span aria-hidden="true" {} }
            }
            button id="copy" class="bar-button" type="button" title="Copy the link to this room" {
                (icons::link()) span { "Copy link" }
            }
            p id="copy-result" class="sr-only" role="status" {}
            button id="people-toggle" class="bar-button" type="button" aria-expanded="false" aria-controls="people" hidden {
                (icons::people()) span class="count" { "0" } span class="sr-only" { " people here" }
            }
        }
        main id="room" data-room=(room_id) data-name=[name] data-me=[me] {
            (chat())
            (gate(title))
            noscript {
                div class="gate" {
                    p class="card" { "A room lives in the browser and needs JavaScript. Please allow it for this page." }
                }
            }
        }
        (templates())
    };
    Document {
        title: &format!("{title} – Starling"),
        class: "room",
        styles: &STYLES,
        scripts: &SCRIPTS,
        indexed: false,
    }
    .render(&body)
}

fn gate(title: &str) -> Markup {
    html! {
        section id="gate" class="gate" hidden {
            form id="name-form" class="card" {
                div class="portrait" aria-hidden="true" {}
                h2 { "Come in" }
                p { "What shall the others in " strong dir="auto" { (title) } " call you?" }
                label for="name" { "Your name" }
                input id="name" name="nickname" type="text" required maxlength=(GUEST_NAME_CHARS_MAX) autocomplete="nickname"
                    autocapitalize="words" spellcheck="false" enterkeyhint="go" aria-describedby="name-problem";
                p id="name-problem" class="problem" role="alert" {}
                button class="primary" type="submit" { "Join" (icons::arrow()) }
            }
        }
        section id="paused" class="gate" hidden {
            div class="card" role="alert" {
                h2 {}
                p {}
                button id="use-here" class="primary" type="button" { "Use it here" }
                a class="button" href="/" { "To the front page" }
            }
        }
    }
}

fn chat() -> Markup {
    html! {
        section id="chat" class="chat" hidden {
            div id="log" class="log" role="log" aria-live="polite" aria-label="Messages" tabindex="0" {
                div id="earlier" class="earlier" { p hidden {} }
                ol id="list" class="list" {}
            }
            div class="foot" {
                button id="newer" class="pill" type="button" hidden { (icons::down()) span {} }
                form id="composer" class="composer" data-characters-max=(MESSAGE_CHARS_MAX) {
                    label class="sr-only" for="body" { "Message" }
                    textarea id="body" rows="1" placeholder="Write a message" enterkeyhint="send"
                        aria-describedby="characters-left" dir="auto" {}
                    button type="submit" aria-label="Send" { (icons::send()) }
                    p id="characters-left" class="characters-left" role="status" {}
                }
            }
        }
        aside id="people" class="people" aria-label="People here" hidden {
            h2 { "Here now" }
            ul {}
            p class="own-name" { "You are " strong dir="auto" {} "." button id="rename" class="quiet" type="button" { "Change name" } }
        }
    }
}

fn templates() -> Markup {
    html! {
        template id="message" {
            li class="message" {
                p class="day" hidden {}
                div class="row" {
                    div class="portrait" aria-hidden="true" {}
                    article {
                        p class="message-author" { strong class="name" dir="auto" {} span class="member-badge" hidden { "member" } }
                        div class="bubble" { p class="message-body" dir="auto" {} time {} }
                        p class="failed-message" hidden {
                            span {}
                            button class="quiet" type="button" value="again" { "Try again" }
                            button class="quiet" type="button" value="drop" { "Discard" }
                        }
                    }
                }
            }
        }
        template id="notice" { li class="notice" { span {} time {} } }
    }
}
