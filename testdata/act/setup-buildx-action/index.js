// Makes a builder by the commands that docker/setup-buildx-action runs, and
// removes it at the job's end. (That one pulls BuildKit's image first.)
const { execFileSync } = require('node:child_process');
const { randomUUID } = require('node:crypto');
const fs = require('node:fs');
const { STATE_name, GITHUB_STATE, GITHUB_OUTPUT } = process.env;
const buildx = (...args) => execFileSync('docker', ['buildx', ...args], { stdio: ['ignore', 'inherit', 'inherit'] });

if (STATE_name) {
  buildx('rm', STATE_name);
} else {
  const name = `builder-${randomUUID()}`;
  const options = (process.env['INPUT_DRIVER-OPTS'] ?? '').split('\n').filter((line) => line).flatMap((line) => ['--driver-opt', line]);
  const flags = ['--buildkitd-flags', '--allow-insecure-entitlement security.insecure --allow-insecure-entitlement network.host'];
  fs.appendFileSync(GITHUB_STATE, `name=${name}\n`);
  buildx('create', '--name', name, '--driver', 'docker-container', ...options, ...flags, '--use');
  buildx('inspect', '--bootstrap', '--builder', name);
  fs.appendFileSync(GITHUB_OUTPUT, `name=${name}\n`);
}
