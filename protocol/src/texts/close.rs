//! Reasons in close frames of WebSockets. A close frame has room for 123 bytes.

pub const STOPPING: &str = "this node is stopping, resume elsewhere";
pub const DISK_FULL: &str = "the disk of this node is full, resume elsewhere";
pub const TAKEN_OVER: &str = "a newer connection took over your name";
pub const LOGGED_OUT: &str = "your session has ended, log in again";
pub const LAGGED: &str = "too slow, resume with the last cursor";
pub const FLOODING: &str = "too many messages or other frames";
pub const TOO_BIG: &str = "a frame may be at most 128 KiB";
pub const MALFORMED: &str = "not a valid WebSocket frame";
pub const CANNOT_CONTINUE: &str = "this node cannot continue, resume on another node";
