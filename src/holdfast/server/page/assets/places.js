/** So many may be inside at once; the others wait, in order. A browser has six connections to a server, and keeps to that. */
export class Places {
  #free;
  #waiting = [];

  constructor(many) {
    this.#free = many;
  }

  /** Waits for a place; gives what leaves it again. */
  async enter() {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((resolve) => this.#waiting.push(resolve));
    return () => this.#leave();
  }

  #leave() {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}
