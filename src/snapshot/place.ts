// From what a caller calls a place to a backend: a folder, or a prefix of a bucket.
import { type Durability, fileBackend } from "../file/file_backend.ts";
import { type Address, type PathOrUrl, readAddress, showAddress, splitPath } from "../model/address.ts";
import type { Backend } from "../model/backend.ts";
import { isS3Url, type S3Options } from "../s3/address.ts";
import { s3Backend } from "../s3/s3_backend.ts";

/** What a caller says of an object store, as `s3Backend` takes it. */
export type S3Promise = Pick<S3Options, "withoutConditions">;

/** The backend of a folder, or of an `s3:` URL, which has no choice of durability. */
export function placeAt(where: PathOrUrl, durability?: Durability, promise?: S3Promise): Backend {
  const options = durability === undefined ? {} : { durability };
  if (where === "") return fileBackend(where, options); // which says what is wrong
  const { url, shown } = readAddress(where);
  if (url === undefined) return fileBackend(where, options);
  if (!isS3Url(url)) throw notAPlace(shown);
  if (durability !== undefined) {
    throw new TypeError(`Cannot set the durability of ${showAddress(shown)}: an object store is always durable`);
  }
  return s3Backend({ url, ...promise });
}

/** The place and the file name of a snapshot at a path, or at an `s3:` URL. */
export function splitPlace(
  where: PathOrUrl,
  promise?: S3Promise,
): { readonly backend: Backend; readonly fileName: string } {
  const address = readAddress(where);
  if (address.path === undefined) return splitS3Url(address, promise);
  const { folder, fileName } = splitPath(address.path);
  return { backend: fileBackend(folder), fileName };
}

function notAPlace(shown: string): TypeError {
  return new TypeError(`Cannot use ${showAddress(shown)} as a place: expected a path, or a URL of file: or s3:`);
}

function splitS3Url({ url, shown }: Address, promise: S3Promise | undefined): { backend: Backend; fileName: string } {
  if (url === undefined || !isS3Url(url)) throw notAPlace(shown);
  const path = url.pathname.replace(/\/$/, "");
  const slash = path.lastIndexOf("/");
  const folder = new URL(url);
  folder.pathname = path.slice(0, slash + 1);
  const backend = s3Backend({ url: folder, ...promise }); // refuses what is wrong with the rest of the URL
  let fileName: string;
  try {
    fileName = decodeURIComponent(path.slice(slash + 1));
  } catch {
    throw new TypeError(`Cannot locate ${showAddress(shown)}: its escapes are not UTF-8`);
  }
  if (fileName === "") throw new TypeError(`Cannot locate ${showAddress(shown)}: it names a bucket and no snapshot`);
  return { backend, fileName };
}
