// Which of the room's faces is shown: the gate, the chat, or the chat behind a card that says why it rests.

const at = (selector) => document.querySelector(selector);

export function show(view) {
  document.body.dataset.view = view;
  at("#gate").hidden = view !== "gate";
  at("#chat").hidden = view === "gate";
  at("#chat").inert = at("#people").inert = view === "rest";
  at("#rest").hidden = view !== "rest";
  if (view === "gate") at("#people").hidden = at("#people-toggle").hidden = true;
}

export function rest(title, text, usable) {
  at("#rest h2").textContent = title;
  at("#rest p").textContent = text;
  at("#use-here").hidden = !usable;
  show("rest");
  at(usable ? "#use-here" : "#rest a").focus();
}
