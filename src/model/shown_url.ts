// URLs carry secrets: user names, passwords, signatures. What is shown of a URL has none of them.

/**
 * Writes a URL for messages, without user information, query and fragment.
 *
 * @param url Any URL.
 * @returns Its text; a query is shown as `?…`.
 */
export function shownUrl(url: URL): string {
  const shown = new URL(url);
  [shown.username, shown.password, shown.search, shown.hash] = ["", "", "", ""];
  return shown.href.replace(/\?$/, "") + (url.search === "" ? "" : "?…");
}
