// The messages of a room on the page: each id once, in the order of `pos`, unsent ones last.
// Messages before `loadedFrom` have not been loaded; one that sorts there is shown when its page is loaded.

import { group } from "./grouping.js";
import { draw } from "./message.js";

const UNSENT = "\uffff"; // Sorts after every pos.

export class Timeline {
  ownName = null;
  loadedFrom = null;
  #entries = [];
  #byId = new Map();
  #unsent = 0;

  constructor(list) {
    this.list = list;
  }

  has(id) {
    return this.#byId.has(id);
  }

  // Shows or updates a message. Returns true if it is new.
  put(message) {
    const known = this.#byId.get(message.id);
    if (!known && this.loadedFrom !== null && message.pos < this.loadedFrom) return false;
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
    this.#take(index);
  }

  // Removes all messages except those for which `keeps(id)`, and all notices.
  clear(keeps) {
    this.#entries = this.#entries.filter(({ message }) => keeps(message.id) || !this.#byId.delete(message.id));
    this.list.replaceChildren(...this.#entries.map(({ element }) => element));
    this.loadedFrom = null;
    this.redraw();
  }

  // Removes the oldest messages beyond `max`. The history can load them again. Returns true if there were any.
  trim(max) {
    if (this.#entries.length <= max) return false;
    const gone = this.#entries.splice(0, this.#entries.length - max);
    for (const { message } of gone) this.#byId.delete(message.id);
    const [first] = this.#entries;
    while (this.list.firstElementChild !== first.element) this.list.firstElementChild.remove();
    this.loadedFrom = first.key;
    this.#group(0);
    return true;
  }

  // Needed after midnight, and after you are renamed.
  redraw() {
    for (const [index, entry] of this.#entries.entries()) {
      this.#draw(entry);
      this.#group(index);
    }
  }

  #draw(entry) {
    entry.message.own = entry.message.username === this.ownName;
    entry.element = draw(entry.message, entry.element);
  }

  #group(index) {
    if (index < this.#entries.length) group(this.#entries[index], this.#entries[index - 1]?.message);
  }

  #place(entry, key) {
    const at = entry.key === null ? -1 : this.#entries.indexOf(entry);
    const fits = at >= 0 && !(this.#entries[at - 1]?.key > key) && !(this.#entries[at + 1]?.key < key);
    entry.key = key;
    if (fits) return this.#group(at);
    if (at >= 0) this.#take(at);
    let index = this.#entries.length;
    while (index > 0 && this.#entries[index - 1].key > key) index -= 1;
    this.list.insertBefore(entry.element, this.#entries[index]?.element ?? null);
    this.#entries.splice(index, 0, entry);
    this.#group(index);
    this.#group(index + 1);
  }

  #take(index) {
    const [{ element }] = this.#entries.splice(index, 1);
    element.remove();
    this.#group(index);
  }
}
