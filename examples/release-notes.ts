// Writes release notes for the repository in which it is run.
//
//   remit run examples/release-notes.ts
//
// It reads the history through `repo`, reads and searches files through `files`, counts words with
// a program through `programs`, and writes into the one folder that `out` opens. At the end it tries a
// call that was not granted, and reports the refusal. Its grants are in release-notes.grants.toml;
// `remit log` shows every call that it made.

interface Commit {
  short: string;
  author: string;
  timeMs: number;
  summary: string;
}

export default async function (remit, input) {
  const max = input?.max ?? 30;

  // Four concurrent calls.
  const [commits, readme, modules, manifests] = await Promise.all([
    remit.repo.log({ max }),
    remit.files.read("README.md").catch(missing("")),
    remit.files.search({ pattern: "^pub mod ", glob: "*.rs", max: 500 }),
    remit.files.glob("crates/*/Cargo.toml"),
  ]);

  const title = headline(readme) ?? "this repository";
  console.log(`${plural(commits.length, "commit")} of ${title}`);

  // A pipelined chain, sent in one round trip: a folder, a file in it, its content.
  const cargo = await remit.files.dir(".").file("Cargo.toml").read().catch(missing(""));
  const licence = cargo.match(/^license = "(.+)"$/m)?.[1] ?? "not stated";

  const notes = [
    `# Release notes: ${title}`,
    "",
    `Made ${day(remit.now())} from the last ${plural(commits.length, "commit")}.`,
    "",
    ...byDay(commits),
    "## In this repository",
    "",
    `- ${manifests.length} crates with ${modules.matches.length} public modules`,
    `- licence: ${licence}`,
    "",
  ].join("\n");

  const counted = await remit.programs.query("wc", ["-w"], { stdin: notes });
  const words = Number.parseInt(counted.stdout, 10);

  await remit.out.mkdir(".");
  await remit.out.write("release-notes.md", `${notes}\n${words} words.\n`);

  return {
    file: "examples/out/release-notes.md",
    commits: commits.length,
    words,
    refused: await attempt(() => remit.files.write("README.md", "owned")),
  };
}

/** Commits under a heading for each day, newest first. */
function byDay(commits: Commit[]): string[] {
  const days = new Map<string, Commit[]>();
  for (const commit of commits) {
    const when = day(commit.timeMs);
    days.set(when, [...(days.get(when) ?? []), commit]);
  }
  return [...days].flatMap(([when, made]) => [
    `## ${when}`,
    "",
    ...made.map((commit) => `- ${commit.summary} (${commit.short}, ${commit.author})`),
    "",
  ]);
}

/** The text of the first heading. */
function headline(markdown: string): string | undefined {
  return markdown.match(/^# +(.+)$/m)?.[1];
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function day(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 10);
}

/** Replaces a missing file by `instead`; rethrows any other error. */
function missing<T>(instead: T) {
  return (error) => {
    if (error.code !== "not-found") throw error;
    return instead;
  };
}

/** Makes a call that must be refused, and returns the refusal. */
async function attempt(what: () => Promise<unknown>) {
  try {
    await what();
    return "nothing: it was allowed";
  } catch (error) {
    return { code: error.code, message: error.message, caveat: error.caveat };
  }
}
