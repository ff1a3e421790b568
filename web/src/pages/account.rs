//! The form pages: log in, register, create the first administrator, choose a new password. Plain forms, no script.
//! A refused form is shown again with its input, except passwords, and with the problem beside the field.

use std::fmt::Write as _;

use maud::{Markup, html};
use starling_protocol::limits::{DISPLAY_NAME_CHARS_MAX, ID_CHARS_MAX, USERNAME_CHARS};

use super::{
    document::{Document, masthead},
    texts::{self, account as t},
};
use crate::problem::Problem;

/// The input of a form, and the problem with it.
#[derive(Clone, Copy, Default)]
pub struct Filled<'a> {
    /// The username.
    pub username: &'a str,
    /// The display name.
    pub display_name: &'a str,
    /// The invite code.
    pub invite: &'a str,
    /// The path to go to afterwards.
    pub next: &'a str,
    /// The problem, if the form was refused.
    pub problem: Option<&'a Problem>,
}

impl Filled<'_> {
    /// Returns the field that gets the focus: the first with a problem, or else the first empty one.
    fn first_focus(&self) -> &'static str {
        let wrong = |name: &&str| self.problem.is_some_and(|problem| problem.for_field(name).is_some());
        let empty = if self.username.is_empty() { "username" } else { "password" };
        ["invite", "username", "display_name", "password"].into_iter().find(wrong).unwrap_or(empty)
    }
}

/// The page `/login`. `changed` is whether the password was just changed, `may_register` whether people can register.
pub fn login(filled: Filled<'_>, changed: bool, may_register: bool) -> Markup {
    let form = html! {
        (hidden_next(filled.next))
        (username(filled))
        (password(filled, "current-password", t::PASSWORD, ""))
        button class="primary" type="submit" { (texts::LOG_IN) }
    };
    let introduction = html! {
        h1 { (texts::LOG_IN) }
        @if changed {
            p class="done" role="status" { (t::PASSWORD_CHANGED) }
        } @else {
            p { (t::LOGIN_DETAIL) }
        }
    };
    let notes = html! {
        @if may_register {
            p { (t::NO_ACCOUNT) " " a href=(with_next("/register", filled.next)) { (texts::REGISTER) } }
        }
        p { (t::FORGOT_PASSWORD) }
    };
    form_page(texts::LOG_IN, "/login", &introduction, filled, &form, &notes)
}

/// The page `/register`. `requires_invite` is whether people need an invite to register.
pub fn register(filled: Filled<'_>, requires_invite: bool) -> Markup {
    let form = html! {
        (hidden_next(filled.next))
        @if requires_invite {
            (input(&Input {
                name: "invite", label: t::INVITE, hint: "",
                value: filled.invite, chars_max: ID_CHARS_MAX, required: true, autocomplete: "off",
                ..Input::new(filled)
            }))
        }
        (new_account(filled))
        button class="primary" type="submit" { (t::CREATE_ACCOUNT) }
    };
    let introduction = html! {
        h1 { (t::REGISTER_HEADING) }
        p { (t::REGISTER_DETAIL.0) a href="/api/docs" { (t::API) } (t::REGISTER_DETAIL.1) }
    };
    let notes = html! {
        p { (t::HAVE_ACCOUNT) " " a href=(with_next("/login", filled.next)) { (texts::LOG_IN) } }
    };
    form_page(texts::REGISTER, "/register", &introduction, filled, &form, &notes)
}

/// The page `/setup/CODE`, for the first administrator.
pub fn setup(code: &str, filled: Filled<'_>) -> Markup {
    let form = html! {
        (new_account(filled))
        button class="primary" type="submit" { (t::CREATE_ACCOUNT) }
    };
    let introduction = html! {
        h1 { (t::SETUP_HEADING) }
        p { (t::SETUP_DETAIL) }
    };
    form_page(t::SETUP, &format!("/setup/{code}"), &introduction, filled, &form, &html! {})
}

/// The page `/reset/CODE`, for the owner of the account.
pub fn reset(code: &str, filled: Filled<'_>) -> Markup {
    let form = html! {
        // Tells password managers which account the password is for.
        input type="text" name="username" value=(filled.username) autocomplete="username" readonly hidden;
        (password(filled, "new-password", t::NEW_PASSWORD, t::PASSWORD_RULE))
        button class="primary" type="submit" { (t::CHANGE_PASSWORD) }
    };
    let introduction = html! {
        h1 { (t::RESET_HEADING) }
        p { (t::RESET_DETAIL.0) strong { (filled.username) } (t::RESET_DETAIL.1) }
    };
    form_page(t::NEW_PASSWORD, &format!("/reset/{code}"), &introduction, filled, &form, &html! {})
}

fn new_account(filled: Filled<'_>) -> Markup {
    html! {
        (username(Filled { ..filled }))
        (input(&Input {
            name: "display_name", label: t::DISPLAY_NAME, hint: texts::OPTIONAL, value: filled.display_name,
            chars_max: DISPLAY_NAME_CHARS_MAX, autocomplete: "name", ..Input::new(filled)
        }))
        (password(filled, "new-password", t::PASSWORD, t::PASSWORD_RULE))
    }
}

fn username(filled: Filled<'_>) -> Markup {
    input(&Input {
        name: "username",
        label: t::USERNAME,
        hint: "",
        value: filled.username,
        chars_max: *USERNAME_CHARS.end() + 5,
        required: true,
        autocomplete: "username",
        ..Input::new(filled)
    })
}

fn password(
    filled: Filled<'_>,
    autocomplete: &'static str,
    label: &'static str,
    hint: &'static str,
) -> Markup {
    input(&Input {
        name: "password",
        label,
        hint,
        kind: "password",
        chars_max: 256,
        required: true,
        autocomplete,
        ..Input::new(filled)
    })
}

/// A field with its label and its problem.
struct Input<'a> {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: &'a str,
    kind: &'static str,
    chars_max: usize,
    required: bool,
    /// The name of the field of this form that gets the focus.
    first_focus: &'static str,
    autocomplete: &'static str,
    problem: Option<&'a Problem>,
}

impl<'a> Input<'a> {
    fn new(filled: Filled<'a>) -> Self {
        Self {
            name: "",
            label: "",
            hint: "",
            value: "",
            kind: "text",
            chars_max: 0,
            required: false,
            first_focus: filled.first_focus(),
            autocomplete: "off",
            problem: filled.problem,
        }
    }
}

fn input(field: &Input<'_>) -> Markup {
    let wrong = field.problem.and_then(|problem| problem.for_field(field.name));
    let described = wrong.map(|_| format!("{}-problem", field.name));
    html! {
        div class="field" {
            label for=(field.name) {
                (field.label)
                @if !field.hint.is_empty() { " " span class="hint" { (field.hint) } }
            }
            input id=(field.name) name=(field.name) type=(field.kind) value=(field.value) maxlength=(field.chars_max)
                required[field.required] autofocus[field.first_focus == field.name] autocomplete=(field.autocomplete)
                autocapitalize="none" spellcheck="false"
                aria-invalid=[wrong.map(|_| "true")] aria-describedby=[&described];
            @if let Some(wrong) = wrong {
                p class="problem" id=[&described] { (wrong) }
            }
        }
    }
}

fn hidden_next(next: &str) -> Markup {
    html! { @if !next.is_empty() { input type="hidden" name="next" value=(next); } }
}

/// Returns the address of another form that leads to the same page afterwards.
fn with_next(path: &str, next: &str) -> String {
    if next.is_empty() {
        return path.to_owned();
    }
    let mut address = format!("{path}?next=");
    for byte in next.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            let _ = write!(address, "%{byte:02X}");
        }
    }
    address
}

fn form_page(
    title: &str,
    action: &str,
    introduction: &Markup,
    filled: Filled<'_>,
    form: &Markup,
    notes: &Markup,
) -> Markup {
    let problem = filled.problem.and_then(Problem::without_field);
    let body = html! {
        (masthead(&html! {}))
        main class="front form-page" {
            section class="introduction" { (introduction) }
            div {
                form class="card" action=(action) method="post" {
                    @if let Some(problem) = problem { p class="problem" role="alert" { (problem) } }
                    (form)
                }
                div class="form-notes" { (notes) }
            }
        }
        div class="flock" aria-hidden="true" {}
    };
    let title = texts::title(title);
    Document {
        title: &title,
        class: "home account",
        styles: &["home.css", "account.css"],
        scripts: &[],
        indexed: false,
    }
    .render(&body)
}
