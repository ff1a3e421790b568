//! The frame of every page: its head, the bar at the top, and a page with one statement.

use maud::{DOCTYPE, Markup, html};

use super::texts;
use crate::assets::url;

/// The style sheets of every page, before its own.
const COMMON_STYLES: [&str; 3] = ["tokens.css", "base.css", "forms.css"];

/// A page, without its body.
pub struct Document<'a> {
    pub title: &'a str,
    /// The class of the body, which the style sheets of the page refer to.
    pub class: &'static str,
    pub styles: &'a [&'static str],
    /// The entry script, followed by what it imports, so that the browser fetches all of it at once.
    pub scripts: &'a [&'static str],
    /// Whether search engines may list the page. Rooms must not be listed, because everybody with the link can read them.
    pub indexed: bool,
}

impl Document<'_> {
    /// Renders the whole page around `body`.
    pub fn render(&self, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang=(texts::LANGUAGE) {
                head {
                    meta charset="utf-8";
                    title { (self.title) }
                    meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content";
                    meta name="color-scheme" content="light dark";
                    meta name="theme-color" content="#e9eff1" media="(prefers-color-scheme: light)";
                    meta name="theme-color" content="#0e1119" media="(prefers-color-scheme: dark)";
                    meta name="referrer" content="same-origin";
                    @if !self.indexed { meta name="robots" content="noindex, nofollow"; }
                    link rel="icon" type="image/svg+xml" href=(url("icon.svg"));
                    link rel="manifest" href=(url("manifest.webmanifest"));
                    @for style in COMMON_STYLES.iter().chain(self.styles) {
                        link rel="stylesheet" href=(url(style));
                    }
                    @if let Some((entry, imports)) = self.scripts.split_first() {
                        script type="module" src=(url(entry)) {}
                        @for import in imports { link rel="modulepreload" href=(url(import)); }
                    }
                }
                body class=(self.class) { (body) }
            }
        }
    }
}

/// Renders the bar above every page except a room's: the link to the front page, and `more`.
pub fn masthead(more: &Markup) -> Markup {
    html! {
        header class="masthead" {
            a class="brand" href="/" {
                img src=(url("icon.svg")) alt="" width="32" height="32";
                (texts::STARLING)
            }
            (more)
        }
    }
}

/// Renders a page with only a text.
pub fn statement(title: &str, content: &Markup) -> Markup {
    let body = html! {
        (masthead(&html! {}))
        main class="front" {
            div class="flock" aria-hidden="true" {}
            section class="introduction" { (content) }
        }
    };
    Document { title, class: "home", styles: &["home.css"], scripts: &[], indexed: false }.render(&body)
}
