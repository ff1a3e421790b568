// The picture beside a name: a speckled egg, drawn from the name alone, so a name has the same egg everywhere.

const SVG = "http://www.w3.org/2000/svg";
const HUES = 8;
const OUTLINE = "M20 2.5C28.5 2.5 34.5 14 34.5 22.5a14.5 14.5 0 0 1-29 0C5.5 14 11.5 2.5 20 2.5Z";
const SPECKS = 13;

export const hueOf = (name) => hash(name) % HUES;

export function avatar(name) {
  const picture = shape("svg", { viewBox: "0 0 40 40", class: "avatar" });
  picture.dataset.hue = hueOf(name);
  picture.append(shape("path", { d: OUTLINE, class: "shell" }));
  let seed = hash(name);
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (let speck = 0; speck < SPECKS; speck += 1) {
    const angle = random() * 2 * Math.PI;
    const distance = Math.sqrt(random());
    const cx = (20 + Math.cos(angle) * distance * 10.5).toFixed(1);
    const cy = (21.5 + Math.sin(angle) * distance * 13).toFixed(1);
    picture.append(shape("circle", { cx, cy, r: (0.6 + random() ** 2 * 2.1).toFixed(1), class: "speck" }));
  }
  return picture;
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function hash(text) {
  let sum = 0x811c9dc5;
  for (const letter of text.normalize("NFC").toLowerCase()) sum = Math.imul(sum ^ letter.codePointAt(0), 0x01000193);
  return (sum ^ (sum >>> 15)) >>> 0;
}
