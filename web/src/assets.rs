//! Style sheets, scripts and images, embedded in the binary.
//! The router calls [`serve`] for `/assets/…`; pages link to an asset with [`url`]. The address has the version of all
//! assets, so a browser may cache it for ever.

use std::hash::{DefaultHasher, Hasher};
use std::sync::LazyLock;

/// One embedded file, with the headers to send.
#[derive(Debug)]
pub struct Asset {
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// Value of `Cache-Control`: for ever under the version of this binary, and never under another one. Nodes of two
    /// versions behind one balancer must not fill a cache with each other's files.
    pub cache_control: &'static str,
    /// The content.
    pub body: &'static [u8],
}

/// Returns the asset at `/assets/VERSION/NAME`.
///
/// During a rolling upgrade a page of another version may ask. It gets the file of this binary, which it must not cache.
pub fn serve(version: &str, name: &str) -> Option<Asset> {
    let (name, body) = TABLE.iter().find(|(known, _)| *known == name)?;
    let cache_control = if version == *VERSION { "public, max-age=31536000, immutable" } else { "no-store" };
    Some(Asset { content_type: content_type(name), cache_control, body })
}

/// Returns the address of the asset `name`. Scripts import each other by relative paths, which keep the version.
pub(crate) fn url(name: &str) -> String {
    debug_assert!(TABLE.iter().any(|(known, _)| *known == name), "no asset is called {name}");
    format!("/assets/{}/{name}", *VERSION)
}

/// A hash over all names and contents: the same in every node that runs this binary.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    for (name, body) in TABLE {
        hasher.write(name.as_bytes());
        hasher.write_usize(body.len());
        hasher.write(body);
    }
    format!("{:016x}", hasher.finish())
});

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../assets/", $name)))),*]
    };
}

static TABLE: &[(&str, &[u8])] = embed![
    "account.css",
    "avatar.js",
    "backoff.js",
    "base.css",
    "batch.js",
    "composer.css",
    "composer.js",
    "connection.js",
    "connectivity.js",
    "conversation.js",
    "copy.js",
    "delivery.js",
    "docs.css",
    "failed-message.js",
    "flock.svg",
    "forms.css",
    "grouping.js",
    "history.js",
    "home.css",
    "home.js",
    "icon.svg",
    "linkify.js",
    "log.css",
    "manifest.webmanifest",
    "message.css",
    "message.js",
    "moment.js",
    "name-form.css",
    "name-form.js",
    "notices.js",
    "outbox.js",
    "people.css",
    "people.js",
    "probe.js",
    "recent.js",
    "room.css",
    "room.js",
    "scroller.js",
    "session-state.js",
    "status.js",
    "storage.js",
    "texts.js",
    "timeline.js",
    "tokens.css",
    "unread.js",
    "uuid.js",
    "viewport.js",
    "views.js",
];

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

/// Returns the names of the assets that a script imports.
#[cfg(test)]
pub(crate) fn imports(script: &str) -> impl Iterator<Item = &str> {
    script.lines().filter_map(|line| line.split_once(" from \"./")?.1.strip_suffix("\";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &[u8]) -> &str {
        std::str::from_utf8(body).expect("every asset is text")
    }

    #[test]
    fn an_address_is_cached_for_ever_only_under_its_own_version() {
        let address = url("room.js");
        let (version, name) = address.strip_prefix("/assets/").unwrap().split_once('/').unwrap();
        let asset = serve(version, name).unwrap();
        assert_eq!(asset.content_type, "text/javascript; charset=utf-8");
        assert!(asset.cache_control.contains("immutable"));
        assert_eq!(serve("0123456789abcdef", "room.js").unwrap().cache_control, "no-store");
        for unknown in ["", "none.js", "../room.js", "/room.js"] {
            assert!(serve(version, unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn scripts_import_only_what_is_embedded_and_stay_free_of_inner_html() {
        for (name, body) in TABLE.iter().filter(|(name, _)| content_type(name).contains("script")) {
            let script = text(body);
            for import in imports(script) {
                assert!(TABLE.iter().any(|(known, _)| *known == import), "{name} imports {import}");
            }
            for unsafe_sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval("] {
                assert!(!script.contains(unsafe_sink), "{name} uses {unsafe_sink}");
            }
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for (name, body) in TABLE {
            let content = text(body).replace("http://www.w3.org/", "");
            assert!(!content.contains("url(http") && !content.contains("src=\"http"), "{name}");
            assert!(!content.contains("@import"), "{name} makes the browser wait for a second request");
        }
    }
}
