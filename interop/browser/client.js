// The client in JavaScript in a browser: serves a page, opens it in Chromium and
// has it do the steps, which are in page.js. README.md in the directory above says
// what they are.
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { basename, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { chromium } from "playwright-core";

/** How long a step may take, in milliseconds. */
const patience = 10_000;

/** An environment variable, which has to be set. */
function variable(name) {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set`);
  }
  return value;
}

const url = variable("TIDINGS_URL");
const golden = variable("TIDINGS_GOLDEN");
const out = variable("TIDINGS_OUT");
const script = new URL("build/page.js", import.meta.url);

/** Answers the page: with itself, with files, and with what the server answers. */
async function answer(incoming, outgoing) {
  const { pathname } = new URL(incoming.url, url);
  const file = basename(pathname);
  if (pathname === "/") {
    outgoing.setHeader("Content-Type", "text/html; charset=utf-8");
    outgoing.end('<!doctype html><link rel="icon" href="data:,"><script src="/page.js"></script>');
  } else if (pathname === "/page.js") {
    outgoing.setHeader("Content-Type", "text/javascript; charset=utf-8");
    outgoing.end(await readFile(script));
  } else if (pathname === "/golden/") {
    outgoing.end(JSON.stringify(await readdir(golden)));
  } else if (pathname.startsWith("/golden/")) {
    outgoing.end(await readFile(join(golden, file)));
  } else if (pathname.startsWith("/out/") && incoming.method === "PUT") {
    await writeFile(join(out, file), await buffer(incoming));
    outgoing.end();
  } else {
    await forward(incoming, outgoing);
  }
}

/** Forwards a call to the server, so that it has the origin of the page. */
async function forward(incoming, outgoing) {
  const { method, headers } = incoming;
  const call = request(new URL(incoming.url, url), { method, headers });
  // A call that the page gives up is given up.
  outgoing.once("close", () => call.destroy());
  incoming.pipe(call);
  const [response] = await once(call, "response");
  outgoing.writeHead(response.statusCode, response.headers);
  outgoing.flushHeaders();
  await pipeline(response, outgoing);
}

const server = createServer((incoming, outgoing) => {
  answer(incoming, outgoing).catch((error) => {
    if (!outgoing.destroyed) {
      console.error(`${incoming.method} ${incoming.url}: ${error.message}`);
      outgoing.destroy();
    }
  });
});
await once(server.listen(0, "127.0.0.1"), "listening");

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--disable-gpu", "--disable-quic"],
  timeout: 3 * patience,
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.evaluate(
    ([transport, topic]) => globalThis.page.setUp(transport, topic),
    [variable("TIDINGS_TRANSPORT"), variable("TIDINGS_TOPIC")],
  );
  for (const step of await page.evaluate(() => Object.keys(globalThis.page.steps))) {
    try {
      await page.evaluate((name) => globalThis.page.steps[name](), step);
      console.log(`${step} ok`);
    } catch (error) {
      console.log(`${step} fail: ${String(error).replaceAll(/\s+/g, " ")}`);
      process.exitCode = 1;
    }
  }
} finally {
  await browser.close();
  server.closeAllConnections();
  server.close();
}
