/**
 * The contract of backends, for those who write one: where snapshots lie, such as a key-value store or a bucket.
 *
 * `backendConformance` in `snapkeep/testing` is this contract as tests. `examples/key_value_backend` is a backend to start from.
 *
 * @example Take a unit apart, and refuse a name that leads out of the place
 * ```ts
 * import { assertSnapshotName, splitUnit } from "snapkeep/backend";
 *
 * const { name = "", suffix } = splitUnit("2026-11-23.state.tar.gz") ?? {};
 * assertSnapshotName(name);
 * console.log(name, suffix);
 * ```
 *
 * @module
 */
export type {
  Backend,
  BlobInfo,
  BlobReader,
  ByteReader,
  ByteSource,
  ForeignFolders,
  Journal,
  ListOptions,
  LockOptions,
  NoteOptions,
  Scratch,
  SnapshotNotes,
  Stage,
  StageOptions,
  WorkFolder,
} from "../model/backend.ts";
export { assertSnapshotName } from "../model/entry_path.ts";
export { storageError } from "../model/errors.ts";
export type { EntryReader, OpenedManifest, SealedManifest, UnitReader } from "../model/snapshot.ts";
export { splitUnit, type Unit, type UnitSuffix } from "../model/unit.ts";
