// Turns text into nodes, with web addresses as links. Never parses markup: a message stays text.
// Takes linear time for any text, so that no message can freeze a browser.

// Chinese, Japanese and Korean punctuation has no space around it and is never part of an address.
const ADDRESS = /\bhttps?:\/\/[^\s<>"“”\u3000-\u3004\u3008-\u301f\u3030\uff01-\uff0f\uff1a-\uff20\uff3b-\uff3d\uff5b-\uff65]+/giu;
const SENTENCE = new Set(".,;:!?'’…*~");
const OPENED_BY = { ")": "(", "]": "[", "}": "{" };

export function linkify(text) {
  const nodes = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = trimmed(found);
    if (!valid(address)) continue;
    nodes.push(text.slice(end, index), anchor(address));
    end = index + address.length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

function valid(address) {
  try {
    return Boolean(new URL(address).host);
  } catch {
    return false;
  }
}

function anchor(address) {
  const link = document.createElement("a");
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  link.textContent = address;
  return link;
}

// Cuts off punctuation and unopened brackets at the end: they belong to the sentence.
function trimmed(address) {
  const count = {};
  for (const sign of address) count[sign] = (count[sign] ?? 0) + 1;
  let end = address.length;
  for (; end > 0; end--) {
    const last = address[end - 1];
    const opener = OPENED_BY[last];
    if (opener && count[last] > (count[opener] ?? 0)) count[last]--;
    else if (!SENTENCE.has(last)) break;
  }
  return address.slice(0, end);
}
