// The state of this tab's session in a room: your name (a guest's, or the username you are logged in with) and where
// to resume (the cursor, and the greatest pos received). It survives a reload, and a lost connection resumes from it.

import { keep, recall } from "./storage.js";

export class SessionState {
  name = null;
  accountName = null; // Null for guests.
  cursor = null;
  after = null;
  #key;

  // `accountName` is the username of a visitor who is logged in; it replaces the name of whoever used this tab before.
  constructor(room, accountName = null) {
    this.room = room;
    this.#key = `seat.${room}`; // This and `me` below are the stored names, which tabs that are open during an upgrade know.
    const { me = null, ...stored } = recall("session", this.#key) ?? {};
    Object.assign(this, stored, { accountName: me });
    if (accountName !== this.accountName) this.#setIdentity(accountName, accountName);
  }

  enterAsGuest(name) {
    this.#setIdentity(name, null);
  }

  setCursor(cursor) {
    this.cursor = cursor;
    this.#save();
  }

  received(pos) {
    if (this.after === null || pos > this.after) this.after = pos;
  }

  query() {
    const query = new URLSearchParams({ roomID: this.room });
    if (!this.accountName) query.set("username", this.name); // The server knows users with an account by their cookie.
    if (this.cursor) query.set("cursor", this.cursor);
    if (this.after) query.set("after", this.after);
    return query;
  }

  // A cursor resumes as the person it was sealed for, so a new name starts without one.
  #setIdentity(name, accountName) {
    if (name !== this.name || accountName !== this.accountName) this.cursor = this.after = null;
    Object.assign(this, { name, accountName });
    this.#save();
  }

  #save() {
    const { name, accountName: me, cursor, after } = this;
    keep("session", this.#key, { name, me, cursor, after });
  }
}
