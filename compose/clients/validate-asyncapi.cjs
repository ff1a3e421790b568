// Validates an AsyncAPI document: fails on errors and on warnings.
//   node validate-asyncapi.cjs FILE
const { readFileSync } = require("node:fs");
const { Parser } = require("@asyncapi/parser");

const INFORMATION = 2;

(async () => {
  const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
  const problems = diagnostics.filter(({ severity }) => severity < INFORMATION);
  for (const { path, message } of problems) console.error(`${path.join(".")}: ${message}`);
  if (!document || problems.length > 0) process.exit(1);
  console.log(`${document.allMessages().length} frames on ${document.allChannels().length} sockets`);
})();
