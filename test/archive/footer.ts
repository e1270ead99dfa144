// The footer of eStargz, made without the library.
import { Buffer } from "node:buffer";

/** How many bytes it has. */
export const FOOTER_BYTES = 51;

/** The last bytes of eStargz. */
export function footer(tableOffset: number): Uint8Array {
  return Buffer.concat([
    Buffer.from("1f8b08040000000000ff1a0053471600", "hex"),
    Buffer.from(`${tableOffset.toString(16).padStart(16, "0")}STARGZ`),
    Buffer.from("010000ffff0000000000000000", "hex"),
  ]);
}
