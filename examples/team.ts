// Counts words with two helpers. Each gets one folder and a third of the remaining budget, and the last
// third stays here. The unused part of a helper's budget is returned when the helper ends.
//
//   remit run examples/team.ts --grants examples/team.grants.toml

export default async function (remit, input) {
  const roots = input?.roots ?? ["docs", "examples"];
  const dirs = roots.map((root) => remit.files.dir(root));
  // The first helper gets one of three equal parts, the second one half of the remainder.
  const parts = dirs.map((dir, at) => dir.split({ calls: `1/${dirs.length + 1 - at}` }));
  const tasks = roots.map((root, at) =>
    remit.spawn({
      export: "count",
      name: `count ${root}`,
      input: { root },
      grants: { dir: parts[at] },
    }),
  );
  const counts = await Promise.all(tasks.map((task) => task.result()));
  return { counts, words: counts.reduce((sum, one) => sum + one.words, 0) };
}

// The program of a helper. It holds `remit.dir` and cannot reach anything outside that folder.
export async function count(remit, { root }) {
  const entries = await remit.dir.list();
  const files = entries.filter((entry) => entry.kind === "file");
  const texts = await Promise.all(files.slice(0, 20).map((file) => remit.dir.read(file.name)));
  const words = texts.join(" ").split(/\s+/).filter((word) => word !== "").length;
  return { root, files: files.length, words };
}
