// Shared by the tests of the room's scripts: the list of tests, a fake node, and helpers that read the page.

globalThis.tests = [];

export function test(name, run) {
  globalThis.tests.push({ name, run });
}

// Runs one test; null, or why it failed.
globalThis.run = async (number) => {
  sessionStorage.clear();
  localStorage.clear();
  try {
    await globalThis.tests[number].run();
    return null;
  } catch (error) {
    return String(error.stack ?? error);
  }
};

export function equal(found, expected, what = "") {
  const [one, other] = [found, expected].map((value) => JSON.stringify(value));
  if (one !== other) throw new Error(`${what}: found ${one}, expected ${other}`);
}

const PATIENCE_MS = 20_000;
const LOOK_MS = 5;
const pause = (ms) =>
  new Promise((done) => {
    setTimeout(done, ms);
  });

// Waits until the predicate holds, whatever the page's clock shows.
export async function until(predicate, what = String(predicate)) {
  const end = performance.now() + PATIENCE_MS;
  while (!predicate()) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`);
    await pause(LOOK_MS);
  }
}

// Waits until the page has been drawn, and so has heard of what was scrolled.
export const drawn = () =>
  new Promise((done) => {
    requestAnimationFrame(() => requestAnimationFrame(done));
  });

export const at = (selector) => document.querySelector(selector);
export const all = (selector) => [...document.querySelectorAll(selector)];

// The bodies of all messages that are shown, from top to bottom.
export const shown = () => all(".message .message-body").map(({ textContent }) => textContent);
export const connection = () => document.body.dataset.connection;

const BEGAN = Date.UTC(2026, 0, 1);
export const ME = "Ann";
export const posOf = (number) => String(number).padStart(9, "0");
export const textOf = (number) => `text ${number}`;
// `from` up to `to`, both included.
export const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

// A message as the server sends it; `number` is its place in the room.
export function message(number, more = {}) {
  const [id, at_] = [`id-${number}`, new Date(BEGAN + number * 1_000).toISOString()];
  return { type: "message", id, username: "Ben", guest: true, body: textOf(number), at: at_, pos: posOf(number), ...more };
}

// Stands in for a node: takes the page's sockets and requests. `log` is the room's history, the oldest first.
export class FakeNode {
  sockets = [];
  // The queries of all requests for earlier messages.
  pages = [];
  // How many of the next requests for earlier messages fail.
  failing = 0;
  // While set, requests for earlier messages wait for it.
  gate = null;
  log = [];

  constructor() {
    const { sockets } = this;
    globalThis.WebSocket = class {
      sent = [];
      closed = false;

      constructor(address) {
        this.query = new URL(address).searchParams;
        sockets.push(this);
      }

      send(text) {
        this.sent.push(JSON.parse(text));
      }

      close() {
        this.closed = true;
      }
    };
    globalThis.fetch = (address) => this.#answer(new URL(address, location.href));
  }

  get socket() {
    return this.sockets.at(-1);
  }

  send(...frames) {
    for (const frame of frames) this.socket.onmessage({ data: JSON.stringify(frame) });
  }

  // Welcomes whoever has connected last, and brings the room's end, as a node does for a first connection.
  welcome({ users = [], cursor = "c0" } = {}) {
    this.send({ type: "welcome", username: ME, users, cursor });
    this.send(...this.log.slice(-50).map((frame) => ({ ...frame, history: true })), { type: "cursor", cursor: "c1" });
  }

  // Welcomes a guest who has come back, who lacks nothing.
  async welcomeBack() {
    at("#log").ariaBusy = "true";
    this.send({ type: "welcome", username: ME, users: [], cursor: "c2" }, { type: "cursor", cursor: "c2" });
    await until(() => at("#log").ariaBusy === "false", "the page is up to date");
  }

  // The connection is cut; the page comes back by itself.
  async cut() {
    const { length } = this.sockets;
    this.socket.onclose({ code: 1006 });
    await until(() => this.sockets.length > length, "another connection");
  }

  async #answer({ pathname, searchParams: query }) {
    if (pathname !== "/room-messages") throw new TypeError("nobody is there");
    this.pages.push(query);
    await this.gate;
    if (this.failing > 0) {
      this.failing -= 1;
      throw new TypeError("the network is gone");
    }
    const before = query.get("before");
    const earlier = this.log.filter(({ pos }) => !before || pos < before).reverse();
    const items = earlier.slice(0, Number(query.get("limit")));
    const next = items.length < earlier.length ? items.at(-1).pos : null;
    return new Response(JSON.stringify({ items, next }));
  }
}

const markup = document.body.innerHTML;
let loads = 0;

// Loads the room's page anew, with modules of its own, as a reload does. What is stored stays.
export async function load() {
  loads += 1;
  document.body.innerHTML = markup;
  await import(`/assets/load-${loads}/room.js`);
}

// Comes in as a guest, up to the moment when the socket is open.
export async function enter(node) {
  await load();
  at("#name").value = ME;
  at("#name-form").requestSubmit();
  await until(() => node.sockets.length === 1, "a connection");
}

export function write(text) {
  at("#body").value = text;
  at("#body").dispatchEvent(new Event("input"));
  at("#composer").requestSubmit();
}

// The state that a message shows: sending, sent or failed.
export const stateOf = (text) =>
  all(".message").find((element) => element.querySelector(".message-body").textContent === text)?.dataset.state;
