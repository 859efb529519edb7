// Writes a table of contents of all Markdown files, page by page, with a pause after each.
//
//   remit run examples/contents.ts
//
// The script imports a module, which is submitted with it. It is slow on purpose: kill any process of
// the mesh while it runs, then run `remit attach`. Each page is appended exactly once, because a
// recorded call is never made again.

import { type Heading, headings, link } from "./lib/markdown";

const PAUSE_MS = 100;

export default async function (remit, input) {
  const paths: string[] = await remit.files.glob(input?.pattern ?? "**/*.md");
  paths.sort();

  await remit.out.mkdir(".");
  await remit.out.write("contents.md", "# Contents\n");

  const skipped: string[] = [];
  let total = 0;
  for (const [page, path] of paths.entries()) {
    const found = await outline(remit, path);
    if (found.length === 0) {
      skipped.push(path);
      continue;
    }
    total += found.length;
    await remit.out.append("contents.md", section(path, found));
    console.log(`${page + 1}/${paths.length} ${path}: ${found.length} headings`);
    await remit.sleep(PAUSE_MS);
  }

  const written: string = await remit.out.read("contents.md");
  const sections = written.split("\n").filter((line) => line.startsWith("## ")).length;
  if (sections !== paths.length - skipped.length) {
    throw new Error(`${sections} sections were written for ${paths.length - skipped.length} files`);
  }
  return { file: "examples/out/contents.md", sections, headings: total, skipped };
}

/** The headings of a file; none if it was removed meanwhile or is not text. */
async function outline(remit, path: string): Promise<Heading[]> {
  try {
    const text = await remit.files.read(path);
    return text.includes("\ufffd") ? [] : headings(text);
  } catch (error) {
    if (error.code === "not-found") return [];
    throw error;
  }
}

function section(path: string, found: Heading[]): string {
  const lines = found.map(({ level, text }) => {
    const indent = "  ".repeat(level - 1);
    return `${indent}- [${text}](${link(path, text)})`;
  });
  return ["", `## ${path}`, "", ...lines, ""].join("\n");
}
