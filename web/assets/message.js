// Draws one message, new or changed. The only module that does.

import { avatar, hueOf } from "./avatar.js";
import { linkify } from "./linkify.js";
import { fullTime, timeOfDay } from "./moment.js";
import { texts } from "./texts.js";

const template = document.querySelector("#message").content.firstElementChild;

export function draw(message, element = template.cloneNode(true)) {
  const part = (selector) => element.querySelector(selector);
  element.dataset.id = message.id;
  element.dataset.state = message.state;
  element.classList.toggle("own", message.own);
  drawAuthor(message, part);
  const body = part(".message-body");
  if (body.textContent !== message.body) body.replaceChildren(...linkify(message.body));
  const time = part("time");
  time.dateTime = message.at;
  time.textContent = message.state === "sending" ? texts.sending : timeOfDay(message.at);
  time.title = fullTime(message.at) + (message.copies > 1 ? ` · ${texts.copies(message.copies)}` : "");
  part(".failed-message").hidden = message.state !== "failed";
  part(".failed-message span").textContent = message.detail ?? texts.notSent;
  return element;
}

function drawAuthor({ username, guest }, part) {
  const name = part(".name");
  if (name.textContent === username) return;
  name.textContent = username;
  name.dataset.hue = hueOf(username);
  part(".portrait").replaceChildren(avatar(username));
  part(".member-badge").hidden = guest !== false;
}
