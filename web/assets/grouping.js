// Groups messages: a line with the date above the first of a day, and one author's name above messages sent together.

import { dayName, sameDay } from "./moment.js";

const TOGETHER_MS = 5 * 60_000;

export function group({ element, message }, before) {
  const newDay = !before || !sameDay(before.at, message.at);
  const label = element.querySelector(".day");
  const name = newDay ? dayName(message.at) : "";
  label.hidden = !newDay;
  if (label.textContent !== name) label.textContent = name;
  const near = before && Math.abs(new Date(message.at) - new Date(before.at)) < TOGETHER_MS;
  const adjoining = element.previousElementSibling?.classList.contains("message");
  element.classList.toggle("follows", Boolean(!newDay && near && adjoining && before.username === message.username));
}
