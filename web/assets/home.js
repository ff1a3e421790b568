// The front page: makes rooms, finds them by link or id, and shows those one was in.

import { forget, recent } from "./recent.js";

const UNREACHABLE = "Can’t reach the server. Please try again.";

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
  if (!id) return "Please paste the link to a room.";
  const answer = await fetch(`/room-exists?roomID=${encodeURIComponent(id)}`);
  const { exists } = await answer.json();
  if (!exists) return "There is no such room here. It may have expired.";
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

// Runs `act` with what was typed and shows the problem that it returns, if any.
function handle(selector, act) {
  const form = document.querySelector(selector);
  const [button, problem] = ["button", ".problem"].map((part) => form.querySelector(part));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = (await act(form.querySelector("input").value.trim()).catch(() => UNREACHABLE)) ?? "";
    button.disabled = false;
  });
}
