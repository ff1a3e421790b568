//! The building blocks of authentication, without store and sockets. The account service combines them.

mod hashed_secrets;
mod jwt_provider;
mod login_queue;
mod password;
mod password_pool;
mod service_key;
mod session_tokens;
mod tokens;
mod weak_password;

pub use hashed_secrets::{Code, PersonalToken};
pub use login_queue::{Caller, RETRY_AFTER_S};
pub use password::{Cost, InvalidCost, Passwords, Verified};
pub use password_pool::{Overloaded, default_workers};
pub use service_key::{SealerWatch, ServiceKey, ServiceKeySealer};
pub use session_tokens::{BrowserToken, FamilyKey, RefreshToken, Verdict};
pub use tokens::{ACCESS_S, AccessTokens, Holder, TokenError};
pub use weak_password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, WeakPassword};
