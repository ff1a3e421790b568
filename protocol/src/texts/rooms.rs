//! Refusals about rooms, their members and messages.

use std::fmt::Display;

pub const NO_SUCH_ROOM: &str = "there is no such room";
pub const NO_SUCH_MEMBER: &str = "there is no such member of this room";
pub const NO_SUCH_MESSAGE: &str = "there is no such message";
pub const NO_SUCH_FILE: &str = "there is no such file";
pub const NO_FILES_YET: &str = "must be empty: files cannot be attached yet";
pub const NOT_AN_EMOJI: &str = "a reaction is an emoji or a text of at most 64 bytes without spaces";
pub const INVITE_INVALID: &str = "this invite doesn't exist, or is no longer valid";
pub const QUICK_ROOMS_OFF: &str = "quick rooms are turned off on this server";
pub const MEMBERS_ONLY: &str = "only members of the room can do that; join it first";
pub const DIRECT_ROOM_FIXED: &str = "a direct room can't be changed";
pub const OWNERS_ONLY: &str = "only an owner of the room can do that";
pub const MODERATORS_ONLY: &str = "only an owner or a moderator of the room can do that";
pub const ROLE_ABOVE_OWN: &str = "you can't assign a role above your own";
pub const OWNERS_ONLY_FOR_MODERATORS: &str = "only an owner can do that to an owner or a moderator";
pub const BANNED: &str = "you are banned from this room";
pub const NOT_CONTACTS: &str = "you are not contacts; send a contact request and wait until it is accepted";
pub const OTHER_DELETED: &str = "the other account was deleted, so nobody would read this";
pub const EDIT_BY_AUTHOR: &str = "only its author can edit a message";
pub const DELETE_BY_AUTHOR: &str = "only its author and moderators can delete a message";
pub const ALREADY_MEMBER: &str = "this user is already a member";
pub const ADD_CONTACTS_ONLY: &str = "you can only add your contacts; send an invite to others";
pub const NOT_BANNED: &str = "this user is not banned from this room";
pub const VISIBILITY_BY_OWNER: &str = "only an owner of the room can change its visibility";
pub const IN_TOO_MANY_ROOMS: &str = "you are in too many rooms; leave one first";
pub const MEMBER_BANNED: &str = "this user is banned from this room; lift the ban first";
pub const MEMBER_IN_TOO_MANY_ROOMS: &str = "this user is in too many rooms";
pub const NO_SELF_BAN: &str = "you can't ban yourself; leave the room instead";
pub const TOO_MANY_BANS: &str = "this room has too many bans; lift one first";
pub const TOO_MANY_INVITES: &str = "this room has too many invites; revoke one first";
pub const FULL: &str = "this room is full";
pub const ID_REUSED: &str = "you sent another message under this id; choose a new id for every message";

pub fn name_in_use(name: impl Display) -> String {
    format!("somebody in this room is already called {name}, or something similar; choose another name")
}

pub fn name_of_account(name: impl Display) -> String {
    format!("{name} is the name of an account, or looks like one; log in to it, or choose another name")
}

pub fn too_many_edits(max: usize) -> String {
    format!("you can edit a message at most {max} times")
}

pub fn too_many_emoji(max: usize) -> String {
    format!("a message can have at most {max} different emoji")
}

pub fn too_many_own_emoji(max: usize) -> String {
    format!("you have used {max} different emoji on this message, which is the limit")
}

pub fn too_many_reactions(max: usize) -> String {
    format!("a message can have at most {max} reactions")
}
