// The line under the room's name: how many people are here, or else what is wrong and when the next attempt comes.

import { texts } from "./texts.js";

const QUICK_MS = 600; // A reconnect that is quicker than this is not shown.
const TICK_MS = 250;

export class Status {
  #timer = 0;
  #presence = "";
  #troubled = false;

  constructor(element) {
    [this.main, this.aside] = element.children;
  }

  setPresence(text) {
    this.#presence = text;
    if (document.body.dataset.connection === "live") this.#write(text);
  }

  setConnection(state, { until, why } = {}) {
    document.body.dataset.connection = state;
    if (state === "live" || state === "off") {
      this.#troubled = false;
      this.#write(state === "live" ? this.#presence : "");
    } else if (why) {
      this.#troubled = true;
      this.#countDown(why, until);
    } else if (!this.#troubled && !this.#timer) {
      this.#timer = setTimeout(() => this.#write(texts.connecting), QUICK_MS);
    }
  }

  #write(text, aside = "") {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.main.textContent !== text) this.main.textContent = text;
    this.aside.textContent = aside;
  }

  // The seconds are hidden from screen readers, which would read each one aloud.
  #countDown(why, until) {
    const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1_000));
    this.#write(why, seconds ? texts.retryingIn(seconds) : texts.retrying);
    if (seconds) this.#timer = setTimeout(() => this.#countDown(why, until), TICK_MS);
  }
}
