// Loads earlier messages, page by page, whenever the top of the log comes into sight.

const PAGE = 50;
const AHEAD = "600px 0px 0px 0px";
const BEGINNING = "This is where the room begins. Send its link to whoever should be here.";

export class History {
  #busy = false;
  #complete = false;
  #generation = 0;

  constructor({ seat, timeline, scroller, log, earlier }) {
    Object.assign(this, { seat, timeline, scroller, earlier });
    this.label = earlier.querySelector("p");
    this.sight = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && this.#load(), {
      root: log,
      rootMargin: AHEAD,
    });
  }

  // Looks at the top anew: after a connection was made, after a page came.
  start() {
    if (this.#complete) return;
    this.sight.unobserve(this.earlier);
    this.sight.observe(this.earlier);
  }

  // The top of the log is no longer what was loaded last.
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
    if (!page) return; // The next connection looks again.
    this.#show(page);
    this.start();
  }

  async #page() {
    const query = new URLSearchParams({ roomID: this.seat.room, limit: PAGE });
    if (this.timeline.floor) query.set("before", this.timeline.floor);
    const headers = this.seat.cursor ? { "x-starling-cursor": this.seat.cursor } : {};
    const answer = await fetch(`/room-messages?${query}`, { headers });
    return answer.ok ? answer.json() : null;
  }

  #show({ items, next }) {
    this.scroller.keep(() => {
      this.#complete = items.length === 0 || next === null;
      // Once all is loaded nothing lies below: what comes from beyond a cut link may sort before all that is shown.
      this.timeline.floor = this.#complete ? null : items.at(-1).pos;
      for (const item of items) this.timeline.put({ ...item, state: "sent" });
      this.label.textContent = BEGINNING;
      this.label.hidden = !this.#complete;
    });
  }
}
