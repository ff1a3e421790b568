// The field for a new message: Enter sends, Shift+Enter breaks the line, and the field grows with its text.

import { keep, recall } from "./storage.js";
import { texts } from "./texts.js";

const COUNTER_BELOW = 500; // Shows how many characters are left once there are at most this many.

export class Composer {
  #tooLong = false;

  constructor(form, room, post) {
    this.field = form.querySelector("textarea");
    this.button = form.querySelector("button");
    this.counter = form.querySelector(".characters-left");
    this.charactersMax = Number(form.dataset.charactersMax);
    this.draft = `draft.${room}`;
    this.post = post;
    this.field.value = recall("session", this.draft) ?? "";
    this.field.addEventListener("input", () => this.#update());
    this.field.addEventListener("keydown", (event) => this.#onKey(event));
    // A tap on the button must not close the keyboard.
    this.button.addEventListener("pointerdown", (event) => event.preventDefault());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#update();
  }

  // Not on touch screens, where the keyboard would cover the room.
  focus() {
    if (!matchMedia("(pointer: coarse)").matches) this.field.focus();
  }

  #onKey(event) {
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    this.#send();
  }

  #send() {
    const body = this.field.value.trimEnd().replace(/^\s*\n/, "");
    if (!body || this.#tooLong || !this.post(body)) return;
    this.field.value = "";
    this.#update();
  }

  #update() {
    const { field, button, counter } = this;
    const left = this.charactersMax - [...field.value.trimEnd()].length;
    this.#tooLong = left < 0;
    counter.textContent =
      left > COUNTER_BELOW ? "" : this.#tooLong ? texts.charactersTooMany(-left) : texts.charactersLeft(left);
    counter.classList.toggle("over", this.#tooLong);
    button.disabled = this.#tooLong || !field.value.trim();
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
    keep("session", this.draft, field.value);
  }
}
