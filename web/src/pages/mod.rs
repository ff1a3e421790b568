//! The pages that a browser opens: plain documents, with the scripts in [`crate::assets`] where they need some.
//! The router calls one function per page with all that the page shows. All texts are in [`texts`].

mod account;
mod docs;
mod document;
mod error;
mod home;
mod icons;
mod invite;
mod room;
pub(crate) mod texts;

pub use account::{Filled, login, register, reset, setup};
pub use docs::docs;
pub use error::error;
pub use home::home;
pub use invite::{invite, joined};
pub use room::room;

#[cfg(test)]
mod tests {
    use starling_protocol::ErrorCode;

    use super::*;
    use crate::{assets::url, objects::Me, problem::Problem};

    fn all() -> [String; 12] {
        let described = serde_json::json!({
            "tags": [{ "name": "Tea", "description": "<b>&" }],
            "paths": { "/tea/{id}": { "get": { "tags": ["Tea"], "responses": { "200": { "description": "`<i>`" } } } } },
        });
        let sockets = serde_json::json!({
            "channels": { "tea": { "address": "/tea", "title": "Tea <b>" } },
            "components": { "messages": { "tea.server.pour": { "examples": [{ "payload": "<u>" }] } } },
        });
        let lost = error("No such room", "It may have expired.");
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
    fn a_page_preloads_everything_that_its_scripts_import() {
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
