//! The page of an invite, with the button that accepts it, and the page that follows.

use maud::{Markup, html};

use super::{document::statement, icons, texts, texts::invite as t};

/// The page `/invite/CODE`. `me` is the display name of the visitor, if they are logged in. `may_register` is whether people
/// can register. The page is the same for any code: only accepting the invite shows whether it is valid.
pub fn invite(code: &str, me: Option<&str>, may_register: bool) -> Markup {
    let content = html! {
        h1 { (t::HEADING) }
        @match me {
            Some(me) => {
                p { (t::JOIN_AS.0) strong dir="auto" { (me) } (t::JOIN_AS.1) }
                form action=(format!("/invite/{code}")) method="post" {
                    button class="primary" type="submit" { (t::JOIN) (icons::arrow()) }
                }
            }
            None => {
                p { (t::NEEDS_ACCOUNT) }
                a class="button primary" href=(format!("/login?next=/invite/{code}")) { (texts::LOG_IN) }
                @if may_register {
                    " "
                    a class="button" href=(format!("/register?invite={code}&next=/invite/{code}")) { (texts::REGISTER) }
                }
            }
        }
    };
    statement(&texts::title(t::TITLE), &content)
}

/// The page after the visitor accepted an invite to `room`.
pub fn joined(room: &str) -> Markup {
    let content = html! {
        h1 { (t::JOINED) span dir="auto" { (room) } }
        p { (t::JOINED_DETAIL.0) a href="/api/docs" { (texts::account::API) } (t::JOINED_DETAIL.1) }
        a class="button primary" href="/" { (texts::FRONT_PAGE) (icons::arrow()) }
    };
    statement(&texts::title(t::TITLE), &content)
}
