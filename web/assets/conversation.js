// What each frame of the server means for the room on the page. Frames come in batches, in order.

const SHOWN_MOST = 1_000;
const REJOIN_MS = 10_000; // After a restart: who was here before and is back so soon has not been away.

export class Conversation {
  #fresh = false;
  #before = new Set();
  #welcomed = 0;
  #day = "";
  #renamed = false;

  // Parts: seat, outbox, timeline, notices, people, history, delivery, scroller, unread, log.
  constructor(parts) {
    Object.assign(this, parts);
  }

  hear(frames) {
    let news = 0;
    this.scroller.keep(() => {
      for (const frame of frames) news += this.#on[frame.type]?.(frame) ?? 0;
      this.#tidy();
    });
    this.scroller.news(news);
    this.unread.add(news);
  }

  // One's own message, drawn before the server has it.
  post(message) {
    this.timeline.put({ state: "sending", ...message, username: this.timeline.me });
  }

  #on = {
    __proto__: null,
    welcome: ({ username, users, cursor }) => {
      this.#before = new Set(this.people.here);
      this.#welcomed = Date.now();
      this.#renamed = false;
      this.log.ariaBusy = "true";
      if (!this.seat.cursor) this.#begin(cursor);
      this.#call(username);
      this.people.set(users, username);
      this.delivery.resume();
      if (!this.#fresh) this.history.start();
    },
    message: (frame) => {
      const own = frame.username === this.timeline.me;
      this.seat.saw(frame.pos);
      if (this.#fresh) this.timeline.floor = least(this.timeline.floor, frame.pos);
      const added = this.timeline.put({ ...frame, state: "sent", detail: null });
      if (own) this.delivery.acked(frame.id);
      return added && !own && !frame.history && !this.#fresh ? 1 : 0;
    },
    ack: ({ id, at, pos, copies }) => {
      this.seat.saw(pos);
      if (this.timeline.has(id)) this.timeline.put({ id, at, pos, copies, state: "sent", detail: null });
      this.delivery.acked(id);
    },
    joined: ({ username, at }) => {
      if (this.#renamed) this.#rename(username);
      else this.#move(username, true, at);
    },
    left: ({ username, at }) => {
      // One is here: so one gives one's own name up, and the `joined` behind it has the new one.
      if (username === this.timeline.me) this.#renamed = true;
      else this.#move(username, false, at);
    },
    cursor: ({ cursor }) => {
      this.seat.mark(cursor);
      this.log.ariaBusy = "false";
      if (this.#fresh) this.history.start();
      this.#fresh = false;
    },
    error: ({ id, code, detail }) => {
      if (!id) return this.notices.say(detail);
      const message = this.delivery.refused(id, { code, detail });
      if (message) this.post(message);
    },
    resync: ({ cursor }) => this.#begin(cursor),
  };

  // What follows is the end of the room as it is now; between it and what was shown there may be a gap.
  #begin(cursor) {
    this.seat.mark(cursor);
    this.#fresh = true;
    this.history.reset();
    this.timeline.clear((id) => this.outbox.get(id));
  }

  #call(me) {
    if (this.timeline.me === me) return;
    this.timeline.me = me;
    this.timeline.redraw();
    for (const message of this.outbox) this.post(message);
  }

  // Somebody else had the name before, beyond a link that was cut.
  #rename(me) {
    this.#renamed = false;
    this.people.set(this.people.here.filter((name) => name !== this.timeline.me), me);
    this.#call(me);
    this.notices.say(`You are shown as ${me}: somebody else has your name, too.`);
  }

  #move(name, came, at) {
    const known = this.people.has(name) === came;
    this.people.move(name, came);
    const back = came && this.#before.has(name) && Date.now() - this.#welcomed < REJOIN_MS;
    if (!known && !back && name !== this.timeline.me) this.notices.move(name, came, at);
  }

  #tidy() {
    const today = new Date().toDateString();
    if (this.#day !== today) this.timeline.redraw();
    this.#day = today;
    if (!this.scroller.stuck || !this.timeline.trim(SHOWN_MOST)) return;
    this.history.reset();
    this.history.start();
  }
}

const least = (one, other) => (one === null || other < one ? other : one);
