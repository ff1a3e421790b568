// The messages of a room on the page: each id once, in the order of `pos`, unsent ones last.
// Below `floor` lies what has not been loaded; a message that sorts there comes with its page, not before.

import { dress } from "./headings.js";
import { draw } from "./message.js";

const UNSENT = "\uffff"; // Sorts after every pos.

export class Timeline {
  me = null;
  floor = null;
  #entries = [];
  #byId = new Map();
  #unsent = 0;

  constructor(list) {
    this.list = list;
  }

  has(id) {
    return this.#byId.has(id);
  }

  // Shows the message, or what is new about it; true if it was not shown before.
  put(message) {
    const known = this.#byId.get(message.id);
    if (!known && this.floor !== null && message.pos < this.floor) return false;
    const entry = known ?? { key: null };
    entry.message = { ...entry.message, ...message };
    this.#draw(entry);
    this.#byId.set(message.id, entry);
    this.#place(entry, message.pos ?? entry.key ?? UNSENT + String((this.#unsent += 1)).padStart(9, "0"));
    return !known;
  }

  remove(id) {
    const index = this.#entries.indexOf(this.#byId.get(id));
    if (index < 0) return;
    this.#byId.delete(id);
    this.#lift(index);
  }

  // Everything goes but what `keeps(id)`, and with it whatever else stood in the list.
  clear(keeps) {
    this.#entries = this.#entries.filter(({ message }) => keeps(message.id) || !this.#byId.delete(message.id));
    this.list.replaceChildren(...this.#entries.map(({ element }) => element));
    this.floor = null;
    this.redraw();
  }

  // Forgets the oldest beyond `most`; they can be loaded again.
  trim(most) {
    if (this.#entries.length <= most) return false;
    const gone = this.#entries.splice(0, this.#entries.length - most);
    for (const { message } of gone) this.#byId.delete(message.id);
    const [first] = this.#entries;
    while (this.list.firstElementChild !== first.element) this.list.firstElementChild.remove();
    this.floor = first.key;
    this.#dress(0);
    return true;
  }

  // Days turn and people are renamed.
  redraw() {
    for (const [index, entry] of this.#entries.entries()) {
      this.#draw(entry);
      this.#dress(index);
    }
  }

  #draw(entry) {
    entry.message.own = entry.message.username === this.me;
    entry.element = draw(entry.message, entry.element);
  }

  #dress(index) {
    if (index < this.#entries.length) dress(this.#entries[index], this.#entries[index - 1]?.message);
  }

  #place(entry, key) {
    const at = entry.key === null ? -1 : this.#entries.indexOf(entry);
    const fits = at >= 0 && !(this.#entries[at - 1]?.key > key) && !(this.#entries[at + 1]?.key < key);
    entry.key = key;
    if (fits) return this.#dress(at);
    if (at >= 0) this.#lift(at);
    let index = this.#entries.length;
    while (index > 0 && this.#entries[index - 1].key > key) index -= 1;
    this.list.insertBefore(entry.element, this.#entries[index]?.element ?? null);
    this.#entries.splice(index, 0, entry);
    this.#dress(index);
    this.#dress(index + 1);
  }

  #lift(index) {
    const [{ element }] = this.#entries.splice(index, 1);
    element.remove();
    this.#dress(index);
  }
}
