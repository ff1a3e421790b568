// The buttons on a message that the server refused: try again, or discard it.

export function handleFailedMessages(list, { outbox, timeline, again }) {
  list.addEventListener("click", ({ target }) => {
    const choice = target.closest(".failed-message button")?.value;
    if (!choice) return;
    const { id } = target.closest(".message").dataset;
    if (choice === "again") return again({ ...outbox.get(id), state: "sending", detail: null });
    outbox.drop(id);
    timeline.remove(id);
  });
}
