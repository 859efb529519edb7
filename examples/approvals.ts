// Publishes pages, each after a person's decision.
//
//   remit run examples/approvals.ts        then, in another terminal, the commands that it shows
//
// The script may create and read the folder freely. Every call that writes or removes is held until a
// person approves it, with its own or other arguments, or denies it. `remit inbox` lists held calls.
// They survive if the whole mesh is killed while the script waits.

export default async function (remit) {
  await remit.site.mkdir(".");
  const said: string[] = [];

  for (const [path, content] of [
    ["welcome.md", "# Welcome\n\nThis page was approved.\n"],
    ["prices.md", "# Prices\n\nAll of it is free, says the agent.\n"],
  ]) {
    said.push(await decided(`write ${path}`, () => remit.site.write({ path, content })));
  }
  said.push(await decided("remove welcome.md", () => remit.site.remove("welcome.md")));

  const pages: { name: string }[] = await remit.site.list(".");
  return { said, pages: pages.map((page) => page.name).sort() };
}

/** Makes a call that a person decides on, and describes the decision. */
async function decided(what: string, call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return `${what}: done`;
  } catch (error) {
    if (error.code !== "denied") throw error;
    return `${what}: ${error.message}`;
  }
}
