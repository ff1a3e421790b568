// Lines between messages that say who joined and who left. Moves in a row share a line, and a join and a leave of one
// person cancel out.

import { timeOfDay } from "./moment.js";
import { LANGUAGE, texts } from "./texts.js";

const NAMES_MAX = 4;
const names = new Intl.ListFormat(LANGUAGE, { type: "conjunction" });
const template = document.querySelector("#notice").content.firstElementChild;

export class Notices {
  #line = null;
  #moves = new Map();

  constructor(list) {
    this.list = list;
  }

  addMove(name, joined, at) {
    const same = this.#line && this.list.lastElementChild === this.#line;
    if (!same) this.#moves = new Map();
    if (this.#moves.get(name) === !joined) this.#moves.delete(name);
    else this.#moves.set(name, joined);
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
    const moved = [...this.#moves].filter(([, value]) => value === joined).map(([name]) => name);
    if (!moved.length) return "";
    const more = moved.length - NAMES_MAX;
    const listed = more > 1 ? [...moved.slice(0, NAMES_MAX), texts.others(more)] : moved;
    return say(names.format(listed));
  }
}
