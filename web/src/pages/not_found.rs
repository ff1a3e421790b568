//! What a visitor sees where nothing is: a room that has expired, a mistyped address.
//! Called by the router for pages only; programs get `application/problem+json` instead.

use maud::{Markup, html};

use super::{Document, icons};
use crate::assets::url;

/// A friendly page with a way back; the caller chooses the status.
pub fn not_found(title: &str, detail: &str) -> Markup {
    let body = html! {
        header class="masthead" {
            a class="brand" href="/" {
                img src=(url("icon.svg")) alt="" width="32" height="32";
                "Starling"
            }
        }
        main class="front" {
            div class="flock" aria-hidden="true" {}
            section class="pitch" {
                h1 { (title) }
                p { (detail) }
                a class="button primary" href="/" { "To the front page" (icons::arrow()) }
            }
        }
    };
    Document { title, class: "home", styles: &["home.css"], scripts: &[], indexed: false }.render(&body)
}
