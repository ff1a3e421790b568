// The seat that this tab holds in a room: the guest's name, the cursor to resume from, the greatest pos seen.
// It outlives a reload, and a cut connection is resumed from it.

import { keep, recall } from "./storage.js";

export class Seat {
  name = null;
  cursor = null;
  after = null;
  #key;

  constructor(room) {
    this.room = room;
    this.#key = `seat.${room}`;
    Object.assign(this, recall("session", this.#key));
  }

  // Under another name one is another guest, and the cursor was sealed for the first.
  take(name) {
    if (name !== this.name) this.cursor = this.after = null;
    this.name = name;
    this.#save();
  }

  mark(cursor) {
    this.cursor = cursor;
    this.#save();
  }

  saw(pos) {
    if (this.after === null || pos > this.after) this.after = pos;
  }

  query() {
    const query = new URLSearchParams({ roomID: this.room, username: this.name });
    if (this.cursor) query.set("cursor", this.cursor);
    if (this.after) query.set("after", this.after);
    return query;
  }

  #save() {
    keep("session", this.#key, { name: this.name, cursor: this.cursor, after: this.after });
  }
}
