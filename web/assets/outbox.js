// Messages that you wrote and the server has not acked. They survive a reload.

import { keep, recall } from "./storage.js";

const LIMIT = 100; // At 8,000 characters each, they fit into the storage that browsers give a tab.

export class Outbox {
  #key;
  #messages;

  constructor(room) {
    this.#key = `outbox.${room}`;
    this.#messages = new Map((recall("session", this.#key) ?? []).map((message) => [message.id, message]));
  }

  get full() {
    return this.#messages.size >= LIMIT;
  }

  get(id) {
    return this.#messages.get(id);
  }

  put(message) {
    this.#messages.set(message.id, message);
    this.#save();
  }

  drop(id) {
    if (this.#messages.delete(id)) this.#save();
  }

  [Symbol.iterator]() {
    return this.#messages.values();
  }

  #save() {
    keep("session", this.#key, [...this]);
  }
}
