// The client in TypeScript, with Connect for Node over all of its transports.
// README.md in the directory above says what it does.
import type { Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { registry, Scenario, type TransportOptions } from "./scenario.js";

/** How long a call may take where it says nothing else. */
const patience = { defaultTimeoutMs: 10_000 };

const transports: Record<string, (options: TransportOptions) => Transport> = {
  connect: (options) => createConnectTransport({ ...options, ...patience, useHttpGet: true }),
  "connect-json": (options) =>
    createConnectTransport({
      ...options,
      ...patience,
      useHttpGet: true,
      useBinaryFormat: false,
      jsonOptions: { registry },
    }),
  // Unlike gRPC, it needs no HTTP/2.
  "grpc-web": (options) => createGrpcWebTransport({ ...options, ...patience, httpVersion: "1.1" }),
  grpc: (options) => createGrpcTransport({ ...options, ...patience }),
};

/** An environment variable, which has to be set. */
function variable(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set`);
  }
  return value;
}

const transport = variable("TIDINGS_TRANSPORT");
const createTransport = transports[transport];
if (!createTransport) {
  throw new Error(
    `TIDINGS_TRANSPORT is ${transport}, want one of ${Object.keys(transports).join(", ")}`,
  );
}
const scenario = new Scenario({
  createTransport,
  baseUrl: transport === "grpc" ? `http://${variable("TIDINGS_GRPC")}` : variable("TIDINGS_URL"),
  bidirectional: transport !== "grpc-web",
  topic: variable("TIDINGS_TOPIC"),
  golden: variable("TIDINGS_GOLDEN"),
  out: variable("TIDINGS_OUT"),
});
for (const [name, run] of scenario.steps) {
  try {
    await run();
    console.log(`${name} ok`);
  } catch (error) {
    console.log(`${name} fail: ${String(error).replaceAll(/\s+/g, " ")}`);
    console.error(error);
    process.exitCode = 1;
  }
}
