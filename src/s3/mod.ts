/**
 * Snapshots on an S3-compatible object store: AWS S3, Ceph, R2 and others.
 *
 * It needs the package `@aws-sdk/client-s3`, an optional peer dependency of snapkeep.
 *
 * @module
 */
export type { S3Credentials, S3Options } from "./address.ts";
export type { Conditions as S3Conditions } from "./probe.ts";
export { type S3Backend, s3Backend } from "./s3_backend.ts";
