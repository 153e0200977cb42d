// Stops with a clear message where the scripts would run on a Node that is too old. Runs on any Node.
const required = 24
const running = process.versions.node

if (Number(running.split(".")[0]) < required) {
  console.error([
    "",
    `Chronovyan's scripts need Node ${required} or newer, and this is Node ${running}.`,
    "",
    `Node ${required} comes with the repository as the dev dependency \`node\`, whose install script puts the binary`,
    "in node_modules/node/bin. It is not there, so that script did not run: the packages were not installed,",
    "or were installed with --ignore-scripts. Either of these repairs it:",
    "",
    "  npm ci",
    "  npm rebuild node --ignore-scripts=false",
    "",
    `Or run the command again with a Node ${required} of your own.`,
    ""
  ].join("\n"))
  process.exit(1)
}
