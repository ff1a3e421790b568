// The state of this tab's session in a room: your name (a guest's, or the username you are logged in with) and where
// to resume (the cursor, and the greatest pos received). It survives a reload, and a lost connection resumes from it.

import { keep, recall } from "./storage.js";

export class SessionState {
  name = null;
  me = null;
  cursor = null;
  after = null;
  #key;

  // `me` is the username of a visitor who is logged in; it replaces the name of whoever used this tab before.
  constructor(room, me = null) {
    this.room = room;
    this.#key = `seat.${room}`; // Tabs that are open during an upgrade have stored it under this key.
    Object.assign(this, recall("session", this.#key));
    if (me !== this.me) this.#setIdentity(me, me);
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
    if (!this.me) query.set("username", this.name); // The server knows members by their cookie.
    if (this.cursor) query.set("cursor", this.cursor);
    if (this.after) query.set("after", this.after);
    return query;
  }

  // A cursor is sealed for one name and is refused under another.
  #setIdentity(name, me) {
    if (name !== this.name || me !== this.me) this.cursor = this.after = null;
    Object.assign(this, { name, me });
    this.#save();
  }

  #save() {
    const { name, me, cursor, after } = this;
    keep("session", this.#key, { name, me, cursor, after });
  }
}
