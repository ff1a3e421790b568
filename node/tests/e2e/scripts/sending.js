// Sending messages: in flight, sent, refused, tried again, discarded; over cut connections and reloads.

import { FakeNode, ME, all, at, enter, equal, load, message, posOf, shown, stateOf, test, until, write } from "./harness.js";

async function enterEmpty() {
  const node = new FakeNode();
  await enter(node);
  node.welcome();
  await until(() => at("#log").ariaBusy === "false");
  return node;
}

const ack = (id, number) => ({ type: "ack", id, at: message(number).at, pos: posOf(number), copies: 2 });
const button = (value) => all(`.message button[value=${value}]`).find((element) => element.checkVisibility());
const problem = () => all(".message .failed-message span").find((element) => element.checkVisibility())?.textContent;

// Writes one message that the node refuses for good.
async function writeRefused(node, text) {
  write(text);
  await until(() => node.socket.sent.length === 1);
  const [{ id }] = node.socket.sent;
  node.send({ type: "error", id, code: "forbidden", detail: "You are banned from this room." });
  await until(() => stateOf(text) === "failed");
  return id;
}

test("a message is shown at once, and as sent once it is acked", async () => {
  const node = await enterEmpty();
  write("Hello");
  equal([shown(), stateOf("Hello"), at("#body").value], [["Hello"], "sending", ""]);
  await until(() => node.socket.sent.length === 1);
  const [{ id, body }] = node.socket.sent;
  equal(body, "Hello");
  node.send(ack(id, 1));
  await until(() => stateOf("Hello") === "sent");
  // The same message from the room, as every session gets it.
  node.send(message(1, { id, username: ME, body }), message(2));
  await until(() => shown().length === 2);
  equal(shown(), ["Hello", "text 2"], "one's own is shown once");
});

test("unsent messages stay last, whatever comes meanwhile, and take their place when acked", async () => {
  const node = await enterEmpty();
  write("Mine");
  node.send(message(2));
  await until(() => shown().length === 2);
  equal(shown(), ["text 2", "Mine"]);
  node.send(ack(node.socket.sent[0].id, 1));
  await until(() => stateOf("Mine") === "sent");
  equal(shown(), ["Mine", "text 2"]);
});

test("a refused message says why; trying again sends the same one again", async () => {
  const node = await enterEmpty();
  const id = await writeRefused(node, "Hello");
  equal(problem(), "You are banned from this room.");
  button("again").click();
  equal([stateOf("Hello"), problem()], ["sending", undefined]);
  await until(() => node.socket.sent.length === 2);
  equal(node.socket.sent[1], { id, body: "Hello" }, "under the same id, so that it is posted once");
  node.send(ack(id, 1));
  await until(() => stateOf("Hello") === "sent");
  equal(shown(), ["Hello"]);
});

test("a discarded message is gone, from the page and after a reload, and is not sent again", async () => {
  const node = await enterEmpty();
  await writeRefused(node, "Oops");
  button("drop").click();
  equal(shown(), []);
  await node.cut();
  await node.welcomeBack();
  write("After");
  equal(node.socket.sent.map(({ body }) => body), ["After"]);
  await load();
  await until(() => node.sockets.length === 3);
  equal(shown(), ["After"]);
});

test("a refused message is not sent again by itself, and outlives a reload as refused", async () => {
  const node = await enterEmpty();
  await writeRefused(node, "Hello");
  await load();
  await until(() => node.sockets.length === 2);
  equal([stateOf("Hello"), problem()], ["failed", "You are banned from this room."]);
  await node.welcomeBack();
  write("Another");
  equal(node.socket.sent.map(({ body }) => body), ["Another"]);
});

test("what was not acked is sent again under the same id after a cut, and after a reload", async () => {
  const node = await enterEmpty();
  write("Lost");
  await until(() => node.socket.sent.length === 1);
  const first = node.socket.sent[0];
  await node.cut();
  write("Meanwhile");
  equal(node.socket.sent, [], "nothing before the welcome");
  await node.welcomeBack();
  equal(node.socket.sent.map(({ body }) => body), ["Lost", "Meanwhile"], "each once");
  equal(node.socket.sent[0], first);
  await load();
  await until(() => node.sockets.length === 3);
  equal([shown(), stateOf("Lost")], [["Lost", "Meanwhile"], "sending"], "shown before there is a connection");
  await node.welcomeBack();
  equal(node.socket.sent[0], first);
});

test("a message that came too soon is sent again by itself", async () => {
  const node = await enterEmpty();
  write("Quick");
  await until(() => node.socket.sent.length === 1);
  const [first] = node.socket.sent;
  node.send({ type: "error", id: first.id, code: "rate_limited", detail: "Too many messages." });
  await until(() => node.socket.sent.length === 2);
  equal(node.socket.sent[1], first);
  equal(stateOf("Quick"), "sending");
});
