// Brings each message of the outbox to the server until it is acked: at once, again after a reconnect, and
// again a little later if the server was merely busy. Doubts a connection on which no ack comes.

const OVERDUE_MS = 10_000;
const LATER_MS = 2_000;
const PASSING = new Set(["rate_limited", "overloaded", "unavailable", "draining"]);

export class Delivery {
  #overdue = 0;

  constructor(outbox, link) {
    this.outbox = outbox;
    this.link = link;
  }

  post(message) {
    this.outbox.put(message);
    this.#send(message);
  }

  resume() {
    for (const message of this.outbox) if (message.state !== "failed") this.#send(message);
  }

  acked(id) {
    this.outbox.drop(id);
    this.#watch();
  }

  // What became of the refused message: the same that will be tried again, or failed.
  refused(id, { code, detail }) {
    const message = this.outbox.get(id);
    if (!message) return null;
    if (PASSING.has(code)) {
      setTimeout(() => this.outbox.get(id) && this.#send(message), LATER_MS);
    } else {
      this.outbox.put({ ...message, state: "failed", detail });
    }
    this.#watch();
    return this.outbox.get(id);
  }

  #send({ id, body }) {
    this.link.send({ id, body });
    if (!this.#overdue) this.#watch();
  }

  #watch() {
    clearTimeout(this.#overdue);
    const waiting = [...this.outbox].some((message) => message.state !== "failed");
    this.#overdue = waiting ? setTimeout(() => this.#doubt(), OVERDUE_MS) : 0;
  }

  #doubt() {
    this.#overdue = 0;
    if (this.link.live) this.link.wake(true);
  }
}
