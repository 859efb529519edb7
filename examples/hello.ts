// The smallest task: it holds nothing, so it can reach nothing, and returns a value.
//
//   remit run examples/hello.ts --input '"Ada"'
//
// The clock and the dice are given by the mesh: run again after a crash, they show the same.

export default async function (remit, input) {
  const name = input ?? "world";
  const greetings = ["Hello", "Good day", "Welcome"];
  const greeting = greetings[Math.floor(remit.random() * greetings.length)];
  console.log(`greeting ${name}`);
  return { greeting: `${greeting}, ${name}!`, at: new Date(remit.now()).toISOString() };
}
