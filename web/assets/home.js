// The front page: creates rooms, opens them by link or ID, and lists the rooms you were in.

import { forget, recent } from "./recent.js";
import { texts } from "./texts.js";

handle("#create", async (name) => {
  const answer = await fetch("/create-room", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(name ? { name } : {}),
  });
  const { roomID, detail, errors } = await answer.json();
  if (!answer.ok) return errors?.[0]?.detail ?? detail;
  location.assign(`/r/${encodeURIComponent(roomID)}`);
});

handle("#enter", async (text) => {
  const id = text.match(/\/r\/([^/?#\s]+)/)?.[1] ?? text.match(/roomID=([^&#\s]+)/)?.[1] ?? text;
  if (!id) return texts.linkMissing;
  const answer = await fetch(`/room-exists?roomID=${encodeURIComponent(id)}`);
  const { exists, detail } = await answer.json();
  // 400: the text can't be a room's id.
  if (!answer.ok && answer.status !== 400) return detail;
  if (!exists) return texts.noSuchRoom;
  location.assign(`/r/${encodeURIComponent(id)}`);
});

const section = document.querySelector("#recent");
for (const { id, name } of recent()) {
  const link = document.createElement("a");
  link.href = `/r/${encodeURIComponent(id)}`;
  link.textContent = name;
  section.querySelector("ul").appendChild(document.createElement("li")).append(link);
  section.hidden = false;
}
section.querySelector("button").addEventListener("click", () => {
  forget();
  section.hidden = true;
});

// On submit, runs `act` with the input and shows the problem that it returns, if any.
function handle(selector, act) {
  const form = document.querySelector(selector);
  const [button, problem] = ["button", ".problem"].map((part) => form.querySelector(part));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = (await act(form.querySelector("input").value.trim()).catch(() => texts.tryAgain)) ?? "";
    button.disabled = false;
  });
}
