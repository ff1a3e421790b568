// Applies the server's frames to the room on the page. Frames come in batches, in order.

import { texts } from "./texts.js";

const SHOWN_MAX = 1_000;
const REJOIN_MS = 10_000; // People who come back this soon after a server restart are not announced as joining.

export class Conversation {
  #rebuilding = false; // From the start or a `resync` until the next `cursor`: the log is filled anew.
  #presentBefore = new Set(); // The people who were here before the last `welcome`.
  #welcomedAt = 0;
  #day = "";
  #awaitingOwnName = false;

  // Parts: session, outbox, timeline, notices, people, history, delivery, scroller, unread, log.
  constructor(parts) {
    Object.assign(this, parts);
  }

  handle(frames) {
    let count = 0;
    this.scroller.preservePosition(() => {
      for (const frame of frames) count += this.#on[frame.type]?.(frame) ?? 0;
      this.#tidy();
    });
    this.scroller.addNew(count);
    this.unread.add(count);
  }

  // Shows your own message before the server has it.
  showUnsent(message) {
    this.timeline.put({ state: "sending", ...message, username: this.timeline.ownName });
  }

  // Each returns how many new messages by others it brought, if any.
  #on = {
    __proto__: null,
    welcome: ({ username, users, cursor }) => {
      this.#presentBefore = new Set(this.people.here);
      this.#welcomedAt = Date.now();
      this.#awaitingOwnName = false;
      this.log.ariaBusy = "true";
      if (!this.session.cursor) this.#rebuild(cursor);
      this.#setOwnName(username);
      this.people.set(users, username);
      this.delivery.resume();
      if (!this.#rebuilding) this.history.start();
    },
    message: (frame) => {
      const own = frame.username === this.timeline.ownName;
      this.session.received(frame.pos);
      if (this.#rebuilding) this.timeline.loadedFrom = smaller(this.timeline.loadedFrom, frame.pos);
      const added = this.timeline.put({ ...frame, state: "sent", detail: null });
      if (own) this.delivery.acked(frame.id);
      return added && !own && !frame.history && !this.#rebuilding ? 1 : 0;
    },
    ack: ({ id, at, pos, copies }) => {
      this.session.received(pos);
      if (this.timeline.has(id)) this.timeline.put({ id, at, pos, copies, state: "sent", detail: null });
      this.delivery.acked(id);
    },
    joined: ({ username, at }) => {
      if (this.#awaitingOwnName) this.#renameSelf(username);
      else this.#setPresent(username, true, at);
    },
    left: ({ username, at }) => {
      // You are here, so your own name only leaves when you are renamed; the next `joined` has your new name.
      if (username === this.timeline.ownName) this.#awaitingOwnName = true;
      else this.#setPresent(username, false, at);
    },
    cursor: ({ cursor }) => {
      this.session.setCursor(cursor);
      this.log.ariaBusy = "false";
      if (this.#rebuilding) this.history.start();
      this.#rebuilding = false;
    },
    error: ({ id, code, detail }) => {
      if (!id) return this.notices.show(detail);
      const message = this.delivery.refused(id, { code, detail });
      if (message) this.showUnsent(message);
    },
    resync: ({ cursor }) => this.#rebuild(cursor),
  };

  // The frames that follow bring the latest messages; there may be a gap between them and those shown so far.
  #rebuild(cursor) {
    this.session.setCursor(cursor);
    this.#rebuilding = true;
    this.history.reset();
    this.timeline.clear((id) => this.outbox.get(id));
  }

  #setOwnName(name) {
    if (this.timeline.ownName === name) return;
    this.timeline.ownName = name;
    this.timeline.redraw();
    for (const message of this.outbox) this.showUnsent(message);
  }

  // Two people took one name on servers that were cut off from each other; the later one gets a suffix.
  #renameSelf(newName) {
    this.#awaitingOwnName = false;
    this.people.set(this.people.here.filter((name) => name !== this.timeline.ownName), newName);
    this.#setOwnName(newName);
    this.notices.show(texts.renamed(newName));
  }

  #setPresent(name, present, at) {
    const known = this.people.has(name) === present;
    this.people.setPresent(name, present);
    const rejoined = present && this.#presentBefore.has(name) && Date.now() - this.#welcomedAt < REJOIN_MS;
    if (!known && !rejoined && name !== this.timeline.ownName) this.notices.addPresenceChange(name, present, at);
  }

  #tidy() {
    const today = new Date().toDateString();
    if (this.#day !== today) this.timeline.redraw();
    this.#day = today;
    if (!this.scroller.atEnd || !this.timeline.trim(SHOWN_MAX)) return;
    this.history.reset();
    this.history.start();
  }
}

const smaller = (one, other) => (one === null || other < one ? other : one);
