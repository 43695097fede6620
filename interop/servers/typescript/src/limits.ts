// What the server accepts, and tidings.v1.ServerService, which says so.
import { readFileSync } from "node:fs";
import type { ServiceImpl } from "@connectrpc/connect";
import { Feature, type ServerService } from "@example/tidings/v1";

export const maxRequestBytes = 4 << 20;
export const maxEventBytes = 1 << 20;
export const maxEvents = 4096;
/** In a topic with DEDUPE_EVENT. */
export const maxEventsByEvent = 1000;

const features = [
  Feature.EXACT_COUNTS,
  Feature.KEY_PRECONDITIONS,
  Feature.MULTIPLE_PRECONDITIONS,
];

const manifest = new URL(import.meta.resolve("@example/tidings/package.json"));
const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };

export const serverInfo: ServiceImpl<typeof ServerService> = {
  // The durability isn't said: the contract has no name for events in memory.
  getServerInfo: () => ({
    version,
    limits: {
      maxRequestBytes: BigInt(maxRequestBytes),
      maxEventBytes: BigInt(maxEventBytes),
      maxEventsPerRequest: maxEvents,
      maxEventsPerDedupeEventRequest: maxEventsByEvent,
    },
    features: features.map((feature) => Feature[feature]),
  }),
};
