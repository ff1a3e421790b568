// Counts in the title what came while nobody looked.

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
