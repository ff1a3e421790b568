// The button that copies the link to the room. Browsers offer no clipboard on plain http; there the old command works.

import { texts } from "./texts.js";

const RESULT_MS = 2_000;

// `announcement` says the result to screen readers.
export function enableCopyButton(button, announcement) {
  const label = button.querySelector("span");
  const usual = label.textContent;
  button.addEventListener("click", async () => {
    const done = await copy(location.origin + location.pathname);
    label.textContent = announcement.textContent = done ? texts.copied : texts.notCopied;
    setTimeout(() => {
      label.textContent = usual;
      announcement.textContent = "";
    }, RESULT_MS);
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyWithoutClipboard(text);
  }
}

function copyWithoutClipboard(text) {
  const field = document.body.appendChild(document.createElement("textarea"));
  field.className = "sr-only";
  field.value = text;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
