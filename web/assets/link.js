// The live connection of a room: one WebSocket at a time, renewed for as long as the room wants it.
// `on` hears `frame(frame)`, `state(name, detail)`, `refused(problem)` and `taken()`; after the last two it rests.

import { backoff } from "./backoff.js";
import { probe } from "./probe.js";

const PATIENCE_MS = 10_000; // A handshake that takes longer belongs to a dead network.
const SETTLED_MS = 3_000; // What lived this long was a good connection: back-off starts anew.
const TAKEN_OVER = 4001;
const ELSEWHERE_NOW = [1001, 4002];

export class Link {
  live = false;
  #socket = null;
  #wanted = false;
  #timer = 0;
  #attempt = 0;
  #turn = 0;
  #since = 0;
  #hindered = false;

  constructor(seat, on) {
    this.seat = seat;
    this.on = on;
  }

  open() {
    this.close();
    this.#wanted = true;
    this.on.state("connecting");
    const query = this.seat.query();
    this.#socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws?${query}`);
    this.#socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    this.#socket.onclose = ({ code }) => this.#lost(code, query);
    this.#timer = setTimeout(() => this.#lost(0, query), PATIENCE_MS);
  }

  send(frame) {
    if (this.live) this.#socket.send(JSON.stringify(frame));
  }

  // The network or the page came back: don't wait any longer. A suspect connection is replaced even if it seems well.
  wake(suspect) {
    if (this.#wanted && (suspect || !this.#socket)) this.open();
  }

  close() {
    this.#turn += 1;
    this.#wanted = this.live = false;
    clearTimeout(this.#timer);
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #hear(frame) {
    if (frame.type === "welcome") {
      clearTimeout(this.#timer);
      this.live = true;
      this.#since = Date.now();
      this.on.state("live");
    }
    this.on.frame(frame);
  }

  async #lost(code, query) {
    const lived = this.live;
    this.close();
    if (code === TAKEN_OVER) return this.on.taken();
    this.#wanted = true;
    if (lived && Date.now() - this.#since > SETTLED_MS) this.#attempt = 0;
    const turn = this.#turn;
    const problem = lived ? {} : await probe(query);
    if (turn !== this.#turn) return; // Meanwhile someone opened or closed it.
    if (problem.final) {
      this.close();
      return this.on.refused(problem);
    }
    // The first time that nothing is wrong, the server has just come back.
    const back = problem.passed && !this.#hindered;
    this.#hindered = problem.passed;
    if (back) this.#attempt = 0;
    const at_once = ELSEWHERE_NOW.includes(code) && this.#attempt === 0;
    this.#retry(at_once ? 0 : backoff(this.#attempt), problem.retry_ms, back ? null : problem.why);
  }

  #retry(pause_ms, least_ms = 0, why = null) {
    const wait_ms = Math.max(pause_ms, least_ms);
    this.#attempt += 1;
    this.on.state("waiting", { until: Date.now() + wait_ms, why });
    this.#timer = setTimeout(() => this.open(), wait_ms);
  }
}
