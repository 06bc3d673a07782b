/**
 * Bytes that are lent, and given back when the last who holds them lets go: at once, where a garbage collector would come
 * late, and cost more than all else that is done with them. Who holds and never lets go leaves them to it.
 *
 * Let go only of what nobody reads any more, the kernel included.
 */
export class Loan {
  private holders = 1;

  /** Held once, by whoever makes it. */
  constructor(private readonly giveBack: () => void) {}

  hold(): void {
    this.holders += 1;
  }

  release(): void {
    this.holders -= 1;
    if (this.holders === 0) this.giveBack();
  }
}
