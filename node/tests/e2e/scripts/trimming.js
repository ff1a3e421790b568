// A log that grows for days: what is let go at its top, and how it comes back.

import { FakeNode, at, drawn, enter, equal, message, posOf, range, shown, test, textOf, until } from "./harness.js";

const SHOWN_MAX = 1_000;

async function enterWith(count) {
  const node = new FakeNode();
  node.log = range(1, 5).map((number) => message(number));
  await enter(node);
  node.welcome();
  await until(() => at("#log").ariaBusy === "false");
  say(node, range(6, count));
  return node;
}

function say(node, numbers) {
  const frames = numbers.map((number) => message(number));
  node.log.push(...frames);
  node.send(...frames);
}

test("beyond a thousand messages the oldest go, and are asked for again from there", async () => {
  const node = await enterWith(5);
  await until(() => !at("#earlier p").hidden, "the beginning of the room");
  say(node, range(6, 1_200));
  await until(() => shown().includes(textOf(1_200)));
  equal(at("#earlier p").hidden, true, "the room does not begin here any more");
  equal(shown(), range(201, 1_200).map(textOf));
  equal(at("#list").firstElementChild.querySelector(".day").hidden, false, "the first message tells its day");
  at("#log").scrollTop = 0;
  await until(() => shown().length > SHOWN_MAX);
  equal(node.pages.at(-1).get("before"), posOf(201));
  equal(shown(), range(151, 1_200).map(textOf));
});

test("nothing goes while somebody reads further up", async () => {
  const node = await enterWith(900);
  await until(() => shown().length === 900);
  const log = at("#log");
  log.scrollTop = log.scrollHeight / 2;
  await until(() => Math.abs(log.scrollTop - log.scrollHeight / 2) < 400);
  await drawn();
  say(node, range(901, 1_100));
  await until(() => shown().includes(textOf(1_100)));
  equal(shown(), range(1, 1_100).map(textOf));
  at("#newer").click();
  say(node, [1_101]);
  await until(() => shown().includes(textOf(1_101)));
  equal(shown(), range(102, 1_101).map(textOf), "back at the end, the log is trimmed");
});

test("a message from below what was let go is not shown out of its place", async () => {
  const node = await enterWith(1_100);
  await until(() => shown().includes(textOf(1_100)));
  node.send(message(7), message(1_101));
  await until(() => shown().includes(textOf(1_101)));
  equal(shown(), range(102, 1_101).map(textOf));
});
