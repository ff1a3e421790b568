// Formats dates and times in the browser's time zone and locale.

import { texts } from "./texts.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export const timeOfDay = (at) => clock.format(new Date(at));
export const fullTime = (at) => full.format(new Date(at));
export const sameDay = (one, other) => new Date(one).toDateString() === new Date(other).toDateString();

export function dayName(at) {
  const then = new Date(at);
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (sameDay(then, today)) return texts.today;
  if (sameDay(then, yesterday)) return texts.yesterday;
  return (then.getFullYear() === today.getFullYear() ? day : dayOfYear).format(then);
}
