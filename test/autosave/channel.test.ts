// Events reach the subscribers of the channel, without the program's doing.
import diagnostics from "node:diagnostics_channel";
import { AUTOSAVE_CHANNEL, type SaveEvent } from "snapkeep";
import { expect, it, onTestFinished } from "vitest";
import { makeWorld } from "./world.ts";

it("publishes each event on the diagnostics channel, also without an onEvent, and survives its subscribers", async () => {
  const received: SaveEvent[] = [];
  const subscriber = (event: unknown) => void received.push(event as SaveEvent);
  diagnostics.subscribe(AUTOSAVE_CHANNEL, subscriber);
  onTestFinished(() => void diagnostics.unsubscribe(AUTOSAVE_CHANNEL, subscriber));
  const { saver, events, store } = makeWorld({});
  await saver.requestSave();
  await saver.close();
  await saver.requestSave();
  expect(received).toEqual(events);
  expect(received.map(({ outcome }) => outcome)).toEqual(["saved", "saved", "skipped"]);
  expect(new Set(received.map(({ uri }) => uri))).toEqual(new Set([store.backend.uri]));
});
