// How the guard takes its samples and judges them. It knows no contender, so a test shows each way to lose.
import { amount, median, time } from "./figures.mjs";

/** Fewer samples of either side are no measurement. */
export const LEAST_SAMPLES = 3;
/** How many times the peer's bytes ours may have, unless the case has a limit of its own. */
export const MOST_SIZE = 1.05;
/** How far below a measured ratio its least lies: on a quiet machine, runs of one build differ by less. */
const MARGIN = 0.1;

/**
 * @typedef {"ours" | "peer"} Side
 * @typedef {{ least: number, mostSize?: number }} Limit `least` is how often ours must fit into the peer's time; above 1, ours
 *   is faster.
 * @typedef {{ seconds: number, bytes?: number, digest?: string, wanted?: string, firstSeconds?: number }} Sample `bytes` are
 *   absent where nothing is written; `digest` is of what was written or loaded, `wanted` of the input.
 * @typedef {Record<Side, readonly Sample[]>} Samples
 * @typedef {{ name: string, limit: Limit, oursSeconds: number, peerSeconds: number, ratio: number, size?: number,
 *   isSlow: boolean, lost: readonly string[] }} Verdict `lost` says why, and is empty if the case is held.
 */

/** @param {string} name @param {Limit | undefined} limit @returns {Limit} */
function checked(name, limit) {
  if (limit !== undefined && limit.least > 0 && (limit.mostSize === undefined || limit.mostSize > 0)) return limit;
  throw new RangeError(`Cannot judge "${name}": its limits are not above zero; add them to tools/bench/guard.json`);
}

/** @param {readonly Sample[]} samples @param {"seconds" | "bytes"} field @returns {number[]} */
const above0 = (samples, field) =>
  samples.map((sample) => sample[field] ?? 0).filter((value) => value > 0 && Number.isFinite(value));

/** @param {readonly Sample[]} samples @param {"seconds" | "bytes"} field */
const medianIn = (samples, field) => median(above0(samples, field)) ?? Number.NaN;

/**
 * Judges a case by the medians of its samples.
 *
 * @param {string} name
 * @param {Limit | undefined} limit
 * @param {Samples} samples
 * @returns {Verdict}
 * @throws {RangeError} If there is no limit that a measurement can be below.
 */
export function verdictOf(name, limit, samples) {
  const { least, mostSize = MOST_SIZE } = checked(name, limit);
  const [oursSeconds, peerSeconds] = [medianIn(samples.ours, "seconds"), medianIn(samples.peer, "seconds")];
  const ratio = peerSeconds / oursSeconds;
  const isSlow = ratio < least;
  const lost = [];
  for (const side of /** @type {const} */ (["ours", "peer"])) {
    const { length } = samples[side];
    const timed = above0(samples[side], "seconds").length;
    if (timed < LEAST_SAMPLES) {
      lost.push(`${side} has ${timed} samples with a time: at least ${LEAST_SAMPLES} are needed`);
    }
    const others = samples[side].filter(({ digest, wanted }) => digest === undefined || digest !== wanted).length;
    if (others > 0) lost.push(`${side} differs from the input when it is read back, in ${others} of ${length} samples`);
  }
  if (isSlow) {
    lost.push(
      `ratio ${ratio.toFixed(2)} is ${(100 * (1 - ratio / least)).toFixed(0)} % below the least, ${least} ` +
        `(ours ${time(oursSeconds)}, peer ${time(peerSeconds)})`,
    );
  }
  /** @type {Verdict} */
  const verdict = { name, limit: { least, mostSize }, oursSeconds, peerSeconds, ratio, isSlow, lost };
  if ([...samples.ours, ...samples.peer].every(({ bytes }) => bytes === undefined)) return verdict;
  const [ours, peer] = [medianIn(samples.ours, "bytes"), medianIn(samples.peer, "bytes")];
  const size = ours / peer;
  if (!(size <= mostSize)) {
    lost.push(
      `size is ${size.toFixed(3)} times the peer's, above ${mostSize} (ours ${amount(ours)}, peer ${amount(peer)})`,
    );
  }
  return { ...verdict, size };
}

/** A case that could not be measured is lost. @param {string} name @param {string} reason @returns {Verdict} */
export function unmeasured(name, reason) {
  const none = Number.NaN;
  const lost = [`could not be measured: ${reason}`];
  return { name, limit: { least: none }, oursSeconds: none, peerSeconds: none, ratio: none, isSlow: false, lost };
}

/**
 * Takes the samples of a case in turns and judges them. A ratio below its least is measured again, once, with twice as many
 * rounds; then the medians of all samples count.
 *
 * @param {{ name: string, labels: Record<Side, string>, limit: Limit | undefined, rounds: number }} about
 * @param {(side: Side) => Promise<Sample>} sample
 * @param {(line: string) => void} print
 * @returns {Promise<Verdict>}
 */
export async function judge({ name, labels, limit, rounds }, sample, print) {
  checked(name, limit); // before minutes are spent
  /** @type {Record<Side, Sample[]>} */
  const samples = { ours: [], peer: [] };
  /** @param {number} count */
  const take = async (count) => {
    for (let round = 0; round < count; round++) {
      const order = /** @type {Side[]} */ (round % 2 === 0 ? ["ours", "peer"] : ["peer", "ours"]);
      for (const side of order) samples[side].push(await sample(side));
    }
  };
  await take(rounds);
  let verdict = verdictOf(name, limit, samples);
  if (verdict.isSlow) {
    print(
      `   ratio ${verdict.ratio.toFixed(2)} is below ${verdict.limit.least}: measured again with ${
        2 * rounds
      } more rounds; ` +
        "the medians of all samples count",
    );
    await take(2 * rounds);
    verdict = verdictOf(name, limit, samples);
  }
  for (const side of /** @type {const} */ (["ours", "peer"])) {
    const firsts = samples[side].flatMap(({ firstSeconds }) => firstSeconds ?? []);
    print(
      `   ${side}, ${labels[side]}: ${samples[side].map(({ seconds }) => time(seconds)).join(", ")}` +
        (firsts.length === 0 ? "" : `; the first of each process: ${firsts.map(time).join(", ")}`),
    );
  }
  return verdict;
}

/** @param {number} ratio As measured. @returns {number} Its least, a little below. */
export function leastFor(ratio) {
  return Math.floor(ratio * (1 - MARGIN) * 100) / 100;
}

/** @param {readonly Verdict[]} verdicts @returns {(string | number)[][]} Rows for a table. */
export function rowsOf(verdicts) {
  /** @param {number | undefined} number @param {(number: number) => string} format */
  const cell = (number, format) => number === undefined || Number.isNaN(number) ? "" : format(number);
  return [
    ["case", "ours", "peer", "ratio", "least", "size", "most", "verdict"],
    ...verdicts.map(({ name, limit, oursSeconds, peerSeconds, ratio, size, lost }) => [
      name,
      cell(oursSeconds, time),
      cell(peerSeconds, time),
      cell(ratio, (number) => number.toFixed(2)),
      cell(limit.least, String),
      cell(size, (number) => number.toFixed(3)),
      cell(size === undefined ? undefined : limit.mostSize, String),
      lost.length === 0 ? "held" : "LOST",
    ]),
  ];
}

/** @param {readonly Verdict[]} verdicts @returns {string[]} What was lost, what to do, and what may be raised. */
export function adviceOf(verdicts) {
  const losses = verdicts.flatMap(({ name, lost }) => lost.map((reason) => `LOST ${name}: ${reason}`));
  const advice = losses.length === 0 ? [] : [
    "Find out what became slower or larger: `npm run bench -- --guard --only <case> --rounds 9` measures one case for longer.",
    "Change a limit in tools/bench/guard.json only if docs/decisions.md says what the loss buys.",
  ];
  const larger = verdicts.filter(({ size = 0, lost }) => lost.length === 0 && size > MOST_SIZE).map(({ name, size }) =>
    `LARGE ${name}: size is ${size?.toFixed(3)} times the peer's, within its own limit but above ${MOST_SIZE}`
  );
  const higher = verdicts.filter(({ ratio, limit: { least }, lost }) =>
    lost.length === 0 && leastFor(ratio) > least * (1 + MARGIN)
  ).map(({ name, ratio, limit: { least } }) =>
    `RAISE ${name}: ratio ${ratio.toFixed(2)} is far above the least, ${least}; on a quiet machine, ` +
    `\`npm run bench -- --guard --only ${name} --rounds 9 --calibrate\` raises it`
  );
  return [...losses, ...advice, ...larger, ...higher];
}
