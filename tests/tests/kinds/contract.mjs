// Sends requests on by way of prism (@stoplight/prism-cli), one for each specification, and prints what prism finds wrong with
// each request: prism, as a proxy, says so in the header sl-violations. Started by contract.rs:
//   node contract.mjs '[{"prefix": "/api/v3/io/companies", "strip": "/api/v3/io", "spec": "…/company.yaml", "upstream": "http://…/api/v3/io"}, …]'
// Ends, with its children, when its standard input is closed.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const routes = JSON.parse(process.argv[2]);
const prism = (process.env.TRADEFLOW_PRISM ?? 'npx --yes @stoplight/prism-cli@5').split(' ');
const children = [];
// Specifications name parts of each other by where they are on the web. Here they are next to each other: a copy says so.
const copies = fs.mkdtempSync(path.join(os.tmpdir(), 'contract-'));
const web = /https:\/\/raw\.githubusercontent\.com\/bigcommerce\/docs\/(?:refs\/heads\/)?main\//g;
const copied = new Map(); // folder of specifications → its copy
function local(root) {
  if (!copied.has(root)) {
    const copy = path.join(copies, String(copied.size));
    copied.set(root, copy);
    for (const name of fs.readdirSync(root, { recursive: true })) {
      if (!/\.(ya?ml|json)$/.test(name) || name.startsWith('.git')) continue;
      const text = fs.readFileSync(path.join(root, name), 'utf8').replace(web, `${copy}/`);
      fs.mkdirSync(path.dirname(path.join(copy, name)), { recursive: true });
      fs.writeFileSync(path.join(copy, name), text);
    }
  }
  return copied.get(root);
}

const end = () => { fs.rmSync(copies, { recursive: true, force: true }); children.forEach((child) => child.kill('SIGKILL')); process.exit(0); };
process.stdin.on('end', end).resume();
process.on('SIGTERM', end);

const freePort = () => new Promise((resolve) => {
  const server = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

const proxies = new Map(); // specification and upstream → the port of its prism, once it listens
async function launch(spec, upstream) {
  const port = await freePort();
  const child = spawn(prism[0], [...prism.slice(1), 'proxy', spec, upstream, '-h', '127.0.0.1', '-p', String(port)]);
  children.push(child);
  await new Promise((resolve, reject) => {
    let said = '';
    const hear = (data) => { said += data; if (said.includes('Prism is listening')) resolve(); };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('exit', () => reject(new Error(`prism ended: ${said}`)));
  });
  return port;
}

async function start(route, place) {
  if (route.root) route.spec = path.join(local(route.root), path.relative(route.root, route.spec));
  const name = `${route.spec} ${route.upstream}`;
  if (!proxies.has(name)) proxies.set(name, launch(route.spec, route.upstream));
  route.port = await proxies.get(name);
  console.log(`ready ${place}`);
}

await Promise.all(routes.map(start));
routes.sort((a, b) => (b.prefix.length + (b.contains ?? '').length) - (a.prefix.length + (a.contains ?? '').length));

const server = http.createServer((request, response) => {
  const route = routes.find(({ prefix, contains = '' }) => request.url.startsWith(prefix) && request.url.includes(contains));
  if (!route) {
    console.log(JSON.stringify({ method: request.method, url: request.url, violations: [{ message: 'no specification has this path' }] }));
    response.writeHead(404).end('{}');
    return;
  }
  const options = { host: '127.0.0.1', port: route.port, method: request.method, path: request.url.slice(route.strip.length), headers: request.headers };
  const passed = http.request(options, (answer) => {
    const said = answer.headers['sl-violations'];
    const found = said ? JSON.parse(said) : [];
    // Of answers the fakes are the authors, not we.
    const violations = found.filter(({ location }) => location?.[0] === 'request');
    const unknown = answer.statusCode === 404 && String(answer.headers['content-type']).includes('problem+json');
    if (unknown) violations.push({ message: 'the specification has no such operation' });
    console.log(JSON.stringify({ method: request.method, url: request.url, violations }));
    delete answer.headers['sl-violations'];
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  passed.on('error', (error) => { response.writeHead(502).end(String(error)); });
  request.pipe(passed);
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
