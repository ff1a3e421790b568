// Coming into a room: as somebody new, and after a reload.

import { FakeNode, ME, all, at, connection, enter, equal, load, message, range, shown, test, textOf, until } from "./harness.js";

async function enterRoom(count, welcome) {
  const node = new FakeNode();
  node.log = range(1, count).map((number) => message(number));
  await enter(node);
  node.welcome(welcome);
  await until(() => shown().length === count && at("#log").ariaBusy === "false");
  return node;
}

test("a room that has messages shows them in order, from its end", async () => {
  const node = await enterRoom(40, { users: ["Ben"] });
  equal(shown(), range(1, 40).map(textOf));
  const { scrollHeight, scrollTop, clientHeight } = at("#log");
  equal(scrollHeight > clientHeight, true, "there is more than fits");
  equal(Math.abs(scrollHeight - scrollTop - clientHeight) <= 1, true, "the newest is in sight");
  equal([at("#newer").hidden, document.title], [true, "Tea – Starling"], "nothing of it is new");
  equal([connection(), document.body.dataset.view], ["live", "chat"]);
  equal(node.socket.query.get("username"), ME);
  equal(all("#people li span").map(({ textContent }) => textContent), [ME, "Ben"]);
});

test("messages that arrive out of order, or twice, are shown once and in order", async () => {
  const node = await enterRoom(3);
  node.send(...[6, 4, 6, 5, 2].map((number) => message(number)));
  await until(() => shown().length === 6);
  equal(shown(), range(1, 6).map(textOf));
});

test("whoever goes on talking is named once, until somebody else talks or the day turns", async () => {
  const node = await enterRoom(2);
  const nextDay = { at: new Date(Date.UTC(2026, 0, 3)).toISOString() };
  node.send(message(3, { username: "Eve" }), message(4, { username: "Eve", ...nextDay }));
  await until(() => shown().length === 4);
  equal(all(".message").map(({ classList }) => classList.contains("follows")), [false, true, false, false]);
  equal(all(".message .day").map(({ hidden }) => hidden), [false, true, true, false]);
});

test("a reload takes the seat again, under its name, with the cursor and the greatest place seen", async () => {
  const node = await enterRoom(5);
  node.send({ type: "cursor", cursor: "c7" });
  await until(() => sessionStorage.length > 0 && JSON.stringify(sessionStorage).includes("c7"));
  await load();
  await until(() => node.sockets.length === 2);
  const { query } = node.socket;
  equal([query.get("username"), query.get("cursor")], [ME, "c7"]);
  node.send({ type: "welcome", username: ME, users: [], cursor: "c7" }, message(6), { type: "cursor", cursor: "c8" });
  await until(() => shown().includes(textOf(6)));
  // The messages from before the reload come back from the history.
  await until(() => shown().length === 6);
  equal(shown(), range(1, 6).map(textOf));
});

test("who comes and goes is told in one line, and cancels out", async () => {
  const node = await enterRoom(1);
  const noticed = () => all(".notice span").map(({ textContent }) => textContent);
  const moves = (type, ...names) => names.map((username) => ({ type, username, at: message(9).at }));
  node.send(...moves("joined", "Ben", "Eve"), ...moves("left", "Eve"));
  await until(() => noticed().length > 0);
  equal(noticed(), ["Ben joined"]);
  node.send(message(2), ...moves("left", "Ben"));
  await until(() => noticed().length > 1);
  equal(noticed(), ["Ben joined", "Ben left"]);
});
