// What holds of every plan, whatever the snapshots and the rules; and restic's algorithm, written down a second time.
import fc from "fast-check";
import {
  atLeast,
  keepDaily,
  keepEvery,
  keepHourly,
  keepLatest,
  keepMonthly,
  keepTagged,
  keepUnder,
  keepWeekly,
  keepWithin,
  keepYearly,
  planRetention,
  type RetentionCalendarUnit,
  type RetentionRule,
  type RetentionSnapshot,
} from "snapkeep";
import { describe, expect, it } from "vitest";
import {
  anyBudget,
  anyRule,
  anyRules,
  anyRulesAndBudgets,
  anySnapshots,
  anyZone,
  at,
  countingRules,
  DAY_MS,
  HOUR_MS,
  named,
  NOW_MS,
  type Rules,
} from "./samples.ts";
import { slowBucket } from "./slow_calendar.ts";
import { amount } from "../torture/budget.ts";

const runs = (most: number) => Math.ceil(most * amount("laws", "share") / 100);

const plan = (snapshots: readonly RetentionSnapshot[], rules: Rules, zone = "UTC") =>
  planRetention(snapshots, rules, { nowMs: NOW_MS, zone });
const keptSet = (...args: Parameters<typeof plan>) => new Set(plan(...args).kept.map(({ name }) => name));
const told = (...args: Parameters<typeof plan>) =>
  plan(...args).decisions.map(({ snapshot, isKept, reasons }) => [snapshot.name, isKept, reasons]);

const sized = anySnapshots.map((all) => all.map((each) => ({ ...each, sizeBytes: each.sizeBytes ?? 7 })));

describe("laws of plans", () => {
  it("every snapshot is decided once, kept for at least one reason, and removed for none or one that took it back", () => {
    fc.assert(fc.property(anySnapshots, anyRulesAndBudgets, anyZone, (snapshots, rules, zone) => {
      const { decisions } = plan(snapshots, rules, zone);
      expect(decisions.map(({ snapshot }) => snapshot.name)).toEqual(snapshots.map(({ name }) => name).sort());
      for (const { isKept, reasons } of decisions) {
        if (isKept) expect(reasons.length).toBeGreaterThan(0);
        else expect(reasons.filter((reason) => !reason.startsWith("beyond "))).toEqual([]);
      }
    }));
  });

  it("idempotent: the plan of what a plan keeps removes nothing", () => {
    fc.assert(
      fc.property(anySnapshots, anyRulesAndBudgets, anyZone, (snapshots, rules, zone) => {
        expect(plan(plan(snapshots, rules, zone).kept, rules, zone).removed).toEqual([]);
      }),
      { numRuns: runs(500) },
    );
  });

  it("order-independent: the order of the snapshots changes nothing, nor that of the rules what is kept", () => {
    const shuffled = anySnapshots.chain((snapshots) =>
      fc.tuple(fc.constant(snapshots), fc.shuffledSubarray(snapshots, { minLength: snapshots.length }))
    );
    const rules = anyRulesAndBudgets.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))
    );
    fc.assert(fc.property(shuffled, rules, ([snapshots, others], [given, turned]) => {
      expect(told(others, given)).toEqual(told(snapshots, given));
      expect(keptSet(snapshots, turned)).toEqual(keptSet(snapshots, given));
    }));
  });

  it("the newest, the newest not in the future, and all that are pinned survive", () => {
    fc.assert(fc.property(anySnapshots, anyRulesAndBudgets, (snapshots, rules) => {
      const kept = keptSet(snapshots, rules);
      const present = snapshots.filter(({ savedAtMs }) => savedAtMs <= NOW_MS);
      const must = [snapshots.at(-1), present.at(-1), ...snapshots.filter(({ pinned }) => pinned)];
      for (const snapshot of must) if (snapshot !== undefined) expect(kept).toContain(snapshot.name);
    }));
  });

  it("monotone: a new commit is never removable, nor does it cost what is pinned or tagged", () => {
    const rules = anyRulesAndBudgets;
    fc.assert(fc.property(anySnapshots, rules, fc.nat(400), fc.boolean(), (snapshots, given, ageHours, isTagged) => {
      // Whatever its stamp, it is named after all others.
      const fresh = named("t", {
        savedAtMs: NOW_MS - ageHours * HOUR_MS,
        sizeBytes: 1000,
        ...isTagged ? { tags: ["a"] } : {},
      });
      const kept = keptSet([...snapshots, fresh], given);
      expect(kept).toContain("t");
      for (const { name, pinned } of snapshots) if (pinned) expect(kept).toContain(name);
    }));
  });

  it("monotone: cleaning up after every save loses nothing that one cleanup at the end would keep", () => {
    // For what looks at time alone, as long as saves go on in order.
    const rules = fc.subarray(
      [
        keepLatest(3),
        keepHourly(4),
        keepDaily(3),
        keepWeekly(2),
        keepMonthly(2),
        keepYearly(2),
        keepWithin("36h"),
        keepEvery("3d"),
      ],
      { minLength: 1 },
    );
    const gaps = fc.array(fc.constantFrom(1, 1, 5, 7, 23, 24, 25, 200), { maxLength: 25 });
    fc.assert(fc.property(gaps, rules, anyZone, (hours, given, zone) => {
      let timeMs = NOW_MS - 20_000 * HOUR_MS;
      const all = hours.map((gap) => at(timeMs += gap * HOUR_MS));
      let survivors: RetentionSnapshot[] = [];
      for (const [index, snapshot] of all.entries()) {
        survivors = planRetention([...survivors, snapshot], given, { nowMs: snapshot.savedAtMs, zone }).kept;
        const atOnce = planRetention(all.slice(0, index + 1), given, { nowMs: snapshot.savedAtMs, zone }).kept;
        const missing = atOnce.filter((wanted) => !survivors.includes(wanted));
        expect(missing).toEqual([]);
      }
    }));
  });

  it.each(Object.keys(countingRules))("a longer count keeps a superset: %s", (name) => {
    const make = countingRules[name] as (n: number) => RetentionRule;
    fc.assert(
      fc.property(anySnapshots, fc.integer({ min: 1, max: 8 }), fc.array(anyRule, { maxLength: 2 }), anyZone, (
        snapshots,
        n,
        others,
        zone,
      ) => {
        const more = keptSet(snapshots, [make(n + 1), ...others], zone);
        for (const kept of keptSet(snapshots, [make(n), ...others], zone)) expect(more).toContain(kept);
      }),
    );
  });

  it("a longer duration of keepWithin keeps a superset", () => {
    fc.assert(fc.property(anySnapshots, fc.nat(1000), fc.nat(1000), (snapshots, hours, moreHours) => {
      const more = keptSet(snapshots, [keepWithin((1 + hours + moreHours) * HOUR_MS)]);
      for (const kept of keptSet(snapshots, [keepWithin((1 + hours) * HOUR_MS)])) expect(more).toContain(kept);
    }));
  });

  it("a larger budget keeps a superset, and what remains is at most the budget where anything could still go", () => {
    fc.assert(fc.property(anySnapshots, fc.nat(300), fc.nat(300), (snapshots, bytes, moreBytes) => {
      const { kept } = plan(snapshots, [keepUnder(bytes)]);
      const more = keptSet(snapshots, [keepUnder(bytes + moreBytes)]);
      for (const { name } of kept) expect(more).toContain(name);
      const guarded = keptSet(snapshots, [() => []]);
      const canGo = kept.filter(({ name, sizeBytes }) => !guarded.has(name) && sizeBytes !== undefined);
      const totalBytes = kept.reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0);
      if (canGo.length > 0) expect(totalBytes).toBeLessThanOrEqual(bytes);
    }));
  });

  it("union: another rule never removes more, and what is kept is what one of the rules keeps alone", () => {
    fc.assert(fc.property(anySnapshots, anyRules, anyRule, anyZone, (snapshots, rules, another, zone) => {
      const more = keptSet(snapshots, [...rules, another], zone);
      const alone = [...rules, another].map((rule) => keptSet(snapshots, [rule], zone));
      for (const name of keptSet(snapshots, rules, zone)) expect(more).toContain(name);
      expect(more).toEqual(new Set(alone.flatMap((names) => [...names])));
    }));
  });

  it("a budget never takes away what is guarded or pinned", () => {
    fc.assert(fc.property(anySnapshots, anyRules, anyBudget, (snapshots, rules, budget) => {
      const kept = keptSet(snapshots, [...rules, budget]);
      for (const name of keptSet(snapshots, [() => []])) expect(kept).toContain(name);
    }));
  });

  it("a budget only takes away, where what the rules keep does not hang on what is older", () => {
    const steady = fc.subarray([keepLatest(4), keepWithin("5d"), keepTagged("a", "b"), atLeast(3, keepLatest(1))]);
    // Where a clock was set back, the newest time may be an older snapshot's, and keepWithin hangs on it.
    const inOrder = anySnapshots.map((snapshots) => {
      const times = snapshots.map(({ savedAtMs }) => savedAtMs).sort((a, b) => a - b);
      return snapshots.map((snapshot, index) => ({ ...snapshot, savedAtMs: times[index] ?? 0 }));
    });
    fc.assert(fc.property(inOrder, steady, anyBudget, (snapshots, rules, budget) => {
      const without = keptSet(snapshots, rules.length === 0 ? [keepUnder(1e9)] : rules);
      for (const name of keptSet(snapshots, [...rules, budget])) expect(without).toContain(name);
    }));
  });

  it("a budget lets the oldest go, as few as may be, as if they had never been there", () => {
    // Written down a second time, plainly: each cut from the oldest on is tried.
    const slow = (snapshots: readonly RetentionSnapshot[], rules: Rules, bytes: number) => {
      const guarded = keptSet(snapshots, [() => []]);
      for (let cut = 0;; cut++) {
        const left = snapshots.filter(({ name }, index) => index >= cut || guarded.has(name));
        const { kept } = plan(left, rules);
        if (cut === snapshots.length || kept.reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0) <= bytes) {
          return kept;
        }
      }
    };
    fc.assert(
      fc.property(sized, anyRules, fc.nat(400), (snapshots, rules, bytes) => {
        expect(plan(snapshots, [...rules, keepUnder(bytes)]).kept).toEqual(slow(snapshots, rules, bytes));
      }),
      { numRuns: runs(500) },
    );
  });

  it("a budget leaves as many as atLeast says, if there were so many", () => {
    fc.assert(
      fc.property(sized, anyRules, fc.integer({ min: 1, max: 6 }), fc.nat(400), (snapshots, rules, n, bytes) => {
        const before = plan(snapshots, rules).kept.length;
        const { kept } = plan(snapshots, [...rules, atLeast(n, keepUnder(bytes))]);
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(n, before));
      }),
    );
  });

  it("groups: planning them together or one by one is the same", () => {
    const groupBy = ({ tags = [] }: RetentionSnapshot) => tags[0] ?? "";
    fc.assert(fc.property(anySnapshots, anyRulesAndBudgets, (snapshots, rules) => {
      const together = planRetention(snapshots, rules, { nowMs: NOW_MS, groupBy });
      const keys = new Set(snapshots.map(groupBy));
      const apart = [...keys].flatMap((key) => plan(snapshots.filter((each) => groupBy(each) === key), rules).kept);
      expect(new Set(together.kept)).toEqual(new Set(apart));
    }));
  });

  it("a cleanup that stops half-way, oldest first, re-plans to the same end", () => {
    fc.assert(
      fc.property(anySnapshots, anyRules, anyZone, fc.double({ min: 0, max: 1, noNaN: true }), (
        snapshots,
        rules,
        zone,
        share,
      ) => {
        const { kept, removed } = plan(snapshots, rules, zone);
        const gone = new Set(removed.slice(0, Math.round(removed.length * share)));
        const left = snapshots.filter((snapshot) => !gone.has(snapshot));
        expect(plan(left, rules, zone).kept).toEqual(kept);
      }),
      { numRuns: runs(500) },
    );
  });

  describe("a cleanup by a budget", () => {
    /** What is kept after a part of the removals. */
    const halfDone = (snapshots: readonly RetentionSnapshot[], rules: Rules, zone: string, share: number) => {
      const gone = new Set(plan(snapshots, rules, zone).removed.slice(0, Math.round(snapshots.length * share)));
      return plan(snapshots.filter((snapshot) => !gone.has(snapshot)), rules, zone).kept;
    };
    const anyShare = fc.double({ min: 0, max: 1, noNaN: true });

    it("that stops half-way, oldest first, re-plans to the same end, whatever rules stand beside it", () => {
      const rules = fc.tuple(fc.array(anyRule, { maxLength: 4 }), fc.array(fc.nat(400), { minLength: 1, maxLength: 2 }))
        .map(([others, budgets]) => [...others, ...budgets.map(keepUnder)]);
      fc.assert(
        fc.property(sized, rules, anyZone, anyShare, (snapshots, given, zone, share) => {
          expect(halfDone(snapshots, given, zone, share)).toEqual(plan(snapshots, given, zone).kept);
        }),
        { numRuns: runs(2000) },
      );
    });

    it("that stops half-way does so too with atLeast around the budget", () => {
      const others = fc.subarray([keepLatest(4), keepDaily(5), keepWithin("5d"), keepTagged("a")]);
      const rules = fc.tuple(others, anyBudget).map(([given, budget]) => [...given, budget]);
      fc.assert(
        fc.property(sized, rules, anyZone, anyShare, (snapshots, given, zone, share) => {
          expect(halfDone(snapshots, given, zone, share)).toEqual(plan(snapshots, given, zone).kept);
        }),
        { numRuns: runs(500) },
      );
    });
  });
});

describe("steady saving", () => {
  // Just after midnight, the last of ten days is today and the first ended eight days ago: n buckets reach n - 2 units at least.
  const cases: readonly [string, RetentionRule, number, number, number][] = [
    // text, rule, hours between saves, days that it runs, how far back it must reach
    ["keepHourly(24)", keepHourly(24), 0.5, 10, 22 * HOUR_MS],
    ["keepDaily(10)", keepDaily(10), 1, 40, 8 * DAY_MS],
    ["keepWeekly(5)", keepWeekly(5), 6, 90, 21 * DAY_MS],
    ["keepMonthly(4)", keepMonthly(4), 12, 300, 59 * DAY_MS],
    ["keepYearly(3)", keepYearly(3), 240, 1800, 365 * DAY_MS],
    ['keepWithin("5d")', keepWithin("5d"), 1, 20, 5 * DAY_MS - HOUR_MS],
    ['keepEvery("3d")', keepEvery("3d"), 1, 40, 40 * DAY_MS],
  ];

  it.each(cases)(
    "with %s always reaches back as far as the policy says: nothing starves",
    (_, rule, hours, days, reachMs) => {
      const startMs = Date.parse("2026-01-01T00:00Z");
      let survivors: RetentionSnapshot[] = [];
      for (let timeMs = startMs; timeMs <= startMs + days * DAY_MS; timeMs += hours * HOUR_MS) {
        survivors = planRetention([...survivors, at(timeMs)], [rule], { nowMs: timeMs }).kept;
        const reachedMs = timeMs - (survivors[0]?.savedAtMs ?? Infinity);
        expect(reachedMs).toBeGreaterThanOrEqual(Math.min(reachMs, timeMs - startMs));
      }
    },
  );
});

/**
 * restic's ApplyPolicy (internal/restic/snapshot_policy.go), as read: newest first, each count remembers the bucket it last
 * kept; the oldest is kept by all that have counts left.
 */
function restic(
  snapshots: readonly RetentionSnapshot[],
  counts: Readonly<Partial<Record<RetentionCalendarUnit, number>>>,
  zone: string,
): Map<string, string[]> {
  const list = snapshots.filter(({ pinned }) => !pinned).sort((a, b) =>
    b.savedAtMs - a.savedAtMs || (a.name < b.name ? 1 : -1)
  );
  const buckets = Object.entries(counts).map(([unit, count]) => ({
    unit: unit as RetentionCalendarUnit,
    count,
    last: "",
  }));
  const kept = new Map<string, string[]>();
  for (const [number, { name, savedAtMs }] of list.entries()) {
    for (const bucket of buckets) {
      if (bucket.count <= 0) continue;
      const value = slowBucket(zone, bucket.unit, savedAtMs);
      if (value === bucket.last && number < list.length - 1) continue;
      const reason = value === bucket.last ? `oldest ${bucket.unit} ${value}` : `${bucket.unit} ${value}`;
      kept.set(name, [...kept.get(name) ?? [], reason]);
      bucket.last = value;
      bucket.count--;
    }
  }
  return kept;
}

describe("restic's algorithm", () => {
  const rules = { hour: keepHourly, day: keepDaily, week: keepWeekly, month: keepMonthly, year: keepYearly };
  const counts = fc.record(
    Object.fromEntries(Object.keys(rules).map((unit) => [unit, fc.integer({ min: 1, max: 12 })])),
    { requiredKeys: [] },
  ).filter((each) => Object.keys(each).length > 0) as fc.Arbitrary<Partial<Record<RetentionCalendarUnit, number>>>;

  it("is what the calendar rules do, reason by reason", () => {
    fc.assert(
      fc.property(anySnapshots, counts, anyZone, (snapshots, given, zone) => {
        const entries = Object.entries(given) as [RetentionCalendarUnit, number][];
        const { decisions } = plan(snapshots, entries.map(([unit, count]) => rules[unit](count)), zone);
        const expected = restic(snapshots, given, zone);
        const guards = new Set(["newest", "newest not in the future", "pinned"]);
        expect(decisions.map(({ snapshot, reasons }) => [snapshot.name, reasons.filter((why) => !guards.has(why))]))
          .toEqual(decisions.map(({ snapshot: { name } }) => [name, expected.get(name) ?? []]));
      }),
      { numRuns: runs(400) },
    );
  });
});
