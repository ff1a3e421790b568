// Counts in the page's title the messages that came while the page was hidden.

const title = document.title;

export class Unread {
  #count = 0;

  constructor() {
    document.addEventListener("visibilitychange", () => document.hidden || this.#set(0));
  }

  add(count) {
    if (document.hidden && count) this.#set(this.#count + count);
  }

  #set(count) {
    this.#count = count;
    document.title = count ? `(${count}) ${title}` : title;
  }
}
