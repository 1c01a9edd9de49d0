// Logs in by the command that docker/login-action runs, and out at the job's end.
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const { STATE_registry, GITHUB_STATE, INPUT_REGISTRY, INPUT_USERNAME, INPUT_PASSWORD } = process.env;
const docker = (args, input) => execFileSync('docker', args, { input, stdio: [input ? 'pipe' : 'ignore', 'inherit', 'inherit'] });

if (STATE_registry) {
  docker(['logout', STATE_registry]);
} else {
  docker(['login', '--password-stdin', '--username', INPUT_USERNAME, INPUT_REGISTRY], INPUT_PASSWORD);
  fs.appendFileSync(GITHUB_STATE, `registry=${INPUT_REGISTRY}\n`);
}
