//! The form pages: log in, register, make the first administrator, choose a new password. Plain forms, no script.
//! A form that was refused is shown again with what was typed, except passwords, and says what is wrong beside it.

use std::fmt::Write as _;

use maud::{Markup, html};
use starling_protocol::limits::{DISPLAY_NAME_CHARS_MAX, ID_CHARS_MAX, USERNAME_CHARS};

use super::Document;
use crate::{assets::url, problem::Problem};

/// What was typed into a form, and what came of it.
#[derive(Clone, Copy, Default)]
pub struct Filled<'a> {
    /// The name.
    pub username: &'a str,
    /// What to be shown as.
    pub display_name: &'a str,
    /// An invite.
    pub invite: &'a str,
    /// Where to go afterwards.
    pub next: &'a str,
    /// Why it was refused.
    pub problem: Option<&'a Problem>,
}

impl Filled<'_> {
    /// The first field that is wrong, or else empty.
    fn begins_at(&self) -> &'static str {
        let wrong = |name: &&str| self.problem.is_some_and(|problem| problem.with_field(name).is_some());
        let empty = if self.username.is_empty() { "username" } else { "password" };
        ["invite", "username", "display_name", "password"].into_iter().find(wrong).unwrap_or(empty)
    }
}

/// `/login`. `changed`: a new password was just chosen. `may_register`: strangers make accounts here.
pub fn login(filled: Filled<'_>, changed: bool, may_register: bool) -> Markup {
    let form = html! {
        (hidden_next(filled.next))
        (username(filled))
        (password(filled, "current-password", "Password", ""))
        button class="primary" type="submit" { "Log in" }
    };
    let pitch = html! {
        h1 { "Log in" }
        @if changed {
            p class="done" role="status" { "Your new password holds. Log in with it." }
        } @else {
            p { "The same account on every server of this service." }
        }
    };
    let below = html! {
        @if may_register {
            p { "No account yet? " a href=(beside("/register", filled.next)) { "Register" } }
        }
        p { "Forgot your password? An administrator can give you a link to choose a new one." }
    };
    gate("Log in", "/login", &pitch, filled, &form, &below)
}

/// `/register`. `wants_invite`: only with an invite.
pub fn register(filled: Filled<'_>, wants_invite: bool) -> Markup {
    let form = html! {
        (hidden_next(filled.next))
        @if wants_invite {
            (input(&Input {
                name: "invite", label: "Invite", hint: "the code that you were given",
                value: filled.invite, chars_max: ID_CHARS_MAX, required: true, autocomplete: "off",
                ..Input::of(filled)
            }))
        }
        (new_account(filled))
        button class="primary" type="submit" { "Register" }
    };
    let pitch = html! {
        h1 { "Make an account" }
        p { "People find you by your username. Your display name is what they see beside it. "
            "There is no chat page for accounts yet: you appear under your name in quick rooms, and programs do the rest "
            "through the " a href="/api/docs" { "API" } "." }
    };
    let below = html! {
        p { "Have an account? " a href=(beside("/login", filled.next)) { "Log in" } }
    };
    gate("Register", "/register", &pitch, filled, &form, &below)
}

/// `/setup/CODE`, for the first administrator.
pub fn setup(code: &str, filled: Filled<'_>) -> Markup {
    let form = html! {
        (new_account(filled))
        button class="primary" type="submit" { "Make the account" }
    };
    let pitch = html! {
        h1 { "The first account" }
        p { "It administers this server: it can shut accounts out, and help people who forgot their password. "
            "This page is gone once the account is made." }
    };
    gate("Set up", &format!("/setup/{code}"), &pitch, filled, &form, &html! {})
}

/// `/reset/CODE`, for an account's owner.
pub fn reset(code: &str, filled: Filled<'_>) -> Markup {
    let form = html! {
        // Password managers learn from it whose password it is.
        input type="text" name="username" value=(filled.username) autocomplete="username" readonly hidden;
        (password(filled, "new-password", "New password", NEW_PASSWORD))
        button class="primary" type="submit" { "Set the password" }
    };
    let pitch = html! {
        h1 { "Choose a new password" }
        p { "For " strong { (filled.username) } ". You will be logged out everywhere." }
    };
    gate("New password", &format!("/reset/{code}"), &pitch, filled, &form, &html! {})
}

const NEW_PASSWORD: &str = "at least 8 characters";

fn new_account(filled: Filled<'_>) -> Markup {
    html! {
        (username(Filled { ..filled }))
        (input(&Input {
            name: "display_name", label: "Display name", hint: "optional", value: filled.display_name,
            chars_max: DISPLAY_NAME_CHARS_MAX, autocomplete: "name", ..Input::of(filled)
        }))
        (password(filled, "new-password", "Password", NEW_PASSWORD))
    }
}

fn username(filled: Filled<'_>) -> Markup {
    input(&Input {
        name: "username",
        label: "Username",
        hint: "",
        value: filled.username,
        chars_max: *USERNAME_CHARS.end() + 5,
        required: true,
        autocomplete: "username",
        ..Input::of(filled)
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
        ..Input::of(filled)
    })
}

/// A field with its label, and what is wrong with it.
struct Input<'a> {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: &'a str,
    kind: &'static str,
    chars_max: usize,
    required: bool,
    /// The name of the field that is typed into first.
    begins_at: &'static str,
    autocomplete: &'static str,
    problem: Option<&'a Problem>,
}

impl<'a> Input<'a> {
    fn of(filled: Filled<'a>) -> Self {
        Self {
            name: "",
            label: "",
            hint: "",
            value: "",
            kind: "text",
            chars_max: 0,
            required: false,
            begins_at: filled.begins_at(),
            autocomplete: "off",
            problem: filled.problem,
        }
    }
}

fn input(field: &Input<'_>) -> Markup {
    let wrong = field.problem.and_then(|problem| problem.with_field(field.name));
    let described = wrong.map(|_| format!("{}-problem", field.name));
    html! {
        div class="field" {
            label for=(field.name) {
                (field.label)
                @if !field.hint.is_empty() { " " span class="hint" { (field.hint) } }
            }
            input id=(field.name) name=(field.name) type=(field.kind) value=(field.value) maxlength=(field.chars_max)
                required[field.required] autofocus[field.begins_at == field.name] autocomplete=(field.autocomplete)
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

/// The other form, with the same place to go afterwards.
fn beside(path: &str, next: &str) -> String {
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

fn gate(
    title: &str,
    action: &str,
    pitch: &Markup,
    filled: Filled<'_>,
    form: &Markup,
    below: &Markup,
) -> Markup {
    let said = filled.problem.and_then(Problem::with_no_field);
    let body = html! {
        header class="masthead" {
            a class="brand" href="/" {
                img src=(url("icon.svg")) alt="" width="32" height="32";
                "Starling"
            }
        }
        main class="front form-page" {
            section class="pitch" { (pitch) }
            div {
                form class="card" action=(action) method="post" {
                    @if let Some(said) = said { p class="problem" role="alert" { (said) } }
                    (form)
                }
                div class="form-notes" { (below) }
            }
        }
        div class="flock" aria-hidden="true" {}
    };
    let title = format!("{title} – Starling");
    Document {
        title: &title,
        class: "home account",
        styles: &["home.css", "account.css"],
        scripts: &[],
        indexed: false,
    }
    .render(&body)
}
