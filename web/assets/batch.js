// Passes items on in batches, one per screen frame: a replay of thousands must not lay out the page thousands of times.

const FRAME_MS = 16;

export function batched(handle) {
  let waiting = [];
  return (item) => {
    if (waiting.push(item) > 1) return;
    setTimeout(() => {
      const items = waiting;
      waiting = [];
      handle(items);
    }, FRAME_MS);
  };
}
