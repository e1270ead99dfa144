// The command line in a pseudo-terminal: tables that fit, bars, the question before a deletion.
import { readdir, rm } from "node:fs/promises";
import { StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import { fill, golden, hasTerminal, inTerminal, plain, shownBy } from "./snapkeep.ts";

const widest = (text: string) => Math.max(...text.split("\n").map((line) => line.length));

describe.skipIf(!hasTerminal)("in a terminal", () => {
  it("list fits 80 columns, and 40, without cutting names", async () => {
    const folder = await temporaryFolder();
    await fill(folder, {
      labels: (step) => ({
        step,
        tags: ["nightly", "good"],
        remark: "a remark that is longer than any terminal is wide",
      }),
    });
    const wide = plain((await inTerminal(["list", "-s", folder])).screen);
    expect(widest(wide)).toBeLessThanOrEqual(80);
    expect(golden(wide)).toMatchInlineSnapshot(`
      "NAME                              AGE      SIZE  STATES  LAYOUT     LABELS
      2026-01-02_03-04-05,000001.state   3h    1019 B       2  directory  @nightly @g…
      2026-01-02_03-04-05,000002.state   2h  1.97 KiB       2  directory  @nightly @g…
      2026-01-02_03-04-05,000003.state   1h  2.96 KiB       2  directory  @nightly @g…
      "
    `);
    const narrow = plain((await inTerminal(["list", "-s", folder], { columns: 40 })).screen);
    expect(widest(narrow)).toBeLessThanOrEqual(40);
    expect(golden(narrow)).toMatchInlineSnapshot(`
      "NAME                              AGE
      2026-01-02_03-04-05,000001.state   3h
      2026-01-02_03-04-05,000002.state   2h
      2026-01-02_03-04-05,000003.state   1h
      "
    `);
  });

  it("history keeps the columns that there is room for in 40", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 2 });
    const { screen } = await inTerminal(["history", "run/run.json", "-s", folder], { columns: 40 });
    expect(golden(plain(screen))).toMatchInlineSnapshot(`
      "SNAPSHOT                          AGE
      2026-01-02_03-04-05,000001.state   2h
      2026-01-02_03-04-05,000002.state   1h
      2 changes in 2 snapshots
      "
    `);
  });

  it("the commands are listed within 80 columns", async () => {
    const [commands = ""] = plain((await inTerminal(["--help"])).screen).split("\nsnapkeep help ");
    expect(widest(commands)).toBeLessThanOrEqual(80);
    expect(commands).toContain("  diff [options] [a] [b] ");
  });

  it("has colours, unless NO_COLOR is set", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    expect((await inTerminal(["list", "-s", folder])).screen).toContain("\u001b[1m");
    expect((await inTerminal(["list", "-s", folder], { env: { NO_COLOR: "1" } })).screen).not.toContain("\u001b[");
  });

  it.each([80, 40])("verify shows a bar with rate and time left in %i columns, and removes it", async (columns) => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 2, bytes: () => new Uint8Array(60_000_000).fill(1) });
    const { code, screen } = await inTerminal(["verify", "-s", folder], { columns });
    expect(code).toBe(0);
    expect(screen).toMatch(/verify .*\d+%  .*\/s  .* left/);
    expect(plain(screen).split("\n").at(-2)).toContain("2 verified, no damage found");
  });

  it("shows results on lines of their own while a bar is shown, and the bar comes to 100 %", async () => {
    const folder = await temporaryFolder();
    const names = (await (await fill(folder, { bytes: () => new Uint8Array(20_000_000) })).list()).map(({ name }) =>
      name
    );
    const verified = (await inTerminal(["verify", "-s", folder])).screen;
    expect(verified).toMatch(/verify .*100%/);
    expect(shownBy(verified)).toEqual([
      ...names.map((name) => `ok       ${name}  2 entries, 19.1 MiB`),
      "3 verified, no damage found",
    ]);
    const to = await temporaryFolder();
    await rm(to, { recursive: true });
    const partly = (await inTerminal(["copy", "latest", "--to", to, "-s", folder])).screen;
    expect(partly).toMatch(/copy .*100%/);
    const copied = (await inTerminal(["copy", "--all", "--to", to, "-s", folder])).screen;
    expect(copied).toMatch(/copy .*100%/);
    expect(shownBy(copied)).toEqual([
      `copied  ${names[0]}`,
      `copied  ${names[1]}`,
      `present ${names[2]}`,
      "2 copied, 1 was there",
    ]);
    const into = await temporaryFolder();
    const imported = (await inTerminal(["import", `${folder}/${names[0]}`, `${to}/${names[1]}`, "-s", into])).screen;
    expect(imported).toMatch(/import .*100%/);
    expect(shownBy(imported)).toEqual(names.slice(0, 2));
  });

  it("shows no bar if stderr is piped", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    const { screen } = await inTerminal(["verify", "-s", folder], { shell: "2>&1 | cat" });
    expect(screen).not.toContain("left");
    expect(screen).not.toContain("\u001b");
  });

  it.each([["y\n", 1], ["n\n", 3], ["\n", 3]])(
    "prune asks, and does after %j what was answered",
    async (typed, left) => {
      const folder = await temporaryFolder();
      const store = await fill(folder);
      const { code, screen } = await inTerminal(["prune", "--keep-latest", "1", "-s", folder], {
        typed: [["[y/N] ", typed]],
      });
      expect(code).toBe(0);
      expect(screen).toContain(`Remove 2 snapshots from "${folder}"? [y/N]`);
      expect((await store.list()).length).toBe(left);
    },
  );

  it("prune tells what another program has removed meanwhile", async () => {
    const folder = await temporaryFolder();
    const [oldest] = await (await fill(folder)).list();
    const { code, screen } = await inTerminal(["prune", "--keep-latest", "1", "-s", folder], {
      typed: [["[y/N] ", "y\n", `rm -r '${folder}/${oldest?.name}'`]],
    });
    expect([code, screen]).toEqual([0, expect.stringMatching(/\n1 removed, 1 was gone already\n$/)]);
  });

  it("prune ends with 130 if the question is interrupted", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    const { code } = await inTerminal(["prune", "--keep-latest", "1", "-s", folder], { typed: [["[y/N] ", "\u0003"]] });
    expect(code).toBe(130);
    expect((await new StateStore(folder).list()).length).toBe(3);
  });

  it("cat refuses binary data and control characters without --force", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1, value: () => "text: äöü 日本" });
    for (const columns of [80]) {
      const refused = await inTerminal(["cat", "latest", "model/weights.bin", "-s", folder], { columns });
      expect([refused.code, refused.screen]).toEqual([2, expect.stringContaining("--force")]);
      expect(refused.screen).not.toContain("\u0001");
      expect((await inTerminal(["cat", "latest", "model/weights.bin", "--force", "-s", folder])).screen).toContain(
        "\u0001",
      );
      expect((await inTerminal(["cat", "latest", "run/run.json", "-s", folder])).screen).toBe('"text: äöü 日本"');
    }
  });

  it("export refuses to write an archive to it", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    const { code, screen } = await inTerminal(["export", "latest", "-s", folder]);
    expect([code, screen]).toEqual([2, expect.stringContaining("-o <file>")]);
    expect(await readdir(folder)).toHaveLength(1);
  });
});
