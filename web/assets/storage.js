// Web storage that never throws: a private window or a full disk must not stop a chat.
// Area "session" survives a reload of the tab, "local" survives the end of the browser.

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
    // The page goes on with the value that it has in memory.
  }
}
