// Has no grants, and asks a person for the capabilities that it needs.
//
//   remit run examples/powerbox.ts         then, in another terminal, the commands that it shows
//
// It names a kind of tool and a purpose. The person sees the available tools of that kind and picks a
// grant, so the script does not propose one to say yes or no to.

export default async function (remit) {
  const folder = await remit.request({ tool: "fs", reason: "to count the words of a folder of your choice" });
  const paths: string[] = await folder.glob("**/*.md");
  const texts: string[] = await Promise.all(paths.map((path) => folder.read(path)));
  const words = texts.join(" ").split(/\s+/).filter((word) => word !== "").length;

  // The script works without the second capability.
  let programs = "given";
  try {
    await remit.request({ tool: "shell", reason: "to count them again with wc" });
  } catch (error) {
    programs = error.message;
  }
  return { files: paths.length, words, programs };
}
