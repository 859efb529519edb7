// A game that waits for a person: input, sleep, and state that survives a crash.
//
//   remit run examples/guess.ts                      then, elsewhere: remit send guess 50
//   remit run examples/guess.ts --input '{"alone": true}'    plays by itself
//
// Stop it with Ctrl-C and continue with `remit attach`: the secret number and all guesses are still
// there, because the task's journal holds them.

export default async function (remit, input) {
  const highest = input?.highest ?? 100;
  const secret = 1 + Math.floor(remit.random() * highest);
  const player = input?.alone ? halving(highest) : person(remit);

  for (let guesses = 1; ; guesses++) {
    const guess = await player.next();
    if (guess === secret) {
      console.log(`${guess} is right`);
      return { secret, guesses };
    }
    const hint = guess < secret ? "higher" : "lower";
    console.log(`${guess} is wrong: ${hint}`);
    player.told(hint);
    await remit.sleep(50);
  }
}

/** A person who sends numbers. */
function person(remit) {
  return {
    async next(): Promise<number> {
      for (;;) {
        const guess = Number(await remit.input());
        if (Number.isInteger(guess)) return guess;
        console.warn("send a whole number");
      }
    },
    told() {},
  };
}

/** A player that halves the remaining range. */
function halving(highest: number) {
  let [low, high] = [1, highest];
  const middle = () => Math.floor((low + high) / 2);
  return {
    async next(): Promise<number> {
      return middle();
    },
    told(hint: string) {
      if (hint === "higher") low = middle() + 1;
      else high = middle() - 1;
    },
  };
}
