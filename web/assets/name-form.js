// The form that asks a guest for a name. The browser remembers the name for the next room.

import { avatar } from "./avatar.js";
import { keep, recall } from "./storage.js";
import { texts } from "./texts.js";

export class NameForm {
  constructor(gate, enter) {
    this.portrait = gate.querySelector(".portrait");
    this.field = gate.querySelector("input");
    this.problem = gate.querySelector(".problem");
    this.button = gate.querySelector("button");
    this.field.addEventListener("input", () => this.#drawPortrait());
    gate.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = this.field.value.trim();
      if (!name) return this.ask(texts.nameMissing);
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
    this.#drawPortrait();
    this.field.focus();
    this.field.select();
  }

  #drawPortrait() {
    this.portrait.replaceChildren(avatar(this.field.value.trim() || "?"));
  }
}
