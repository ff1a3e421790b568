//! The page of a quick room: a form that asks guests for a name, the log with its composer, and the people here.
//! `room.js` fills it over the WebSocket, with messages and notices from the two templates at the end.

use maud::{Markup, html};
use starling_protocol::limits::{GUEST_NAME_CHARS_MAX, MESSAGE_CHARS_MAX};

use super::{
    document::Document,
    icons,
    texts::{self, room as t},
};
use crate::assets::url;

const STYLES: [&str; 6] =
    ["room.css", "name-form.css", "log.css", "message.css", "composer.css", "people.css"];

/// The entry script, followed by everything that it imports.
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

/// The page `/r/ID` of a room that exists. `account_name` is the username of the visitor, if they are logged in;
/// then they are not asked for a name.
pub fn room(room_id: &str, name: Option<&str>, account_name: Option<&str>) -> Markup {
    let title = name.unwrap_or(t::UNNAMED);
    let body = html! {
        header class="bar" {
            a class="home-link" href="/" aria-label=(t::HOME_LINK) {
                img src=(url("icon.svg")) alt="" width="36" height="36";
            }
            div class="room-heading" {
                h1 dir="auto" { (title) }
                p id="status" { span role="status" {} span aria-hidden="true" {} }
            }
            button id="copy" class="bar-button" type="button" title=(t::COPY_LINK_LONG) {
                (icons::link()) span { (t::COPY_LINK) }
            }
            p id="copy-result" class="sr-only" role="status" {}
            button id="people-toggle" class="bar-button" type="button" aria-expanded="false" aria-controls="people" hidden {
                (icons::people()) span class="count" { "0" } span class="sr-only" { " " (t::PEOPLE_HERE) }
            }
        }
        main id="room" data-room=(room_id) data-name=[name] data-account-name=[account_name] {
            (chat())
            (overlays(title))
            noscript {
                div class="overlay" {
                    p class="card" { (t::NEEDS_SCRIPTS) }
                }
            }
        }
        (templates())
    };
    Document {
        title: &texts::title(title),
        class: "room",
        styles: &STYLES,
        scripts: &SCRIPTS,
        indexed: false,
    }
    .render(&body)
}

fn overlays(title: &str) -> Markup {
    html! {
        section id="gate" class="overlay" hidden {
            form id="name-form" class="card" {
                div class="portrait" aria-hidden="true" {}
                h2 { (t::JOIN_HEADING) }
                p { (t::NAME_QUESTION.0) strong dir="auto" { (title) } (t::NAME_QUESTION.1) }
                label for="name" { (t::NAME) }
                input id="name" name="nickname" type="text" required maxlength=(GUEST_NAME_CHARS_MAX) autocomplete="nickname"
                    autocapitalize="words" spellcheck="false" enterkeyhint="go" aria-describedby="name-problem";
                p id="name-problem" class="problem" role="alert" {}
                button class="primary" type="submit" { (t::JOIN) (icons::arrow()) }
            }
        }
        section id="paused" class="overlay" hidden {
            div class="card" role="alert" {
                h2 {}
                p {}
                button id="use-here" class="primary" type="button" { (t::USE_HERE) }
                a class="button" href="/" { (texts::FRONT_PAGE) }
            }
        }
    }
}

fn chat() -> Markup {
    html! {
        section id="chat" class="chat" hidden {
            div id="log" class="log" role="log" aria-live="polite" aria-label=(t::MESSAGES) tabindex="0" {
                div id="earlier" class="earlier" { p hidden {} }
                ol id="list" class="list" {}
            }
            div class="foot" {
                button id="newer" class="pill" type="button" hidden { (icons::down()) span {} }
                form id="composer" class="composer" data-characters-max=(MESSAGE_CHARS_MAX) {
                    label class="sr-only" for="body" { (t::MESSAGE) }
                    textarea id="body" rows="1" placeholder=(t::MESSAGE_EXAMPLE) enterkeyhint="send"
                        aria-describedby="characters-left" dir="auto" {}
                    button type="submit" aria-label=(t::SEND) { (icons::send()) }
                    p id="characters-left" class="characters-left" role="status" {}
                }
            }
        }
        aside id="people" class="people" aria-label=(t::PEOPLE_HERE) hidden {
            h2 { (t::PEOPLE_HERE) }
            ul {}
            p class="own-name" {
                (t::YOU_ARE.0) strong dir="auto" {} (t::YOU_ARE.1)
                button id="rename" class="quiet" type="button" { (t::CHANGE_NAME) }
             }
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
                        p class="message-author" { strong class="name" dir="auto" {} span class="member-badge" hidden { (t::MEMBER) } }
                        div class="bubble" { p class="message-body" dir="auto" {} time {} }
                        p class="failed-message" hidden {
                            span {}
                            button class="quiet" type="button" value="again" { (t::TRY_AGAIN) }
                            button class="quiet" type="button" value="drop" { (t::DISCARD) }
                        }
                    }
                }
            }
        }
        template id="notice" { li class="notice" { span {} time {} } }
    }
}
