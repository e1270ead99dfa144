// The only file that knows node:zlib. Where a bundler replaces it by nothing, its functions are absent and the pure codec
// serves instead.
export * as zlib from "node:zlib";
