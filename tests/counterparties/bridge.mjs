// Runs the replica of Stripe in Pyodide and serves it on 127.0.0.1: `node bridge.mjs INSTALLATION SCRIPT`.
// Prints its port, or in one line why it could not start; ends when its standard input does, so that it never
// outlives whoever started it.
import http from "node:http";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [installation, script] = process.argv.slice(2);

const start = async () => {
  const { loadPyodide } = await import(pathToFileURL(`${installation}/node_modules/pyodide/pyodide.mjs`).href);
  const python = await loadPyodide();
  python.FS.mkdirTree("/site");
  python.mountNodeFS("/site", `${installation}/site`);
  python.runPython(readFileSync(script, "utf8"));
  return python.globals.get("answer");
};

const answer = await start().catch((error) => {
  console.log(String(error.message).trim().split("\n").pop());
  process.exit(1);
});

// The world is the account in `Stripe-Account`; a live key opens its live twin.
const serve = (request, body) => {
  const url = new URL(request.url, "http://replica");
  const account = request.headers["stripe-account"] || "acct_platform";
  const isLive = /[ _]live_/.test(request.headers.authorization || "");
  const headers = JSON.stringify(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  const path = decodeURIComponent(url.pathname);
  // A Buffer would crash Pyodide: it gets plain bytes.
  return JSON.parse(answer(account, isLive, request.method, path, url.search.slice(1), headers, new Uint8Array(body)));
};

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    try {
      const [status, headers, text] = serve(request, Buffer.concat(chunks));
      response.writeHead(status, Object.fromEntries(headers)).end(text);
    } catch (error) {
      response.writeHead(500).end(JSON.stringify({ bridge_error: String(error.message) }));
    }
  });
});
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
