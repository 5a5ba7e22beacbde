/** What a heading is called in an address, as GitHub makes it, so that links lead to the same place there and on the site. */
export const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");
