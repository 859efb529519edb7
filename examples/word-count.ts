// Counts the words of the Markdown files below a folder, many files concurrently.
//
//   remit run examples/word-count.ts
//   remit run examples/word-count.ts --input '{"pattern": "**/*.rs"}'
//
// The grant allows only read-only methods and a bounded number of calls, which stops a runaway script.
// Each file is read by a pipelined chain, sent in one round trip.

const SIDE_BY_SIDE = 16;

export default async function (remit, input) {
  const paths: string[] = await remit.files.glob(input?.pattern ?? "**/*.md");
  const counts: { path: string; words: number }[] = [];

  for (let at = 0; at < paths.length; at += SIDE_BY_SIDE) {
    const some = paths.slice(at, at + SIDE_BY_SIDE);
    const texts = await Promise.all(some.map((path) => remit.files.file(path).read()));
    some.forEach((path, i) => counts.push({ path, words: words(texts[i]) }));
  }

  counts.sort((a, b) => b.words - a.words || (a.path < b.path ? -1 : 1));
  return {
    files: counts.length,
    words: counts.reduce((sum, { words }) => sum + words, 0),
    longest: counts.slice(0, 5),
  };
}

/** The number of words; 0 for bytes that are not text. */
function words(content: string): number {
  return content.includes("\ufffd") ? 0 : (content.match(/\S+/g) ?? []).length;
}
