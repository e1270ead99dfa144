// What bundlers for browsers take instead of the library: the condition "browser" in package.json. It is CommonJS so that they
// accept imports of every name, and the program says itself what is wrong.
exports.isUnavailable = true;
throw new Error('Cannot use "snapkeep" in a browser: it needs the file system of Node, Deno or Bun');
