// Counts words with two helpers. Each is handed a third of what is left of the budget, and one
// folder, and the last third stays here; what a helper does not use comes back when it ends.
//
//   remit run examples/team.ts --grants examples/team.grants.toml

export default async function (remit, input) {
  const roots = input?.roots ?? ["docs", "examples"];
  const dirs = roots.map((root) => remit.files.dir(root));
  // Of three equal parts one goes to the first helper, then of the two that are left one to the next.
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

// What a helper does. It sees `remit.dir`, and no way from there to anywhere else.
export async function count(remit, { root }) {
  const entries = await remit.dir.list();
  const files = entries.filter((entry) => entry.kind === "file");
  const texts = await Promise.all(files.slice(0, 20).map((file) => remit.dir.read(file.name)));
  const words = texts.join(" ").split(/\s+/).filter((word) => word !== "").length;
  return { root, files: files.length, words };
}
