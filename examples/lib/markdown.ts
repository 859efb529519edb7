// As much Markdown as contents.ts needs.

/** A heading and how deep it stands, from 1. */
export interface Heading {
  level: number;
  text: string;
}

/** The headings of a text, without what only looks like one inside a code block. */
export function headings(markdown: string): Heading[] {
  const found: Heading[] = [];
  let inCode = false;
  for (const line of markdown.split("\n")) {
    if (line.startsWith("```")) inCode = !inCode;
    const match = inCode ? null : line.match(/^(#{1,6}) +(.+?) *#*$/);
    if (match) found.push({ level: match[1].length, text: match[2] });
  }
  return found;
}

/** Where a heading can be reached, seen from the folder two below the root. */
export function link(path: string, heading: string): string {
  const anchor = heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");
  return `../../${path}#${anchor}`;
}
