//! An invite, as it opens in a browser: what it is, the button that takes it, and what came of that.

use maud::{Markup, html};

use super::{Document, icons};
use crate::assets::url;

/// `/invite/CODE`. `me`: what the visitor is shown as, if he is logged in. `may_register`: strangers make accounts here.
/// The code is not looked up before somebody takes it.
pub fn invite(code: &str, me: Option<&str>, may_register: bool) -> Markup {
    let pitch = html! {
        h1 { "You are invited to a room" }
        @match me {
            Some(me) => {
                p { "You come in as " strong dir="auto" { (me) } "." }
                form action=(format!("/invite/{code}")) method="post" {
                    button class="primary" type="submit" { "Join the room" (icons::arrow()) }
                }
            }
            None => {
                p { "Rooms like this one are for people with an account. Log in, and you come back here." }
                a class="button primary" href=(format!("/login?next=/invite/{code}")) { "Log in" }
                @if may_register {
                    " "
                    a class="button" href=(format!("/register?invite={code}&next=/invite/{code}")) { "Register" }
                }
            }
        }
    };
    render("Invite – Starling", &pitch)
}

/// After the invite was taken.
pub fn joined(room: &str) -> Markup {
    let pitch = html! {
        h1 { "You are in " span dir="auto" { (room) } }
        p {
            "You are a member now. There is no page for rooms of members yet: programs read and write there through the "
            a href="/api/docs" { "API" } "."
        }
        a class="button primary" href="/" { "To the front page" (icons::arrow()) }
    };
    render("Invite – Starling", &pitch)
}

fn render(title: &str, pitch: &Markup) -> Markup {
    let body = html! {
        header class="masthead" {
            a class="brand" href="/" {
                img src=(url("icon.svg")) alt="" width="32" height="32";
                "Starling"
            }
        }
        main class="front" {
            div class="flock" aria-hidden="true" {}
            section class="pitch" { (pitch) }
        }
    };
    Document { title, class: "home", styles: &["home.css"], scripts: &[], indexed: false }.render(&body)
}
