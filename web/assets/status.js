// The line under the room's name: who is here while all is well, otherwise what is wrong and when it is tried again.

const PATIENCE_MS = 600; // A reconnect that is quicker than this is nobody's concern.
const TICK_MS = 250;

export class Status {
  #timer = 0;
  #present = "";
  #troubled = false;

  constructor(element) {
    [this.main, this.aside] = element.children;
  }

  present(text) {
    this.#present = text;
    if (document.body.dataset.link === "live") this.#say(text);
  }

  show(link, { until, why } = {}) {
    document.body.dataset.link = link;
    if (link === "live" || link === "off") {
      this.#troubled = false;
      this.#say(link === "live" ? this.#present : "");
    } else if (why) {
      this.#troubled = true;
      this.#count(why, until);
    } else if (!this.#troubled && !this.#timer) {
      this.#timer = setTimeout(() => this.#say("Connecting…"), PATIENCE_MS);
    }
  }

  #say(text, aside = "") {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.main.textContent !== text) this.main.textContent = text;
    this.aside.textContent = aside;
  }

  // Seconds are for the eye only: read aloud they would drown the chat.
  #count(why, until) {
    const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1_000));
    this.#say(why, seconds ? ` · retrying in ${seconds} s` : " · retrying");
    if (seconds) this.#timer = setTimeout(() => this.#count(why, until), TICK_MS);
  }
}
