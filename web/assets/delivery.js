// Sends each message of the outbox until it is acked: at once, again after a reconnect, and again a little later
// if the server was merely busy. Replaces a connection on which no ack comes.

const ACK_TIMEOUT_MS = 10_000;
const RETRY_MS = 2_000;
const RETRYABLE = new Set(["rate_limited", "overloaded", "unavailable", "draining"]);

export class Delivery {
  #timer = 0;

  constructor(outbox, connection) {
    this.outbox = outbox;
    this.connection = connection;
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

  // Returns the refused message, marked as failed unless it will be tried again.
  refused(id, { code, detail }) {
    const message = this.outbox.get(id);
    if (!message) return null;
    if (RETRYABLE.has(code)) {
      setTimeout(() => this.outbox.get(id) && this.#send(message), RETRY_MS);
    } else {
      this.outbox.put({ ...message, state: "failed", detail });
    }
    this.#watch();
    return this.outbox.get(id);
  }

  #send({ id, body }) {
    this.connection.send({ id, body });
    if (!this.#timer) this.#watch();
  }

  #watch() {
    clearTimeout(this.#timer);
    const waiting = [...this.outbox].some((message) => message.state !== "failed");
    this.#timer = waiting ? setTimeout(() => this.#onTimeout(), ACK_TIMEOUT_MS) : 0;
  }

  #onTimeout() {
    this.#timer = 0;
    if (this.connection.live) this.connection.reconnect(true);
  }
}
