// A random generator that can be saved. Math.random cannot: it has no way to read or set where it stands, so whatever
// draws from it can never be repeated after a restart.

/** Seeded random numbers (sfc32 by Chris Doty-Humphrey); all of its state is four 32-bit numbers. */
export class Random {
  /** Where it stands. */
  state: number[];

  constructor(seed: number) {
    this.state = [0, 0, seed | 0, 1];
    for (let warmUp = 0; warmUp < 12; warmUp++) this.next();
  }

  /** A number from 0 to below 1. */
  next(): number {
    const [a = 0, b = 0, c = 0, counter = 0] = this.state;
    const result = (a + b + counter) | 0;
    this.state = [b ^ (b >>> 9), (c + (c << 3)) | 0, ((c << 21 | c >>> 11) + result) | 0, (counter + 1) | 0];
    return (result >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }
}
