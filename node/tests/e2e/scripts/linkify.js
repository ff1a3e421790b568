// Text as nodes: what becomes a link, and that nothing else becomes anything.

import { linkify } from "/assets/tests/linkify.js";
import { equal, test } from "./harness.js";

const links = (text) =>
  linkify(text)
    .filter((node) => node instanceof HTMLAnchorElement)
    .map(({ textContent }) => textContent);
const whole = (text) => linkify(text).map((node) => node.textContent ?? node).join("");

test("addresses end where their readers see them end", () => {
  for (const [text, ...expected] of [
    ["nothing here"],
    ["https://a.example", "https://a.example"],
    ["HTTPS://A.example/x", "HTTPS://A.example/x"],
    ["see http://a.example/b?c=d#e, then", "http://a.example/b?c=d#e"],
    ["(https://a.example/b)", "https://a.example/b"],
    ["https://a.example/b_(c)", "https://a.example/b_(c)"],
    ["https://a.example/b… and https://b.example!", "https://a.example/b", "https://b.example"],
    ["“https://a.example/b”", "https://a.example/b"],
    ["<https://a.example/b>", "https://a.example/b"],
    ["xhttps://a.example"],
    ["https://"],
    ["https:// a.example"],
    ["https://a.example:port/"],
    // oxlint-disable-next-line no-script-url
    ["javascript:alert(1) data:text/html,x ftp://a.example"],
  ]) {
    equal(links(text), expected, text);
  }
});

test("no letter of the text is lost or doubled", () => {
  for (const text of ["", " ", "a https://a.example/b. c", "https://a.example/b https://a.example/b", "https://:1 x", "a\n\nb"]) {
    equal(whole(text), text);
  }
});

test("markup stays text", () => {
  const text = '<img src=x onerror=alert(1)> https://a.example/"><b>x</b> <a href="javascript:alert(1)">y</a>';
  const box = document.createElement("p");
  box.append(...linkify(text));
  equal(box.textContent, text);
  equal([...box.querySelectorAll("*")].map(({ tagName }) => tagName), ["A"]);
  equal(box.querySelector("a").getAttribute("href"), "https://a.example/");
});

test("a link opens beside the room and tells the other site nothing of it", () => {
  const [, link] = linkify("x https://a.example/b");
  equal([link.target, link.rel.split(" ").sort()], ["_blank", ["nofollow", "noopener", "noreferrer"]]);
});
