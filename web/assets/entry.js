// The gate of a room: asks a guest for a name, which this browser remembers for the next room.

import { egg } from "./avatar.js";
import { keep, recall } from "./storage.js";

export class Entry {
  constructor(gate, enter) {
    this.portrait = gate.querySelector(".portrait");
    this.field = gate.querySelector("input");
    this.problem = gate.querySelector(".problem");
    this.button = gate.querySelector("button");
    this.field.addEventListener("input", () => this.#paint());
    gate.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = this.field.value.trim();
      if (!name) return this.ask("Please write a name.");
      this.button.disabled = true;
      this.problem.textContent = "";
      keep("local", "name", name);
      enter(name);
    });
  }

  ask(problem = "", name = recall("local", "name")) {
    this.field.value = name ?? "";
    this.button.disabled = false;
    this.problem.textContent = problem;
    this.field.ariaInvalid = String(Boolean(problem));
    this.#paint();
    this.field.focus();
    this.field.select();
  }

  #paint() {
    this.portrait.replaceChildren(egg(this.field.value.trim() || "?"));
  }
}
