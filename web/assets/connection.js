// The live connection of a room: one WebSocket at a time, replaced when it breaks, until it is closed.
// Calls `on.frame(frame)`, `on.state(name, detail)`, `on.refused(problem)` and `on.sessionEnded()`; after the last two
// it stays closed.

import { backoff } from "./backoff.js";
import { probe } from "./probe.js";

const HANDSHAKE_MAX_MS = 10_000; // A handshake that takes longer belongs to a dead network.
const STABLE_MS = 3_000; // After a connection that lasted this long, back-off starts from the beginning.
const SESSION_ENDED = 4001;
const USE_ANOTHER_NODE = [1001, 4002];

export class Connection {
  live = false;
  #socket = null;
  #wanted = false;
  #timer = 0;
  #attempt = 0;
  #generation = 0; // Counts calls of `close`, so that an outdated probe is recognised.
  #since = 0;
  #blocked = false; // The last probe found nothing wrong, and yet there was no connection.

  constructor(session, on) {
    this.session = session;
    this.on = on;
  }

  open() {
    this.close();
    this.#wanted = true;
    this.on.state("connecting");
    const query = this.session.query();
    this.#socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws?${query}`);
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#socket.onclose = ({ code }) => this.#onClosed(code, query);
    this.#timer = setTimeout(() => this.#onClosed(0, query), HANDSHAKE_MAX_MS);
  }

  send(frame) {
    if (this.live) this.#socket.send(JSON.stringify(frame));
  }

  // Ends a wait for the next attempt. A suspect connection is replaced even if it seems open.
  reconnect(suspect) {
    if (this.#wanted && (suspect || !this.#socket)) this.open();
  }

  close() {
    this.#generation += 1;
    this.#wanted = this.live = false;
    clearTimeout(this.#timer);
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #receive(frame) {
    if (frame.type === "welcome") {
      clearTimeout(this.#timer);
      this.live = true;
      this.#since = Date.now();
      this.on.state("live");
    }
    this.on.frame(frame);
  }

  async #onClosed(code, query) {
    const wasLive = this.live;
    this.close();
    if (code === SESSION_ENDED) return this.on.sessionEnded();
    this.#wanted = true;
    if (wasLive && Date.now() - this.#since > STABLE_MS) this.#attempt = 0;
    const generation = this.#generation;
    const result = wasLive ? {} : await probe(query);
    if (generation !== this.#generation) return; // It was opened or closed meanwhile.
    if (result.final) {
      this.close();
      return this.on.refused(result);
    }
    // The first probe that finds nothing wrong means that the server has just come back.
    const back = result.parametersAccepted && !this.#blocked;
    this.#blocked = result.parametersAccepted;
    if (back) this.#attempt = 0;
    const atOnce = USE_ANOTHER_NODE.includes(code) && this.#attempt === 0;
    this.#retry(atOnce ? 0 : backoff(this.#attempt), result.retry_ms, back ? null : result.why);
  }

  #retry(backoff_ms, retry_after_ms = 0, why = null) {
    const wait_ms = Math.max(backoff_ms, retry_after_ms);
    this.#attempt += 1;
    this.on.state("waiting", { until: Date.now() + wait_ms, why });
    this.#timer = setTimeout(() => this.open(), wait_ms);
  }
}
