// The one place that knows which snapkeep this is; a test keeps it equal to package.json and deno.json.

/** Version of this library, as written into every manifest. */
export const VERSION = "0.1.0";
