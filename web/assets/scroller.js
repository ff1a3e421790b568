// Keeps the log at its end while you are there; otherwise keeps still what you read and counts the new messages below.

import { texts } from "./texts.js";

const NEAR_PX = 48;

export class Scroller {
  atEnd = true;
  #unseen = 0;

  constructor(log, list, pill) {
    Object.assign(this, { log, list, pill });
    log.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    pill.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.atEnd && this.toEnd()).observe(log);
  }

  // Runs `change`, which changes the log, without moving the messages in sight.
  preservePosition(change) {
    const anchor = this.atEnd ? null : this.#firstInSight();
    const top = anchor?.getBoundingClientRect().top;
    change();
    if (this.atEnd) this.toEnd();
    else if (anchor?.isConnected) this.log.scrollTop += anchor.getBoundingClientRect().top - top;
  }

  addNew(count) {
    if (this.atEnd || !count) return;
    this.#unseen += count;
    this.pill.hidden = false;
    this.pill.querySelector("span").textContent = texts.newMessages(this.#unseen);
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.atEnd = true;
    this.#clearNew();
  }

  #onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (this.atEnd) this.#clearNew();
  }

  #clearNew() {
    this.#unseen = 0;
    this.pill.hidden = true;
  }

  #firstInSight() {
    const edge = this.log.getBoundingClientRect().top;
    return [...this.list.children].find((child) => child.getBoundingClientRect().bottom > edge);
  }
}
