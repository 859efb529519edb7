// Publishes pages, each once a person has decided on it.
//
//   remit run examples/approvals.ts        then, elsewhere, what it shows: remit approve, remit deny
//
// It may make the folder and read what is there as it likes. Every call that writes or removes is
// held until somebody approves of it, with its arguments or others; `remit inbox` shows what waits.
// Nothing is lost if all of this is killed while it waits.

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

/** What became of a call that a person decides on. */
async function decided(what: string, call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return `${what}: done`;
  } catch (error) {
    if (error.code !== "denied") throw error;
    return `${what}: ${error.message}`;
  }
}
