// The rooms that this browser was in, for the front page: a link that nobody wrote down is lost otherwise.

import { keep, recall } from "./storage.js";

const KEY = "recent";
const MOST = 8;

export function remember(id, name) {
  const others = recent().filter((room) => room.id !== id);
  keep("local", KEY, [{ id, name }, ...others].slice(0, MOST));
}

export const recent = () => recall("local", KEY) ?? [];
export const forget = () => keep("local", KEY, []);
