// The rooms that this browser was in, for the front page: otherwise a room is lost with its link.

import { keep, recall } from "./storage.js";

const KEY = "recent";
const ROOMS_MAX = 8;

export function remember(id, name) {
  const others = recent().filter((room) => room.id !== id);
  keep("local", KEY, [{ id, name }, ...others].slice(0, ROOMS_MAX));
}

export const recent = () => recall("local", KEY) ?? [];
export const forget = () => keep("local", KEY, []);
