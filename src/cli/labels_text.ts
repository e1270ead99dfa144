// Labels on one line, as lists and pages show them.
import type { Labels } from "../model/snapshot.ts";

/** Returns labels, with metrics to six digits, such as `pinned @good step=500 loss=0.25 "before the update"`. */
export function labelsText({ tags = [], metrics = {}, step, remark, pinned }: Labels): string {
  return [
    ...pinned === true ? ["pinned"] : [],
    ...tags.map((tag) => `@${tag}`),
    ...step === undefined ? [] : [`step=${step}`],
    ...Object.entries(metrics).map(([name, value]) => `${name}=${value === null ? "-" : Number(value.toPrecision(6))}`),
    ...remark === undefined || remark === "" ? [] : [`"${remark}"`],
  ].join(" ");
}
