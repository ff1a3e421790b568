//! A page that says what is wrong: an expired room, a mistyped address, a link that is used up.
//! Programs get `application/problem+json` instead.

use maud::{Markup, html};

use super::{document::statement, icons, texts};

/// A page with a title, a detail, and a link to the front page; the caller chooses the status.
pub fn not_found(title: &str, detail: &str) -> Markup {
    let content = html! {
        h1 { (title) }
        p { (detail) }
        a class="button primary" href="/" { (texts::FRONT_PAGE) (icons::arrow()) }
    };
    statement(&texts::title(title), &content)
}
