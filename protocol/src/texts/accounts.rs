//! Refusals about accounts, contacts, logins and tokens.

pub const NO_SUCH_USER: &str = "there is no such user";
pub const DELETED: &str = "your account was deleted";
pub const LOG_IN_FIRST: &str = "log in first: this needs an account";
pub const MUST_BE_ANOTHER: &str = "must be another person, not you";
pub const ADMINISTRATORS_ONLY: &str = "only administrators can do this";
pub const LAST_ADMINISTRATOR: &str = "this is the last administrator; make another one first";
pub const TOKEN_LISTS_ONLY: &str =
    "log in to do this: with a personal access token you can only list accounts";
pub const RESET_LINK_INVALID: &str =
    "this link was used or replaced, or is older than a day; ask an administrator for a new one";
pub const BLOCKED_BY_YOU: &str = "you have blocked this user; unblock them first";
pub const ALREADY_CONTACT: &str = "this user is already your contact";
pub const ALREADY_ASKED: &str = "you have already asked this user; wait for their answer";
pub const NOT_ASKED: &str = "this user has not asked to be your contact";
pub const NOT_BLOCKED: &str = "you have not blocked this user";
pub const BLOCKED_NO_CONTACT: &str =
    "this user is not your contact; you have blocked them, and can unblock them";
pub const NO_CONTACT: &str = "this user is not your contact";
pub const DELETION_UNCONFIRMED: &str = "we couldn't confirm that your account was deleted; try again";
pub const RENAMED_ONLY: &str =
    "you can choose a new username once, and only if yours went to another account that claimed it first";
pub const NO_SUCH_SESSION: &str = "you have no session with this id";
pub const NO_SUCH_TOKEN: &str = "you have no token with this id";
pub const TOKEN_INVALID: &str = "log in first: the token is invalid, or its session has ended";
pub const SESSION_UNKNOWN_HERE: &str = "this node doesn't know the session, and can't reach all other nodes right now; try again, or use another node";
pub const WRONG_CREDENTIALS: &str = "the username or the password is wrong";
pub const WRONG_PASSWORD: &str = "the password is wrong";
pub const NAME_TAKEN: &str = "this name belongs to another account; choose another";
pub const NAME_UNCONFIRMED: &str = "the other nodes did not confirm in time that the name is free; try again";
pub const NAME_UNKNOWN_HERE: &str =
    "this node is still catching up and can't tell whether the name is free; use another node";
pub const TOKEN_EXPIRED: &str = "the access token has expired; refresh it";
pub const ADMINISTRATOR_EXISTS: &str = "there is an administrator already; log in instead";
pub const INVITE_UNUSABLE: &str = "this invite is invalid, used up or expired; ask for another one";
pub const OPERATORS_REGISTER: &str = "only the operators of this server create accounts; ask them for one";
pub const INVITE_NEEDED: &str = "you need an invite to create an account here; ask a member for one";

/// `act` completes the sentence, such as `delete the account`.
pub fn needs_login(act: &str) -> String {
    format!("log in to {act}: a personal access token is not enough")
}

pub fn too_many_tokens(max: usize) -> String {
    format!("you have {max} tokens; revoke one first")
}

pub fn no_account_named(name: &str) -> String {
    format!("there is no account named {name}")
}
