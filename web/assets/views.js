// Switches between the room's views: the gate (the name form), the chat, and the chat behind a card that says why it
// is paused.

const at = (selector) => document.querySelector(selector);

export function show(view) {
  document.body.dataset.view = view;
  at("#gate").hidden = view !== "gate";
  at("#chat").hidden = view === "gate";
  at("#chat").inert = at("#people").inert = view === "paused";
  at("#paused").hidden = view !== "paused";
  if (view === "gate") at("#people").hidden = at("#people-toggle").hidden = true;
}

// `usable` means that the chat can go on here.
export function pause(title, text, usable) {
  at("#paused h2").textContent = title;
  at("#paused p").textContent = text;
  at("#use-here").hidden = !usable;
  show("paused");
  at(usable ? "#use-here" : "#paused a").focus();
}
