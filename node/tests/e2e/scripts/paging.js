// Earlier messages: more of them than a page, and what may come between two pages.

import { FakeNode, all, at, enter, equal, message, posOf, range, shown, test, textOf, until } from "./harness.js";

const LABEL = "This is where the room begins. Send its link to whoever should be here.";

async function enterLong(count) {
  const node = new FakeNode();
  node.log = range(1, count).map((number) => message(number));
  await enter(node);
  node.welcome();
  return node;
}

const toTop = () => {
  at("#log").scrollTop = 0;
};
const isComplete = () => !at("#earlier p").hidden;

test("all pages come, one after the other, as the top comes into sight", async () => {
  const node = await enterLong(230);
  await until(() => shown().length >= 50);
  while (!isComplete()) {
    const { length } = shown();
    toTop();
    await until(() => shown().length > length || isComplete());
  }
  equal(shown(), range(1, 230).map(textOf), "each message once, in order");
  equal(node.pages.map((query) => query.get("before")), [181, 131, 81, 31].map(posOf), "each page begins where the last ended");
  equal(at("#earlier p").textContent, LABEL);
  toTop();
  await until(() => at("#log").scrollTop === 0);
  equal(node.pages.length, 4, "nothing is asked for beyond the beginning");
});

test("what is read stays where it is while a page comes in above it", async () => {
  const node = await enterLong(150);
  await until(() => shown().length >= 50);
  let open;
  node.gate = new Promise((done) => {
    open = done;
  });
  toTop();
  await until(() => node.pages.length > 0 && at("#log").scrollTop === 0);
  const [first] = all(".message");
  const { top } = first.getBoundingClientRect();
  const { length } = shown();
  open();
  await until(() => shown().length > length);
  equal(Math.round(first.getBoundingClientRect().top - top), 0, "the first message has moved");
});

test("a page that did not come is asked for again by the next connection", async () => {
  const node = await enterLong(80);
  await until(() => shown().length >= 50);
  node.failing = 1;
  toTop();
  await until(() => node.pages.length === 1);
  await node.cut();
  await node.welcomeBack();
  await until(() => isComplete());
  equal(shown(), range(1, 80).map(textOf));
  equal(node.pages.map((query) => query.get("before")), [posOf(31), posOf(31)]);
});

test("a page of before a resync is not shown after it", async () => {
  const node = await enterLong(400);
  await until(() => shown().length >= 50);
  let open;
  node.gate = new Promise((done) => {
    open = done;
  });
  toTop();
  await until(() => node.pages.length > 0);
  node.gate = null;
  // The node has lost sight of what this page has: what follows is the end of the room, a hundred messages later.
  node.log.push(...range(401, 500).map((number) => message(number)));
  node.send({ type: "resync", cursor: "c2" }, ...node.log.slice(-50), { type: "cursor", cursor: "c3" });
  await until(() => shown().includes(textOf(500)));
  open();
  while (!isComplete()) {
    const { length } = shown();
    toTop();
    await until(() => shown().length > length || isComplete());
  }
  equal(shown(), range(1, 500).map(textOf), "no gap is left where the room went on meanwhile");
});
