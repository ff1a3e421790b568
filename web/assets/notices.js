// Lines between messages that say who joined and who left. Changes in a row share a line, and a join and a leave of one
// person cancel out.

import { timeOfDay } from "./moment.js";
import { LANGUAGE, texts } from "./texts.js";

const NAMES_MAX = 4;
const names = new Intl.ListFormat(LANGUAGE, { type: "conjunction" });
const template = document.querySelector("#notice").content.firstElementChild;

export class Notices {
  #line = null;
  #changes = new Map();

  constructor(list) {
    this.list = list;
  }

  addPresenceChange(name, joined, at) {
    const same = this.#line && this.list.lastElementChild === this.#line;
    if (!same) this.#changes = new Map();
    if (this.#changes.get(name) === !joined) this.#changes.delete(name);
    else this.#changes.set(name, joined);
    if (!same) this.#line = this.list.appendChild(template.cloneNode(true));
    const text = [this.#sentence(true, texts.joined), this.#sentence(false, texts.left)].filter(Boolean).join(" · ");
    if (text) this.#write(text, at);
    else this.#line.remove();
  }

  show(text) {
    this.#line = this.list.appendChild(template.cloneNode(true));
    this.#write(text, new Date());
    this.#line = null;
  }

  #write(text, at) {
    this.#line.querySelector("span").textContent = text;
    this.#line.querySelector("time").textContent = timeOfDay(at);
  }

  #sentence(joined, say) {
    const changed = [...this.#changes].filter(([, value]) => value === joined).map(([name]) => name);
    if (!changed.length) return "";
    const more = changed.length - NAMES_MAX;
    const listed = more > 1 ? [...changed.slice(0, NAMES_MAX), texts.others(more)] : changed;
    return say(names.format(listed));
  }
}
