// Runs the script with as much of @actions/core as action.yml uses.
const fs = require('node:fs');
const core = {
  setSecret: (value) => { if (value) console.log(`::add-mask::${value}`); },
  setOutput: (name, value) => fs.appendFileSync(process.env.GITHUB_OUTPUT, `${name}<<END-OF-${name}\n${value}\nEND-OF-${name}\n`),
};
new Function('core', process.env.INPUT_SCRIPT)(core);
