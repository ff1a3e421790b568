// All texts that scripts put on the pages, in one language. Texts in the markup are in `pages/texts.rs`.

// Of these texts, for lists of names; dates and times follow the browser's own language.
export const LANGUAGE = "en";

const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;

export const texts = {
  // Composer and log.
  charactersLeft: (count) => `${counted(count, "character", "characters")} left`,
  charactersTooMany: (count) => `${counted(count, "character", "characters")} too many`,
  outboxFull: "Not sent: too many messages are still waiting. Try again once you’re connected.",
  sending: "Sending…",
  notSent: "Not sent",
  copies: (count) => `stored on ${counted(count, "server", "servers")}`,
  newMessages: (count) => counted(count, "new message", "new messages"),
  beginning: "This is the beginning of the room. Share its link to invite people.",
  today: "Today",
  yesterday: "Yesterday",

  // People.
  onlyYou: "Only you are here",
  peopleHere: (count) => `${counted(count, "person", "people")} here`,
  you: "(you)",
  joined: (names) => `${names} joined`,
  left: (names) => `${names} left`,
  others: (count) => counted(count, "other", "others"),
  renamed: (name) => `You appear as ${name} because someone else here has the same name.`,

  // Connection.
  connecting: "Connecting…",
  retryingIn: (seconds) => ` · retrying in ${seconds} s`,
  retrying: " · retrying",
  offline: "You’re offline",
  unreachable: "Can’t reach the server",
  blocked: "Something is blocking the live connection",
  notReady: "The server isn’t ready",

  // Getting into a room.
  unnamedRoom: (id) => `Quick room ${id.slice(0, 4)}…`,
  nameMissing: "Enter a name.",
  loggedOut: "You’ve been logged out. Log in again, or join as a guest.",
  roomGone: "This room no longer exists",
  roomGoneDetail: "Rooms are deleted some time after their last message.",
  openElsewhere: "This chat is open somewhere else",
  openElsewhereDetail: "You can use it in one tab or window at a time.",
  copied: "Copied",
  notCopied: "Copy it from the address bar",

  // Front page.
  tryAgain: "Can’t reach the server. Try again.",
  linkMissing: "Paste a link or a room ID.",
  noSuchRoom: "This room doesn’t exist. Check the link, or ask for a new one: the room may have expired.",
};
