// How a unit is named after its snapshot.
import { expect, it } from "vitest";
import { isGroup, splitUnit, UNIT_SUFFIXES } from "../../src/model/unit.ts";

it("splits every unit into the snapshot's name and the suffix of its layout", () => {
  for (const suffix of UNIT_SUFFIXES) expect(splitUnit(`x.state${suffix}`)).toEqual({ name: "x.state", suffix });
});

it("does not split what is no unit", () => {
  for (const name of ["", "x.state", "x.gz", "x.TAR.GZ", "x.tar.gz.part", "/", ".tar.gz"]) {
    expect(splitUnit(name)).toBeUndefined();
  }
});

it("takes only what ends with a slash for a group", () => {
  expect(["x/", "x.tar.gz", "x"].map(isGroup)).toEqual([true, false, false]);
});
