//! The front page: what Starling is, a way to make a room and a way into one.
//! Served by the router at `/`; `home.js` does the talking to the server.

use maud::{Markup, html};
use starling_protocol::limits::ROOM_NAME_CHARS_MAX;

use super::{Document, icons};
use crate::{assets::url, objects::Me};

/// Characters of a pasted address, at most: far above any room's.
const ADDRESS_CHARS_MAX: usize = 2_000;

/// `GET /`, for somebody with an account or a stranger. `may_register`: strangers make accounts here.
pub fn home(me: Option<&Me>, may_register: bool) -> Markup {
    let body = html! {
        header class="masthead" {
            a class="brand" href="/" {
                img src=(url("icon.svg")) alt="" width="32" height="32";
                "Starling"
            }
            (who(me, may_register))
        }
        main class="front" {
            div class="flock" aria-hidden="true" {}
            section class="pitch" {
                h1 { "Make a room, send its link, talk." }
                p {
                    "Starling is a chat server of one’s own. Rooms need no account, "
                    "and no message that was accepted gets lost."
                }
            }
            div class="room-forms" {
                form id="create" class="card" action="/create-room" method="post" {
                    h2 { "New room" }
                    (field("room-name", "Name", "optional", "Friday lunch", ROOM_NAME_CHARS_MAX))
                    p class="problem" role="alert" {}
                    button class="primary" type="submit" { (icons::plus()) "New room" }
                }
                form id="enter" class="card" {
                    h2 { "Join a room" }
                    (field("room-link", "Link or room id", "", "Paste it here", ADDRESS_CHARS_MAX))
                    p class="problem" role="alert" {}
                    button type="submit" { "Join" (icons::arrow()) }
                }
            }
            section id="recent" class="recent" hidden {
                h2 { "Rooms you were in" }
                ul {}
                button class="quiet" type="button" { "Forget them" }
            }
            noscript {
                p class="card" { "Starling’s rooms live in the browser and need JavaScript. Please allow it for this page." }
            }
        }
    };
    Document {
        title: "Starling",
        class: "home",
        styles: &["home.css"],
        scripts: &["home.js", "recent.js", "storage.js", "texts.js"],
        indexed: true,
    }
    .render(&body)
}

fn who(me: Option<&Me>, may_register: bool) -> Markup {
    html! {
        @match me {
            Some(me) => {
                form class="account-menu" action="/logout" method="post" {
                    span class="name" dir="auto" title=(me.username) { (me.display_name) }
                    button class="quiet" type="submit" { "Log out" }
                }
            }
            None => {
                nav class="account-menu" aria-label="Account" {
                    a class="button quiet" href="/login" { "Log in" }
                    @if may_register { a class="button" href="/register" { "Register" } }
                }
            }
        }
    }
}

fn field(id: &str, label: &str, hint: &str, example: &str, chars_max: usize) -> Markup {
    html! {
        label for=(id) {
            (label)
            @if !hint.is_empty() { " " span class="hint" { (hint) } }
        }
        input id=(id) name=(id) type="text" autocomplete="off" autocapitalize="off" spellcheck="false"
            maxlength=(chars_max) placeholder=(example);
    }
}
