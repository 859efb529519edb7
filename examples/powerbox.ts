// Holds nothing, and asks a person for what it needs.
//
//   remit run examples/powerbox.ts         then, elsewhere, what it shows: remit give, remit deny
//
// It says what kind of tool it wants and what for. The person sees what of that kind there is, and
// picks: the choice of what to give is theirs, not yes or no to what the script would like.

export default async function (remit) {
  const folder = await remit.request({ tool: "fs", reason: "to count the words of a folder of your choice" });
  const paths: string[] = await folder.glob("**/*.md");
  const texts: string[] = await Promise.all(paths.map((path) => folder.read(path)));
  const words = texts.join(" ").split(/\s+/).filter((word) => word !== "").length;

  // What is not given is done without.
  let programs = "given";
  try {
    await remit.request({ tool: "shell", reason: "to count them again with wc" });
  } catch (error) {
    programs = error.message;
  }
  return { files: paths.length, words, programs };
}
