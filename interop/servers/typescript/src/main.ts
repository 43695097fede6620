// A server in TypeScript for a part of the contract: TopicService and
// PublisherService, in memory. It shows what the contract asks of a server besides
// the messages.
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createRegistry } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { file_tidings_conformance_v1_every_kind as everyKind } from "@example/tidings/conformance/v1";
import { PublisherService, ServerService, TopicService } from "@example/tidings/v1";
import { EventTypes } from "./eventtypes.js";
import { serverInfo } from "./limits.js";
import { Publisher } from "./publisher.js";
import { Topics } from "./topics.js";

const types = new EventTypes([everyKind]);
const topics = new Topics(types);

const handler = connectNodeAdapter({
  // Above this a request is refused with no reason.
  readMaxBytes: 64 << 20,
  jsonOptions: {
    registry: createRegistry(everyKind, StringValueSchema),
    ignoreUnknownFields: false,
  },
  routes(router) {
    router.service(TopicService, topics);
    router.service(PublisherService, new Publisher(types, topics));
    router.service(ServerService, serverInfo);
  },
});

const http = createHttpServer(handler);
const http2 = createHttp2Server(handler);
const sockets = new Set<Socket>();

// HTTP/2 without TLS is known by how a connection begins; Node has no server for both.
const server = createServer((socket) => {
  sockets.add(socket);
  socket.once("close", () => sockets.delete(socket));
  socket.on("error", () => socket.destroy());
  socket.once("data", (data: Buffer) => {
    socket.pause();
    socket.unshift(data);
    // No method of HTTP/1.1 begins so. Each of the two takes the data that is there in its way.
    if (data.subarray(0, 3).toString() === "PRI") {
      http2.emit("connection", socket);
    } else {
      http.emit("connection", socket);
      socket.resume();
    }
  });
});
await once(server.listen(0, "127.0.0.1"), "listening");
const { port } = server.address() as AddressInfo;
console.log(`listening http=127.0.0.1:${port} grpc=127.0.0.1:${port}`);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    server.close();
    sockets.forEach((socket) => socket.destroySoon());
  });
}
