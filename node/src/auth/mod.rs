//! The building blocks of authentication, without store and sockets. The account service combines them.

mod jwt_provider;
mod login_queue;
mod one_time;
mod password;
mod password_pool;
mod refresh;
mod service_key;
mod tokens;
mod weak_password;

pub use login_queue::{Caller, RETRY_AFTER_S};
pub use one_time::{Code, PersonalToken};
pub use password::{Cost, InvalidCost, Passwords, Verified};
pub use password_pool::{Overloaded, default_workers};
pub use refresh::{BrowserToken, FamilyKey, RefreshToken, Verdict};
pub use service_key::{ServiceKey, ServiceKeys};
pub use tokens::{ACCESS_S, AccessTokens, Holder, TokenError};
pub use weak_password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, WeakPassword};
