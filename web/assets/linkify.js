// Text as nodes, with web addresses made into links. Never parses markup: what a guest writes stays text.

const ADDRESS = /\bhttps?:\/\/[^\s<>"“”]+/giu;
const TRAILING = /[.,;:!?'’…*_~]+$/u;

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

// A full stop or an unopened bracket at the end belongs to the sentence.
function trimmed(address) {
  let rest = address.replace(TRAILING, "");
  while (/[)\]}]$/.test(rest) && unopened(rest)) rest = rest.slice(0, -1).replace(TRAILING, "");
  return rest;
}

function unopened(text) {
  const [open, close] = { ")": "()", "]": "[]", "}": "{}" }[text.at(-1)];
  return text.split(close).length > text.split(open).length;
}
