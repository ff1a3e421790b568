// Web storage that never throws: a private window or a full disk must not stop a chat.
// Used by whatever survives a reload ("session") or a visit ("local").

const PREFIX = "starling.";

export function recall(area, key) {
  try {
    return JSON.parse(globalThis[`${area}Storage`].getItem(PREFIX + key));
  } catch {
    return null;
  }
}

export function keep(area, key, value) {
  try {
    globalThis[`${area}Storage`].setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // The value lives on in memory.
  }
}
