// Draws one message, new or changed, wherever it came from. The only function that does.

import { egg, hueOf } from "./avatar.js";
import { linkify } from "./linkify.js";
import { fullTime, timeOfDay } from "./moment.js";

const template = document.querySelector("#message").content.firstElementChild;

export function draw(message, element = template.cloneNode(true)) {
  const part = (selector) => element.querySelector(selector);
  element.dataset.id = message.id;
  element.dataset.state = message.state;
  element.classList.toggle("own", message.own);
  drawSender(message, part);
  const body = part(".body");
  if (body.textContent !== message.body) body.replaceChildren(...linkify(message.body));
  const time = part("time");
  time.dateTime = message.at;
  time.textContent = message.state === "sending" ? "Sending…" : timeOfDay(message.at);
  time.title = fullTime(message.at) + (message.copies > 1 ? ` · kept on ${message.copies} nodes` : "");
  part(".fate").hidden = message.state !== "failed";
  part(".fate span").textContent = message.detail ?? "Not sent.";
  return element;
}

function drawSender({ username, guest }, part) {
  const name = part(".name");
  if (name.textContent === username) return;
  name.textContent = username;
  name.dataset.hue = hueOf(username);
  part(".portrait").replaceChildren(egg(username));
  part(".badge").hidden = guest !== false;
}
