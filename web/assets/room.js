// The room page: creates its parts and connects them.

import { batched } from "./batch.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { onConnectivity } from "./connectivity.js";
import { Conversation } from "./conversation.js";
import { enableCopyButton } from "./copy.js";
import { Delivery } from "./delivery.js";
import { handleFailedMessages } from "./failed-message.js";
import { History } from "./history.js";
import { NameForm } from "./name-form.js";
import { Notices } from "./notices.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { remember } from "./recent.js";
import { Scroller } from "./scroller.js";
import { SessionState } from "./session-state.js";
import { Status } from "./status.js";
import { texts } from "./texts.js";
import { Timeline } from "./timeline.js";
import { Unread } from "./unread.js";
import { uuid } from "./uuid.js";
import { pause, show } from "./views.js";
import { followViewport } from "./viewport.js";

const at = (selector) => document.querySelector(selector);
const { room, name, accountName } = at("#room").dataset;
const [log, list, earlier] = ["#log", "#list", "#earlier"].map(at);

const session = new SessionState(room, accountName);
const outbox = new Outbox(room);
const status = new Status(at("#status"));
const timeline = new Timeline(list);
const scroller = new Scroller(log, list, at("#newer"));
const notices = new Notices(list);
const unread = new Unread();
const people = new People(at("#people"), at("#people-toggle"), (text) => status.setPresence(text));
const history = new History({ session, timeline, scroller, log, earlier });
const nameForm = new NameForm(at("#gate"), enter);
const connection = new Connection(session, {
  frame: receive,
  refused,
  sessionEnded,
  state: (state, detail) => status.setConnection(state, detail),
});
const delivery = new Delivery(outbox, connection);
const parts = { session, outbox, timeline, notices, people, history, delivery, scroller, unread, log };
const conversation = new Conversation(parts);
const composer = new Composer(at("#composer"), room, write);
const handle = batched((frames) => conversation.handle(frames));

enableCopyButton(at("#copy"), at("#copy-result"));
followViewport();
onConnectivity((suspect) => connection.reconnect(suspect));
handleFailedMessages(list, { outbox, timeline, again: post });
at("#use-here").addEventListener("click", resume);
at("#rename").addEventListener("click", () => leave(() => askName("", session.name)));
at("#rename").hidden = Boolean(session.accountName);
if (session.name) resume();
else askName();

function askName(problem, suggested) {
  show("gate");
  nameForm.ask(problem, suggested);
}

function enter(chosen) {
  session.enterAsGuest(chosen);
  at("#rename").hidden = false;
  timeline.ownName ??= chosen; // You may write before the welcome arrives.
  connection.open();
}

// After a reload, shows unsent messages at once, and the rest as soon as there is a connection.
function resume() {
  show("chat");
  timeline.ownName ??= session.name;
  for (const message of outbox) conversation.showUnsent(message);
  connection.open();
}

function receive(frame) {
  if (frame.type === "welcome" && document.body.dataset.view === "gate") {
    show("chat");
    composer.focus();
  }
  if (frame.type === "welcome") remember(room, name ?? texts.unnamedRoom(room));
  handle(frame);
}

function write(body) {
  if (outbox.full) return notices.show(texts.outboxFull);
  post({ id: uuid(), body, at: new Date().toISOString() });
  return true;
}

function post(message) {
  conversation.showUnsent(message);
  delivery.post(message);
  scroller.toEnd();
}

function leave(then) {
  connection.close();
  status.setConnection("off");
  then();
}

function refused({ code, why }) {
  const gone = () => pause(texts.roomGone, texts.roomGoneDetail, false);
  leave(() => (code === "not_found" ? gone() : askGuestName(why)));
}

// A user with an account who was logged out can go on as a guest, but not under their username: guests can't take it.
function askGuestName(why) {
  askName(why, session.accountName ? undefined : session.name);
}

function sessionEnded() {
  if (session.accountName) return leave(() => askGuestName(texts.loggedOut));
  leave(() => pause(texts.openElsewhere, texts.openElsewhereDetail, true));
}
