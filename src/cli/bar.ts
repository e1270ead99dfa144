// A progress bar with rate and time left, on a terminal only. The only file that knows cli-progress.
import { SingleBar } from "cli-progress";

/** Writes sizes and times for people. */
export interface BarTexts {
  /** Such as `12.5 MiB`. */
  readonly size: (bytes: number) => string;
  /** Such as `3m`. */
  readonly time: (lengthMs: number) => string;
}

const WIDE = 60;

/**
 * Shows a bar until it is stopped.
 *
 * @param stream The terminal.
 * @param task What is done, as text that is safe on a terminal.
 * @param totalBytes All bytes there are.
 * @param texts Writes sizes and times.
 * @returns Sets the bytes done, which shows the bar again if it was hidden; hides it, so that a line can be written; removes it.
 */
export function startBar(
  stream: NodeJS.WriteStream,
  task: string,
  totalBytes: number,
  { size, time }: BarTexts,
): { set(doneBytes: number): void; hide(): void; stop(): void } {
  const sinceMs = performance.now();
  const bar = new SingleBar({
    stream,
    clearOnComplete: true,
    hideCursor: true,
    gracefulExit: false,
    fps: 10,
    // A format of our own: bytes per second and the time left follow from all bytes since the start.
    format: (_options, { progress, value }) => {
      const elapsedMs = Math.max(1, performance.now() - sinceMs);
      const rate = value / elapsedMs;
      const left = rate > 0 ? time((totalBytes - value) / rate) : "?";
      const percent = `${String(Math.floor(progress * 100)).padStart(3)}%`;
      const numbers = `${percent}  ${size(rate * 1000)}/s  ${left} left`;
      const columns = stream.columns || 80;
      if (columns < WIDE) return `${task} ${numbers}`.slice(0, columns - 1);
      const room = Math.max(10, Math.min(30, columns - task.length - numbers.length - 5));
      const full = Math.round(progress * room);
      return `${task} [${"#".repeat(full)}${"-".repeat(room - full)}] ${numbers}`.slice(0, columns - 1);
    },
  });
  let isShown = false;
  let isOver = false;
  const set = (doneBytes: number): void => {
    const value = Math.min(doneBytes, totalBytes);
    if (isOver) return;
    if (isShown) bar.update(value);
    else bar.start(Math.max(1, totalBytes), value);
    isShown = true;
  };
  const hide = (): void => {
    if (isShown) bar.stop();
    isShown = false;
  };
  set(0);
  return {
    set,
    hide,
    stop: () => {
      hide();
      isOver = true;
    },
  };
}
