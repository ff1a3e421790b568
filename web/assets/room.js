// The room: puts its parts together and lets them talk. What each does is said in its own file.

import { batched } from "./batch.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { copies } from "./copy.js";
import { Delivery } from "./delivery.js";
import { Entry } from "./entry.js";
import { offersWaysOut } from "./fate.js";
import { History } from "./history.js";
import { Link } from "./link.js";
import { Notices } from "./notices.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { remember } from "./recent.js";
import { Scroller } from "./scroller.js";
import { Seat } from "./seat.js";
import { Status } from "./status.js";
import { Timeline } from "./timeline.js";
import { Unread } from "./unread.js";
import { uuid } from "./uuid.js";
import { rest, show } from "./views.js";
import { followViewport } from "./viewport.js";
import { onWake } from "./wake.js";

const at = (selector) => document.querySelector(selector);
const { room, name, me } = at("#room").dataset;
const [log, list, earlier] = ["#log", "#list", "#earlier"].map(at);

const seat = new Seat(room, me);
const outbox = new Outbox(room);
const status = new Status(at("#status"));
const timeline = new Timeline(list);
const scroller = new Scroller(log, list, at("#newer"));
const notices = new Notices(list);
const unread = new Unread();
const people = new People(at("#people"), at("#people-toggle"), (text) => status.present(text));
const history = new History({ seat, timeline, scroller, log, earlier });
const entry = new Entry(at("#gate"), enter);
const link = new Link(seat, { frame, refused, taken, state: (state, detail) => status.show(state, detail) });
const delivery = new Delivery(outbox, link);
const parts = { seat, outbox, timeline, notices, people, history, delivery, scroller, unread, log };
const conversation = new Conversation(parts);
const composer = new Composer(at("#composer"), room, write);
const hear = batched((frames) => conversation.hear(frames));

copies(at("#copy"), at("#said"));
followViewport();
onWake((suspect) => link.wake(suspect));
offersWaysOut(list, { outbox, timeline, again: post });
at("#use-here").addEventListener("click", resume);
at("#rename").addEventListener("click", () => leave(() => ask("", seat.name)));
at("#rename").hidden = Boolean(seat.me);
if (seat.name) resume();
else ask();

function ask(problem, known) {
  show("gate");
  entry.ask(problem, known);
}

function enter(chosen) {
  seat.take(chosen);
  at("#rename").hidden = false;
  timeline.me ??= chosen; // Something may be written before the welcome has been heard.
  link.open();
}

// A reload shows at once what was not yet sent, and the rest as soon as there is a connection.
function resume() {
  show("chat");
  timeline.me ??= seat.name;
  for (const message of outbox) conversation.post(message);
  link.open();
}

function frame(received) {
  if (received.type === "welcome" && document.body.dataset.view === "gate") {
    show("chat");
    composer.focus();
  }
  if (received.type === "welcome") remember(room, name ?? `Quick room ${room.slice(0, 4)}…`);
  hear(received);
}

function write(body) {
  if (outbox.full) return notices.say("Too many messages are waiting to be sent.");
  post({ id: uuid(), body, at: new Date().toISOString() });
  return true;
}

function post(message) {
  conversation.post(message);
  delivery.post(message);
  scroller.toEnd();
}

function leave(then) {
  link.close();
  status.show("off");
  then();
}

function refused({ code, why }) {
  const gone = () => rest("This room is gone", "Rooms close some time after their last message.", false);
  leave(() => (code === "not_found" ? gone() : asGuest(why)));
}

// A user who is not let in as himself any more may be a guest; his username is not for guests.
function asGuest(why) {
  ask(why, seat.me ? undefined : seat.name);
}

function taken() {
  if (seat.me) return leave(() => asGuest("Your login has ended."));
  leave(() => rest("Open in another place", "This chat goes on in another tab or window.", true));
}
