// Where a message is written: Enter sends, Shift+Enter breaks the line, and the field grows with its text.

import { keep, recall } from "./storage.js";

const TOLD_LEFT = 500; // From here on the field tells how many characters are left.

export class Composer {
  constructor(form, room, post) {
    this.field = form.querySelector("textarea");
    this.button = form.querySelector("button");
    this.left = form.querySelector(".left");
    this.most = Number(form.dataset.charactersMax);
    this.draft = `draft.${room}`;
    this.post = post;
    this.field.value = recall("session", this.draft) ?? "";
    this.field.addEventListener("input", () => this.#look());
    this.field.addEventListener("keydown", (event) => this.#key(event));
    // A tap on the button must not close the keyboard.
    this.button.addEventListener("pointerdown", (event) => event.preventDefault());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#look();
  }

  // Where a keyboard would slide over the room, it waits for a tap.
  focus() {
    if (!matchMedia("(pointer: coarse)").matches) this.field.focus();
  }

  #key(event) {
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    this.#send();
  }

  #send() {
    const body = this.field.value.trimEnd().replace(/^\s*\n/, "");
    if (!body || this.over || !this.post(body)) return;
    this.field.value = "";
    this.#look();
  }

  #room(left) {
    return left < 0 ? `${-left} characters too many` : `${left} characters left`;
  }

  #look() {
    const { field, button, left } = this;
    const spare = this.most - [...field.value.trimEnd()].length;
    this.over = spare < 0;
    left.textContent = spare > TOLD_LEFT ? "" : this.#room(spare);
    left.classList.toggle("over", this.over);
    button.disabled = this.over || !field.value.trim();
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
    keep("session", this.draft, field.value);
  }
}
