// Publishes an event with an API key, over TLS. README.md in the directory above says how it
// is run.
import { readFile } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { EveryKindSchema } from "@example/tidings/conformance/v1";
import { PublisherService } from "@example/tidings/v1";

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} isn't set`);
  return value;
}

const topic = variable("TIDINGS_TOPIC");
const tokenFile = variable("TIDINGS_TOKEN_FILE");
const token = tokenFile ? (await readFile(tokenFile, "utf8")).trim() : "";
const value = create(EveryKindSchema, { name: "access", email: "ada@example.com" });
const event = { id: "access", source: "/interop", data: anyPack(EveryKindSchema, value) };

async function publish(baseUrl: string, authorities: Buffer): Promise<void> {
  // docs:begin
  const authorize: Interceptor = (next) => (request) => {
    if (token !== "") request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
  const transport = createConnectTransport({
    baseUrl, // https://…
    httpVersion: "2",
    nodeOptions: { ca: authorities },
    interceptors: [authorize],
  });
  const publisher = createClient(PublisherService, transport);
  await publisher.publish({ topic, events: [event] }, { timeoutMs: 10_000 });
  // docs:end
}

try {
  await publish(variable("TIDINGS_URL"), await readFile(variable("TIDINGS_CA_FILE")));
  process.exit(0); // The connection stays open otherwise.
} catch (error) {
  console.log(Code[ConnectError.from(error).code]);
  process.exit(1);
}
