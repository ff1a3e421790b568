// The people in the room: how many there are, and the panel that lists them.

import { avatar } from "./avatar.js";
import { texts } from "./texts.js";

const order = new Intl.Collator(undefined, { sensitivity: "base" });

export class People {
  #here = new Set();

  constructor(panel, toggle, onCount) {
    this.panel = panel;
    this.toggle = toggle;
    this.onCount = onCount;
    toggle.addEventListener("click", () => this.#setOpen(toggle.ariaExpanded !== "true"));
    addEventListener("keydown", ({ key }) => key === "Escape" && this.#setOpen(false));
    document.querySelector("#chat").addEventListener("pointerdown", () => this.#setOpen(false));
  }

  set(names, ownName) {
    this.#here = new Set([...names, ownName]);
    this.ownName = ownName;
    this.panel.hidden = this.toggle.hidden = false;
    this.panel.querySelector(".own-name strong").textContent = ownName;
    this.#draw();
  }

  get here() {
    return [...this.#here];
  }

  has(name) {
    return this.#here.has(name);
  }

  setPresent(name, present) {
    if (present) this.#here.add(name);
    else if (name !== this.ownName) this.#here.delete(name);
    this.#draw();
  }

  #setOpen(open) {
    if (this.toggle.ariaExpanded === String(open)) return;
    this.toggle.ariaExpanded = String(open);
    document.body.classList.toggle("shows-people", open);
    if (!open && this.panel.contains(document.activeElement)) this.toggle.focus();
  }

  #draw() {
    const count = this.#here.size;
    this.toggle.querySelector(".count").textContent = count;
    this.onCount(count === 1 ? texts.onlyYou : texts.peopleHere(count));
    const sorted = [...this.#here].sort((one, other) => order.compare(one, other));
    this.panel.querySelector("ul").replaceChildren(...sorted.map((name) => this.#row(name)));
  }

  #row(name) {
    const row = document.createElement("li");
    const label = document.createElement("span");
    label.dir = "auto";
    label.textContent = name;
    row.append(avatar(name), label);
    if (name === this.ownName) {
      row.classList.add("self");
      label.dataset.note = texts.you; // The style sheet shows it behind the name.
    }
    return row;
  }
}
