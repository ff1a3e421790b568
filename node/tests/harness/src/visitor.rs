//! `Visitor`: a browser without a window. It keeps the session's cookie and sends the forms of the pages.

use std::net::SocketAddr;

use super::http::{Answer, encode, request};

/// Somebody's browser, at one node.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub node: SocketAddr,
    /// The session's cookie, with its name.
    pub cookie: Option<String>,
}

impl Visitor {
    pub fn at(node: SocketAddr) -> Self {
        Self { node, cookie: None }
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, &[], "").await
    }

    /// Sends a form as a browser does from a page of the node's own.
    pub async fn submit(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", self.node);
        let headers = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        self.submit_with(target, fields, &headers).await
    }

    /// Sends a form with these headers alone.
    pub async fn submit_with(
        &mut self,
        target: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.ask("POST", target, &[&kind, headers].concat(), &body.join("&")).await
    }

    /// Asks, and keeps or drops the cookie as it is told.
    pub async fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let cookie = self.cookie.as_ref().map(|cookie| format!("a=b; {cookie}"));
        let cookie = cookie.iter().map(|cookie| ("cookie", cookie.as_str()));
        let headers: Vec<_> = headers.iter().copied().chain(cookie).collect();
        let answer = request(self.node, method, target, &headers, body.as_bytes()).await;
        let answer = answer.expect("it is answered");
        for (_, set) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, rules) = set.split_once("; ").expect("a cookie has rules");
            let (name, value) = pair.split_once('=').expect("a cookie has a name");
            assert!(["starling_session", "__Host-starling_session"].contains(&name), "{set}");
            for rule in ["Path=/", "HttpOnly", "SameSite=Lax"] {
                assert!(rules.split("; ").any(|it| it == rule), "without {rule}: {set}");
            }
            let secure = rules.split("; ").any(|it| it == "Secure");
            assert_eq!(secure, name.starts_with("__Host-"), "{set}");
            let ends = rules.split("; ").any(|it| it == "Max-Age=0");
            assert_eq!(ends, value.is_empty(), "{set}");
            if !ends {
                self.cookie = Some(pair.to_owned());
            } else if self.cookie.as_ref().is_some_and(|cookie| cookie.starts_with(&format!("{name}="))) {
                self.cookie = None;
            }
        }
        answer
    }

    /// Asks `GET /me` with the cookie alone; returns the status and the profile.
    pub async fn me(&mut self) -> (u16, serde_json::Value) {
        let answer = self.get("/api/v1/me").await;
        (answer.status, answer.json())
    }
}

/// The address to which an answer redirects.
pub fn sent_to(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("location").expect("it says where to")
}

/// Fails unless an answer is a page with this status; gives its markup.
pub fn page(answer: &Answer, status: u16) -> String {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{text}");
    let policy = answer.header("content-security-policy").expect("a page has a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"), "{policy}");
    text
}
