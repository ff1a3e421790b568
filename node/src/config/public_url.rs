//! The public URL of the service, from which pages and links are made. It is always a root.

use starling_web::guard::Origin;

use super::ConfigError;

/// Checks the setting, and removes the slash at its end.
pub fn parse(url: &str) -> Result<String, ConfigError> {
    let refused = |why| ConfigError::PublicUrl(url.to_owned(), why);
    let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.ok_or(refused("it does not begin with http:// or https://"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !matches!(path, "" | "/") {
        return Err(refused("Starling can't be served under a path, so nothing may follow host and port"));
    }
    if authority.contains('@') {
        return Err(refused("it must not contain a user or a password"));
    }
    // A colon within brackets is part of an IPv6 address.
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'));
    let port_is_valid = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let host = authority.strip_suffix(port.unwrap_or_default()).unwrap_or(authority);
    if host.trim_end_matches(':').is_empty() || !port_is_valid || Origin::of_url(url).is_none() {
        return Err(refused("it has no valid host and port"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// URLs that would break pages or links are refused with a reason.
    #[test]
    fn only_root_urls_are_accepted() {
        for (url, kept) in [
            ("https://chat.example", "https://chat.example"),
            ("https://chat.example/", "https://chat.example"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://[::1]:8081/", "http://[::1]:8081"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(parse(url).unwrap(), kept);
        }
        for (url, why) in [
            ("chat.example", "begin with"),
            ("ftp://chat.example", "begin with"),
            ("https://chat.example/chat", "under a path"),
            ("https://chat.example//", "under a path"),
            ("https://chat.example?x=1", "under a path"),
            ("https://chat.example/#room", "under a path"),
            ("https://me:secret@chat.example", "password"),
            ("https://", "host"),
            ("https://:443", "host"),
            ("https://chat.example:0", "host"),
            ("https://chat.example:99999", "host"),
            ("https://chat example", "host"),
            ("", "begin with"),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("https://chat.example"), "{url}: {error}");
        }
    }
}
