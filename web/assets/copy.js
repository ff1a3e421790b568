// Copies the link to the room. On plain http, where browsers offer no clipboard, the old command still works.

const SAID_MS = 2_000;

export function copies(button, said) {
  const label = button.querySelector("span");
  const usual = label.textContent;
  button.addEventListener("click", async () => {
    const done = await copy(location.origin + location.pathname);
    label.textContent = said.textContent = done ? "Copied" : "Copy it from the address bar";
    setTimeout(() => {
      label.textContent = usual;
      said.textContent = "";
    }, SAID_MS);
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOldWay(text);
  }
}

function copyOldWay(text) {
  const field = document.body.appendChild(document.createElement("textarea"));
  field.className = "sr";
  field.value = text;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
