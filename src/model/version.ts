// The one place that knows which snapkeep this is; a test keeps it equal to package.json and deno.json.

/** Version of this library, as written into every manifest. */
export const VERSION = "0.1.0";

/** Version of the snapshot format this library writes, and the only one there is; those before it were drafts. */
export const FORMAT_VERSION = 1;
