//! The pages that a browser opens: plain documents, brought to life by the scripts in [`crate::assets`].
//! The router calls one function per page; none reads the store or knows who asks.
//! Markup for messages is here once, as a template that one script fills.

mod account;
mod docs;
mod home;
mod icons;
mod invite;
mod not_found;
mod room;

pub use account::{Filled, login, register, reset, setup};
pub use docs::docs;
pub use home::home;
pub use invite::{invite, joined};
pub use not_found::not_found;
pub use room::room;

use maud::{DOCTYPE, Markup, html};

use crate::assets::url;

/// What every page wears, before its own style sheets.
const COMMON_STYLES: [&str; 3] = ["tokens.css", "base.css", "forms.css"];

/// One document: what its head needs to know.
struct Document<'a> {
    title: &'a str,
    /// Class of the body: the style sheets of the page hang on it.
    class: &'static str,
    styles: &'a [&'static str],
    /// The entry script, followed by what it imports, so that the browser fetches all of it at once.
    scripts: &'a [&'static str],
    /// Rooms are found by their link alone; a search engine must not spread it.
    indexed: bool,
}

impl Document<'_> {
    /// The whole page around `body`.
    fn render(&self, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
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

#[cfg(test)]
mod tests {
    use starling_protocol::ErrorCode;

    use super::*;
    use crate::{objects::Me, problem::Problem};

    fn all() -> [String; 12] {
        let described = serde_json::json!({
            "tags": [{ "name": "Tea", "description": "<b>&" }],
            "paths": { "/tea/{id}": { "get": { "tags": ["Tea"], "responses": { "200": { "description": "`<i>`" } } } } },
        });
        let sockets = serde_json::json!({
            "channels": { "tea": { "address": "/tea", "title": "Tea <b>" } },
            "components": { "messages": { "tea.server.pour": { "examples": [{ "payload": "<u>" }] } } },
        });
        let lost = not_found("No such room", "It may have expired.");
        let ann = Me {
            id: "ann".into(),
            username: "ann".into(),
            display_name: "Ann <b>&".into(),
            admin: false,
            renamed: false,
            created_at: String::new(),
        };
        let problem = Problem::new(ErrorCode::BadCredentials, "<b>&");
        let filled = Filled { username: "<b>&", next: "/<b>&", problem: Some(&problem), ..Filled::default() };
        [
            home(None, true),
            room("a1b2", Some("Tea <b>&"), Some("ann")),
            lost,
            docs(&described, &sockets),
            home(Some(&ann), false),
            login(filled, true, true),
            register(filled, true),
            setup("<b>&", filled),
            reset("<b>&", filled),
            invite("a1b2", Some("<b>&"), true),
            invite("a1b2", None, true),
            joined("<b>&"),
        ]
        .map(maud::PreEscaped::into_string)
    }

    #[test]
    fn no_page_carries_inline_code_or_style() {
        for page in all() {
            for forbidden in [" style=", " onclick=", " onsubmit=", "<style", "javascript:", "<script>"] {
                assert!(!page.contains(forbidden), "{forbidden} in {page}");
            }
        }
    }

    #[test]
    fn a_page_asks_at_once_for_all_that_its_scripts_import() {
        for page in all() {
            let linked = |name: &str| page.contains(&format!("{}\"", url(name)));
            for address in page.split('"').filter(|part| part.starts_with("/assets/")) {
                let (version, name) = address["/assets/".len()..].split_once('/').expect(address);
                let script = crate::assets::serve(version, name).expect(address).body;
                let script = std::str::from_utf8(script).unwrap();
                for import in crate::assets::imports(script) {
                    assert!(linked(import), "{address} imports {import}, which the page does not preload");
                }
            }
        }
    }

    #[test]
    fn names_are_escaped() {
        assert!(all()[1].contains("Tea &lt;b&gt;&amp;"));
        for escaped in
            ["<code>&lt;i&gt;</code>", "<p>&lt;b&gt;&amp;</p>", "Tea &lt;b&gt;", "<code>&lt;u&gt;</code>"]
        {
            assert!(all()[3].contains(escaped), "{escaped}");
        }
    }
}
