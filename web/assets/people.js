// Who is in the room now: the count, and the panel that lists them.

import { egg } from "./avatar.js";

const order = new Intl.Collator(undefined, { sensitivity: "base" });

export class People {
  #here = new Set();

  constructor(panel, toggle, tell) {
    this.panel = panel;
    this.toggle = toggle;
    this.tell = tell;
    toggle.addEventListener("click", () => this.#open(toggle.ariaExpanded !== "true"));
    addEventListener("keydown", ({ key }) => key === "Escape" && this.#open(false));
    document.querySelector("#chat").addEventListener("pointerdown", () => this.#open(false));
  }

  set(names, me) {
    this.#here = new Set([...names, me]);
    this.me = me;
    this.panel.hidden = this.toggle.hidden = false;
    this.panel.querySelector(".me strong").textContent = me;
    this.#draw();
  }

  get here() {
    return [...this.#here];
  }

  has(name) {
    return this.#here.has(name);
  }

  move(name, came) {
    if (came) this.#here.add(name);
    else if (name !== this.me) this.#here.delete(name);
    this.#draw();
  }

  #open(open) {
    if (this.toggle.ariaExpanded === String(open)) return;
    this.toggle.ariaExpanded = String(open);
    document.body.classList.toggle("shows-people", open);
    if (!open && this.panel.contains(document.activeElement)) this.toggle.focus();
  }

  #draw() {
    const count = this.#here.size;
    this.toggle.querySelector(".count").textContent = count;
    this.tell(count === 1 ? "Only you are here" : `${count} people here`);
    const sorted = [...this.#here].sort((one, other) => order.compare(one, other));
    this.panel.querySelector("ul").replaceChildren(...sorted.map((name) => this.#row(name)));
  }

  #row(name) {
    const row = document.createElement("li");
    const label = document.createElement("span");
    label.dir = "auto";
    label.textContent = name;
    row.append(egg(name), label);
    row.classList.toggle("self", name === this.me);
    return row;
  }
}
