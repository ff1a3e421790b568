// The seat that this tab holds in a room: the guest's name, or who is logged in; the cursor to resume from, the greatest
// pos seen.
// It outlives a reload, and a cut connection is resumed from it.

import { keep, recall } from "./storage.js";

export class Seat {
  name = null;
  me = null;
  cursor = null;
  after = null;
  #key;

  // Whoever is logged in sits here as himself, under his username, whoever sat here before.
  constructor(room, me = null) {
    this.room = room;
    this.#key = `seat.${room}`;
    Object.assign(this, recall("session", this.#key));
    if (me !== this.me) this.#seat(me, me);
  }

  // As a guest.
  take(name) {
    this.#seat(name, null);
  }

  mark(cursor) {
    this.cursor = cursor;
    this.#save();
  }

  saw(pos) {
    if (this.after === null || pos > this.after) this.after = pos;
  }

  query() {
    const query = new URLSearchParams({ roomID: this.room });
    if (!this.me) query.set("username", this.name); // The server knows him by his cookie.
    if (this.cursor) query.set("cursor", this.cursor);
    if (this.after) query.set("after", this.after);
    return query;
  }

  // Under another name one is somebody else, and the cursor was sealed for the first.
  #seat(name, me) {
    if (name !== this.name || me !== this.me) this.cursor = this.after = null;
    Object.assign(this, { name, me });
    this.#save();
  }

  #save() {
    const { name, me, cursor, after } = this;
    keep("session", this.#key, { name, me, cursor, after });
  }
}
