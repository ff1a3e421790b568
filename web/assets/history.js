// Loads earlier messages, page by page, when the top of the log comes into sight.

import { texts } from "./texts.js";

const PAGE = 50;
const AHEAD = "600px 0px 0px 0px";

export class History {
  #busy = false;
  #complete = false;
  #generation = 0;

  constructor({ session, timeline, scroller, log, earlier }) {
    Object.assign(this, { session, timeline, scroller, earlier });
    this.label = earlier.querySelector("p");
    this.sight = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && this.#load(), {
      root: log,
      rootMargin: AHEAD,
    });
  }

  // Loads a page if the top is in sight: after a connection was made, or after a page came.
  start() {
    if (this.#complete) return;
    this.sight.unobserve(this.earlier);
    this.sight.observe(this.earlier);
  }

  // The log now begins with other messages than those loaded last.
  reset() {
    this.#generation += 1;
    this.#busy = this.#complete = false;
    this.label.hidden = true;
    this.sight.unobserve(this.earlier);
  }

  async #load() {
    if (this.#busy || this.#complete) return;
    this.#busy = true;
    const generation = this.#generation;
    const page = await this.#page().catch(() => null);
    if (generation !== this.#generation) return;
    this.#busy = false;
    if (!page) return; // The next connection tries again.
    this.#show(page);
    this.start();
  }

  async #page() {
    const query = new URLSearchParams({ roomID: this.session.room, limit: PAGE });
    if (this.timeline.loadedFrom) query.set("before", this.timeline.loadedFrom);
    const headers = this.session.cursor ? { "x-starling-cursor": this.session.cursor } : {};
    const answer = await fetch(`/room-messages?${query}`, { headers });
    return answer.ok ? answer.json() : null;
  }

  #show({ items, next }) {
    this.scroller.preservePosition(() => {
      this.#complete = items.length === 0 || next === null;
      // Once all is loaded there is no lower bound: a message from a node that was cut off may sort before all others.
      this.timeline.loadedFrom = this.#complete ? null : items.at(-1).pos;
      for (const item of items) this.timeline.put({ ...item, state: "sent" });
      this.label.textContent = texts.beginning;
      this.label.hidden = !this.#complete;
    });
  }
}
