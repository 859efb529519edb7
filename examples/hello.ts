// The smallest task: it has no grants, so it can reach nothing, and returns a value.
//
//   remit run examples/hello.ts --input '"Ada"'
//
// The mesh provides the clock and the random numbers: a replay after a crash sees the same values.

export default async function (remit, input) {
  const name = input ?? "world";
  const greetings = ["Hello", "Good day", "Welcome"];
  const greeting = greetings[Math.floor(remit.random() * greetings.length)];
  console.log(`greeting ${name}`);
  return { greeting: `${greeting}, ${name}!`, at: new Date(remit.now()).toISOString() };
}
