//! The front page: an introduction, and forms that create a room or open one. `home.js` sends them.

use maud::{Markup, html};
use starling_protocol::limits::ROOM_NAME_CHARS_MAX;

use super::{
    document::{Document, masthead},
    icons,
    texts::{self, home as t},
};
use crate::objects::Me;

/// The longest link that can be pasted, in characters: far longer than that of any room.
const ADDRESS_CHARS_MAX: usize = 2_000;

/// The page `/`. `me` is the visitor, if they are logged in. `may_register` is whether people can register.
pub fn home(me: Option<&Me>, may_register: bool) -> Markup {
    let body = html! {
        (masthead(&account_menu(me, may_register)))
        main class="front" {
            div class="flock" aria-hidden="true" {}
            section class="introduction" {
                h1 { (t::HEADING) }
                p { (t::INTRODUCTION) }
            }
            div class="room-forms" {
                form id="create" class="card" action="/create-room" method="post" {
                    h2 { (t::CREATE_ROOM) }
                    (field("room-name", t::ROOM_NAME, texts::OPTIONAL, t::ROOM_NAME_EXAMPLE, ROOM_NAME_CHARS_MAX))
                    p class="problem" role="alert" {}
                    button class="primary" type="submit" { (icons::plus()) (t::CREATE) }
                }
                form id="enter" class="card" {
                    h2 { (t::JOIN_ROOM) }
                    (field("room-link", t::ROOM_LINK, "", t::ROOM_LINK_EXAMPLE, ADDRESS_CHARS_MAX))
                    p class="problem" role="alert" {}
                    button type="submit" { (t::JOIN) (icons::arrow()) }
                }
            }
            section id="recent" class="recent" hidden {
                h2 { (t::RECENT_ROOMS) }
                ul {}
                button class="quiet" type="button" { (t::CLEAR_RECENT) }
            }
            noscript {
                p class="card" { (t::NEEDS_SCRIPTS) }
            }
        }
    };
    Document {
        title: texts::STARLING,
        class: "home",
        styles: &["home.css"],
        scripts: &["home.js", "recent.js", "storage.js", "texts.js"],
        indexed: true,
    }
    .render(&body)
}

fn account_menu(me: Option<&Me>, may_register: bool) -> Markup {
    html! {
        @match me {
            Some(me) => {
                form class="account-menu" action="/logout" method="post" {
                    span class="name" dir="auto" title=(me.username) { (me.display_name) }
                    button class="quiet" type="submit" { (texts::LOG_OUT) }
                }
            }
            None => {
                nav class="account-menu" aria-label=(t::ACCOUNT) {
                    a class="button quiet" href="/login" { (texts::LOG_IN) }
                    @if may_register { a class="button" href="/register" { (texts::REGISTER) } }
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
