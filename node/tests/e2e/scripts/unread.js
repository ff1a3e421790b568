// Unread messages: counted in the title while the page is hidden, and on the pill while the log is scrolled up.

import { FakeNode, ME, at, drawn, enter, equal, message, range, shown, test, textOf, until } from "./harness.js";

function look(away) {
  Object.defineProperty(document, "hidden", { value: away, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}

async function enterWith(count) {
  const node = new FakeNode();
  node.log = range(1, count).map((number) => message(number));
  await enter(node);
  node.welcome();
  await until(() => shown().length === count && at("#log").ariaBusy === "false");
  return node;
}

const TITLE = "Tea – Starling";

test("the title counts what comes while the page is hidden, until it is looked at", async () => {
  const node = await enterWith(3);
  node.send(message(4));
  await until(() => shown().length === 4);
  equal(document.title, TITLE, "somebody looks");
  look(true);
  node.send(message(5), message(6));
  await until(() => shown().length === 6);
  equal(document.title, `(2) ${TITLE}`);
  node.send(message(7));
  await until(() => shown().length === 7);
  equal(document.title, `(3) ${TITLE}`);
  look(false);
  equal(document.title, TITLE);
  look(true);
  node.send(message(8));
  await until(() => shown().length === 8);
  equal(document.title, `(1) ${TITLE}`, "it counts from the last look");
});

test("neither one's own messages count, nor earlier ones, nor the same twice, nor what is no message", async () => {
  const node = await enterWith(3);
  look(true);
  const noise = [message(4, { username: ME }), message(1), message(5, { history: true }), { type: "cursor", cursor: "c9" }];
  node.send(...noise, { type: "joined", username: "Eve", at: message(5).at }, message(6));
  await until(() => shown().includes(textOf(6)));
  equal(document.title, `(1) ${TITLE}`);
});

test("what was missed while the connection was cut counts when it comes", async () => {
  const node = await enterWith(3);
  look(true);
  await node.cut();
  node.send({ type: "welcome", username: ME, users: [], cursor: "c1" }, message(4), message(5), { type: "cursor", cursor: "c2" });
  await until(() => shown().length === 5);
  equal(document.title, `(2) ${TITLE}`);
});

test("whoever reads further up keeps their place and is told how much is new", async () => {
  const node = await enterWith(50);
  const log = at("#log");
  log.scrollTop = 0;
  // The room begins here: its label comes into the log, too.
  await until(() => !at("#earlier p").hidden);
  await drawn();
  const first = at(".message");
  const { top } = first.getBoundingClientRect();
  node.send(message(51));
  await until(() => !at("#newer").hidden);
  equal([at("#newer span").textContent, first.getBoundingClientRect().top - top], ["1 new message", 0]);
  node.send(message(52), message(53));
  await until(() => at("#newer span").textContent === "3 new messages");
  at("#newer").click();
  equal([at("#newer").hidden, log.scrollHeight - log.scrollTop - log.clientHeight < 2], [true, true]);
  node.send(message(54));
  await until(() => shown().includes(textOf(54)));
  equal(at("#newer").hidden, true, "the end is in sight");
});
