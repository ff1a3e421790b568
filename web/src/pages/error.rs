//! The error page, for expired rooms, mistyped addresses, used-up links and refused forms. Programs get
//! `application/problem+json` instead.

use maud::{Markup, html};

use super::{document::statement, icons, texts};

/// The error page: a title, a detail, and a link to the front page. The caller chooses the status.
pub fn error(title: &str, detail: &str) -> Markup {
    let content = html! {
        h1 { (title) }
        p { (detail) }
        a class="button primary" href="/" { (texts::FRONT_PAGE) (icons::arrow()) }
    };
    statement(&texts::title(title), &content)
}
