// The two ways out for a message that the server refused: try again, or let it go.

export function offersWaysOut(list, { outbox, timeline, again }) {
  list.addEventListener("click", ({ target }) => {
    const choice = target.closest(".fate button")?.value;
    if (!choice) return;
    const { id } = target.closest(".message").dataset;
    if (choice === "again") return again({ ...outbox.get(id), state: "sending", detail: null });
    outbox.drop(id);
    timeline.remove(id);
  });
}
