// Who came and who went, in one line between messages; what cancels out is not worth a line.

import { timeOfDay } from "./moment.js";

const NAMED = 4;
const names = new Intl.ListFormat("en", { type: "conjunction" });
const template = document.querySelector("#notice").content.firstElementChild;

export class Notices {
  #line = null;
  #moves = new Map();

  constructor(list) {
    this.list = list;
  }

  move(name, came, at) {
    const same = this.#line && this.list.lastElementChild === this.#line;
    if (!same) this.#moves = new Map();
    if (this.#moves.get(name) === !came) this.#moves.delete(name);
    else this.#moves.set(name, came);
    if (!same) this.#line = this.list.appendChild(template.cloneNode(true));
    const text = [...this.#told(true, "joined"), ...this.#told(false, "left")].join(" · ");
    if (text) this.#write(text, at);
    else this.#line.remove();
  }

  say(text) {
    this.#line = this.list.appendChild(template.cloneNode(true));
    this.#write(text, new Date());
    this.#line = null;
  }

  #write(text, at) {
    this.#line.querySelector("span").textContent = text;
    this.#line.querySelector("time").textContent = timeOfDay(at);
  }

  #told(came, verb) {
    const who = [...this.#moves].filter(([, moved]) => moved === came).map(([name]) => name);
    if (!who.length) return [];
    const more = who.length - NAMED;
    const list = more > 1 ? [...who.slice(0, NAMED), `${more} others`] : who;
    return [`${names.format(list)} ${verb}`];
  }
}
