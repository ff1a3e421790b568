//! The icons on buttons, as inline SVG so that they take the colour of their text. Screen readers skip them, so a button
//! needs a text or a label too.

use maud::{Markup, html};

pub(super) fn arrow() -> Markup {
    icon("M5 12h14M13 6l6 6-6 6")
}

pub(super) fn down() -> Markup {
    icon("M12 5v14M6 13l6 6 6-6")
}

pub(super) fn link() -> Markup {
    icon(
        "M10 14a4.5 4.5 0 0 0 6.5.4l3-3a4.5 4.5 0 0 0-6.4-6.4l-1 1M14 10a4.5 4.5 0 0 0-6.5-.4l-3 3a4.5 4.5 0 0 0 6.4 6.4l1-1",
    )
}

pub(super) fn people() -> Markup {
    icon(
        "M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 19.5a6.5 6.5 0 0 1 13 0M16 4.9a3.5 3.5 0 0 1 0 6.2M18 14a6.5 6.5 0 0 1 3.5 5.5",
    )
}

pub(super) fn plus() -> Markup {
    icon("M12 5v14M5 12h14")
}

pub(super) fn send() -> Markup {
    icon("M12 20V5M5.5 11.5 12 5l6.5 6.5")
}

fn icon(path: &str) -> Markup {
    html! {
        svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false" {
            path d=(path);
        }
    }
}
