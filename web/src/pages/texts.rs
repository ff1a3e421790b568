//! All texts of the pages, in English. A second language needs only this file and `texts.js`, which has the texts that
//! scripts write. Details of errors come from the services, which share them with the API.

/// The name of the product.
pub const STARLING: &str = "Starling";
/// The `lang` of every page.
pub const LANGUAGE: &str = "en";

pub const FRONT_PAGE: &str = "Go to the front page";
pub const LOG_IN: &str = "Log in";
pub const LOG_OUT: &str = "Log out";
pub const REGISTER: &str = "Register";
pub const OPTIONAL: &str = "optional";

/// The front page.
pub mod home {
    pub const HEADING: &str = "Create a room. Share its link. Start talking.";
    pub const INTRODUCTION: &str = "Starling is a chat server that you run yourself. Quick rooms need no account, and sent messages don’t get lost.";
    pub const ACCOUNT: &str = "Account";
    pub const CREATE_ROOM: &str = "Create a room";
    pub const ROOM_NAME: &str = "Room name";
    pub const ROOM_NAME_EXAMPLE: &str = "Friday lunch";
    pub const CREATE: &str = "Create room";
    pub const JOIN_ROOM: &str = "Join a room";
    pub const ROOM_LINK: &str = "Room link or ID";
    pub const ROOM_LINK_EXAMPLE: &str = "Paste it here";
    pub const JOIN: &str = "Join room";
    pub const RECENT_ROOMS: &str = "Recent rooms";
    pub const CLEAR_RECENT: &str = "Clear list";
    pub const NEEDS_SCRIPTS: &str = "Rooms need JavaScript. Allow it for this page to create or join one.";
}

/// The page of a quick room.
pub mod room {
    /// The title of a room without a name.
    pub const UNNAMED: &str = "Quick room";
    pub const HOME_LINK: &str = "Starling, front page";
    pub const COPY_LINK: &str = "Copy link";
    pub const COPY_LINK_LONG: &str = "Copy the link to this room";
    pub const PEOPLE_HERE: &str = "People here";
    pub const NEEDS_SCRIPTS: &str = "Rooms need JavaScript. Allow it for this page to join.";
    pub const JOIN_HEADING: &str = "Join the room";
    /// The question is `What should people in ROOM call you?`.
    pub const NAME_QUESTION: (&str, &str) = ("What should people in ", " call you?");
    pub const NAME: &str = "Your name";
    pub const JOIN: &str = "Join";
    pub const USE_HERE: &str = "Use it here";
    pub const MESSAGES: &str = "Messages";
    pub const MESSAGE: &str = "Message";
    pub const MESSAGE_EXAMPLE: &str = "Write a message";
    pub const SEND: &str = "Send";
    /// `You are NAME.`
    pub const YOU_ARE: (&str, &str) = ("You are ", ".");
    pub const CHANGE_NAME: &str = "Change name";
    pub const MEMBER: &str = "member";
    pub const TRY_AGAIN: &str = "Try again";
    pub const DISCARD: &str = "Discard";
}

/// The form pages: log in, register, set up, reset a password.
pub mod account {
    pub const USERNAME: &str = "Username";
    pub const DISPLAY_NAME: &str = "Display name";
    pub const PASSWORD: &str = "Password";
    pub const NEW_PASSWORD: &str = "New password";
    pub const PASSWORD_RULE: &str = "at least 8 characters";
    pub const INVITE: &str = "Invite code";

    pub const LOGIN_DETAIL: &str = "Your account works on every server of this service.";
    pub const PASSWORD_CHANGED: &str = "Your password was changed. Log in with the new one.";
    pub const NO_ACCOUNT: &str = "No account yet?";
    pub const FORGOT_PASSWORD: &str = "Forgot your password? Ask an administrator for a reset link.";

    pub const REGISTER_HEADING: &str = "Create an account";
    /// The link to the API stands between the two.
    pub const REGISTER_DETAIL: (&str, &str) = (
        "People find you by your username and see your display name. Use your account in quick rooms, and in programs \
         through the ",
        ". Member rooms can’t be opened in the browser yet.",
    );
    pub const API: &str = "API";
    pub const CREATE_ACCOUNT: &str = "Create account";
    pub const HAVE_ACCOUNT: &str = "Already have an account?";

    pub const SETUP: &str = "Set up";
    pub const SETUP_HEADING: &str = "Create the first account";
    pub const SETUP_DETAIL: &str = "This account administers the server: it can disable accounts and help people who forgot their password. \
         This page stops working once the account exists.";

    pub const RESET_HEADING: &str = "Choose a new password";
    /// `For USERNAME. …`
    pub const RESET_DETAIL: (&str, &str) = ("For ", ". You will be logged out everywhere.");
    pub const CHANGE_PASSWORD: &str = "Change password";
}

/// The page of an invite.
pub mod invite {
    pub const TITLE: &str = "Invite";
    pub const HEADING: &str = "You’re invited to a room";
    /// `You will join as NAME.`
    pub const JOIN_AS: (&str, &str) = ("You will join as ", ".");
    pub const JOIN: &str = "Join room";
    pub const NEEDS_ACCOUNT: &str =
        "You need an account to join this room. Log in, and you’ll come back to this page.";
    /// `You joined ROOM`
    pub const JOINED: &str = "You joined ";
    /// The link to the API stands between the two.
    pub const JOINED_DETAIL: (&str, &str) = (
        "You’re a member now. This room has no chat page yet: programs can read and write messages through the ",
        ".",
    );
}

/// Error pages: a title, and a detail unless it comes from a service.
pub mod error {
    pub const NOT_FOUND: &str = "Page not found";
    pub const NOT_FOUND_DETAIL: &str = "There is nothing at this address. Check the link.";
    pub const NO_SUCH_ROOM: &str = "This room doesn’t exist";
    pub const NO_SUCH_ROOM_DETAIL: &str =
        "Check the link: part of it may be missing, or the room may have expired.";
    pub const GUESTS_DISABLED: &str = "Quick rooms are turned off";
    pub const GUESTS_DISABLED_DETAIL: &str = "This server has only rooms that need an account.";
    pub const FOREIGN_FORM: &str = "This form can’t be used from another site";
    pub const SETUP_CLOSED: &str = "This setup link doesn’t work";
    pub const STILL_LOGGED_IN: &str = "You’re still logged in";
    pub const REGISTRATION_CLOSED: &str = "Registration is closed";
    pub const INVITE_INVALID: &str = "This invite doesn’t work";
    pub const NOT_JOINED: &str = "You didn’t join the room";
    /// The title if a link may be valid, but this node can't tell or act now.
    pub const NOT_NOW: &str = "This didn’t work";
    pub const RESET_INVALID: &str = "This link doesn’t work anymore";

    // Details of problems: `error_page` adds the capital and the full stop.
    pub const SETUP_CLOSED_PROBLEM: &str = "the first account already exists, or part of the link is missing";
    pub const REGISTRATION_CLOSED_PROBLEM: &str =
        "only the operators of this server can create accounts; ask them for one";
    pub const INVITE_INVALID_PROBLEM: &str = "part of the link is missing or mistyped; copy the whole link";
}

/// The API documentation.
pub mod docs {
    use std::fmt::Display;

    pub const TITLE: &str = "Starling HTTP API";
    pub const HEADING: &str = "HTTP API";
    pub const CONTENTS: &str = "Contents";
    /// `Version VERSION. For programs: openapi.json.`
    pub const VERSION: (&str, &str) = ("Version ", ". For programs: ");
    pub const FRAMES: &str = "WebSocket frames";
    pub const ERRORS: &str = "Errors";
    /// `Every error is a Problem with one of these codes.`
    pub const ERRORS_DETAIL: (&str, &str) = ("Every error is a ", " with one of these codes.");
    pub const PROBLEM: &str = "Problem";
    pub const OBJECTS: &str = "Objects";
    pub const NEEDS_AUTHENTICATION: &str = "Requires authentication.";
    pub const PARAMETERS: &str = "Parameters";
    pub const BODY: &str = "Body";
    pub const RESPONSES: &str = "Responses";
    pub const REQUIRED: &str = "required";
    pub const SERVER_SENDS: &str = "The server sends";
    pub const CLIENT_SENDS: &str = "You send";
    pub const EXAMPLE: &str = "Example";

    /// Between two types, such as `string or null`.
    pub const OR: &str = " or ";
    /// Between two types whose fields are combined.
    pub const WITH: &str = " with ";
    /// Between `List` and the type of its items, in the title of a schema.
    pub const OF: &str = " of ";
    pub const LIST_OF: &str = "list of ";
    pub const OBJECT_OF: &str = "object of ";
    pub const ANYTHING: &str = "anything";

    pub fn at_most(most: impl Display) -> String {
        format!("at most {most}")
    }

    pub fn at_least(least: impl Display) -> String {
        format!("at least {least}")
    }

    pub fn between(least: impl Display, most: impl Display) -> String {
        format!("{least} to {most}")
    }

    /// The length of a text; `range` is one of the three above.
    pub fn characters(range: impl Display) -> String {
        format!("{range} characters")
    }

    /// The length of a list; `range` is one of those above.
    pub fn items(range: impl Display) -> String {
        format!("{range} items")
    }

    pub fn default_value(value: impl Display) -> String {
        format!("default {value}")
    }
}

/// Returns the title of a browser's tab.
pub fn title(page: &str) -> String {
    format!("{page} – {STARLING}")
}
