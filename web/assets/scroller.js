// Keeps the log at its end while the reader is there, and otherwise keeps still what he reads and tells what is new.

const NEAR_PX = 48;

export class Scroller {
  stuck = true;
  #unseen = 0;

  constructor(log, list, pill) {
    Object.assign(this, { log, list, pill });
    log.addEventListener("scroll", () => this.#look(), { passive: true });
    pill.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.stuck && this.toEnd()).observe(log);
  }

  // Changes what is in the log without moving what is being read.
  keep(change) {
    const anchor = this.stuck ? null : this.#firstInSight();
    const top = anchor?.getBoundingClientRect().top;
    change();
    if (this.stuck) this.toEnd();
    else if (anchor?.isConnected) this.log.scrollTop += anchor.getBoundingClientRect().top - top;
  }

  news(count) {
    if (this.stuck || !count) return;
    this.#unseen += count;
    this.pill.hidden = false;
    this.pill.querySelector("span").textContent =
      this.#unseen === 1 ? "1 new message" : `${this.#unseen} new messages`;
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.stuck = true;
    this.#seen();
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    this.stuck = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (this.stuck) this.#seen();
  }

  #seen() {
    this.#unseen = 0;
    this.pill.hidden = true;
  }

  #firstInSight() {
    const edge = this.log.getBoundingClientRect().top;
    return [...this.list.children].find((child) => child.getBoundingClientRect().bottom > edge);
  }
}
