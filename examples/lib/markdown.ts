// The part of Markdown that contents.ts needs.

/** A heading and its level, from 1. */
export interface Heading {
  level: number;
  text: string;
}

/** The headings of a text, without lines of code blocks that look like headings. */
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

/** A link to a heading, relative to a folder two levels below the root. */
export function link(path: string, heading: string): string {
  const anchor = heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");
  return `../../${path}#${anchor}`;
}
