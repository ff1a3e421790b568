// What stands around a message because of the one before it: the day, and the sender unless he goes on talking.

import { dayName, sameDay } from "./moment.js";

const TOGETHER_MS = 5 * 60_000;

export function dress({ element, message }, before) {
  const newDay = !before || !sameDay(before.at, message.at);
  const label = element.querySelector(".day");
  const name = newDay ? dayName(message.at) : "";
  label.hidden = !newDay;
  if (label.textContent !== name) label.textContent = name;
  const near = before && Math.abs(new Date(message.at) - new Date(before.at)) < TOGETHER_MS;
  const adjoining = element.previousElementSibling?.classList.contains("message");
  element.classList.toggle("follows", Boolean(!newDay && near && adjoining && before.username === message.username));
}
