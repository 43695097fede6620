// tidings.v1.PublisherService.
import {
  create,
  type DescMessage,
  fromBinary,
  type Message,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Path } from "@bufbuild/protobuf/reflect";
import { Violation } from "@bufbuild/protovalidate";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ErrorReason,
  type Event,
  EventSchema,
  type ImportRequest,
  ImportRequestSchema,
  type ImportResponse,
  ImportResponseSchema,
  type PublisherService,
  type PublishRequest,
  PublishRequestSchema,
  type PublishResponse,
  PublishResponseSchema,
  type PublishStreamRequest,
  PublishStreamRequestSchema,
  RefusedEventSchema,
} from "@example/tidings/v1";
import { type Accepted, Batch, checkSubjects } from "./batch.js";
import type { EventType, EventTypes } from "./eventtypes.js";
import { aboutField, aboutRules, Fault, violationsOf } from "./faults.js";
import { maxEventBytes, maxEvents, maxEventsByEvent, maxRequestBytes } from "./limits.js";
import type { Log, Topics } from "./topics.js";

/** In the summary of an import. */
const maxRefusedEvents = 100;
/** The years 1 to 9999. */
const [minSeconds, maxSeconds] = [-62_135_596_800n, 253_402_300_799n];
const typeName = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;
// No control characters, as the rules of Event say.
const key = /^[^\x00-\x1f\x7f]{0,512}$/u;

/** Nothing waits while a request is stored, so that no other comes between. */
export class Publisher implements ServiceImpl<typeof PublisherService> {
  readonly #types: EventTypes;
  readonly #topics: Topics;

  constructor(types: EventTypes, topics: Topics) {
    this.#types = types;
    this.#topics = topics;
  }

  publish: ServiceImpl<typeof PublisherService>["publish"] = (request) => {
    requireSize(PublishRequestSchema, request);
    return this.#store(request);
  };

  async *publishStream(requests: AsyncIterable<PublishStreamRequest>) {
    let batch = 0n;
    let stop = false;
    for await (const request of requests) {
      let failed = true;
      try {
        const publish = wrapped(PublishStreamRequestSchema, request, request.publish);
        stop ||= batch === 0n && request.stopOnError;
        if (request.stopOnError && !stop) {
          const description = "must be set in the first message";
          throw aboutField(ErrorReason.REQUEST_INVALID, "stop_on_error", description);
        }
        const value = this.#store(publish);
        failed = value.refusedEvents.length > 0;
        yield { batch, result: { case: "published" as const, value } };
      } catch (error) {
        if (!(error instanceof Fault) || error.reason === ErrorReason.REQUEST_TOO_LARGE) {
          throw error;
        }
        yield { batch, result: { case: "error" as const, value: error.toMessage() } };
      }
      if (stop && failed) {
        return;
      }
      batch++;
    }
  }

  async import(requests: AsyncIterable<ImportRequest>): Promise<ImportResponse> {
    const summary = create(ImportResponseSchema);
    let first: PublishRequest | undefined;
    try {
      for await (const request of requests) {
        const publish = wrapped(ImportRequestSchema, request, request.publish);
        first ??= publish;
        checkImportable(publish, first);
        // What the first message says, or its events declare, holds for all.
        const topic = first.topic || summary.topic;
        const { skipInvalid } = first;
        const base = Number(summary.receivedCount);
        const response = this.#store({ ...publish, topic, skipInvalid }, base);
        summary.receivedCount += BigInt(publish.events.length);
        count(response, summary);
      }
    } catch (error) {
      throw error instanceof Fault ? error.with({ stored: String(summary.storedCount) }) : error;
    }
    return summary;
  }

  /** Stores the events of a request. Indexes in errors are counted from base. */
  #store(request: PublishRequest, base = 0): PublishResponse {
    checkCount(request, maxEvents);
    const broken = rulesBroken(request, base);
    if (broken.request.length > 0) {
      throw aboutRules(ErrorReason.REQUEST_INVALID, broken.request);
    }
    checkSubjects(request.preconditions);
    const name = request.topic || this.#declaredTopic(request.events);
    const log = name === "" ? undefined : this.#topics.log(name);
    if (log?.byEvent) {
      checkCount(request, maxEventsByEvent, " in a topic with DEDUPE_EVENT");
    }
    const response = create(PublishResponseSchema, { topic: name });
    const accepted: Accepted[] = [];
    request.events.forEach((event, index) => {
      try {
        const violations = broken.events.get(index) ?? [];
        accepted.push(this.#check(log, index, base + index, event, violations));
      } catch (error) {
        if (!request.skipInvalid || !(error instanceof Fault)) {
          throw error;
        }
        const refused = { index: BigInt(base + index), id: event.id, error: error.toMessage() };
        response.refusedEvents.push(create(RefusedEventSchema, refused));
      }
    });
    if (accepted.length === 0 && request.preconditions.length === 0) {
      return response;
    }
    if (!log) {
      throw aboutField(ErrorReason.TOPIC_UNDETERMINED, "topic", "must be set");
    }
    response.receipts = new Batch(log, request, accepted).store();
    return response;
  }

  /** The topic that all events declare. Those of unknown types are refused on their own. */
  #declaredTopic(events: Event[]): string {
    let topic = "";
    events.forEach(({ data }, index) => {
      const type = this.#types.find(data?.typeUrl ?? "");
      if (type && type.topic === "") {
        const description = `must be set: ${type.name} of events[${index}] declares none`;
        throw aboutField(ErrorReason.TOPIC_UNDETERMINED, "topic", description);
      }
      if (type && topic !== "" && topic !== type.topic) {
        const description = `must be set: the events declare both "${topic}" and "${type.topic}"`;
        throw aboutField(ErrorReason.TOPIC_UNDETERMINED, "topic", description);
      }
      topic = type?.topic ?? topic;
    });
    return topic;
  }

  /** The event with its partition key. Throws where it can't be stored. */
  #check(
    log: Log | undefined,
    index: number,
    shown: number,
    event: Event,
    violations: Violation[],
  ): Accepted {
    const at = `events[${shown}]`;
    if (violations.length > 0) {
      throw aboutRules(ErrorReason.EVENT_INVALID, violations);
    }
    const { seconds, nanos } = event.time ?? { seconds: 0n, nanos: 0 };
    if (seconds < minSeconds || seconds > maxSeconds || nanos < 0 || nanos >= 1e9) {
      const description = "must be a time from year 1 to 9999";
      throw aboutField(ErrorReason.EVENT_INVALID, `${at}.time`, description);
    }
    const size = toBinary(EventSchema, event).length;
    if (size > maxEventBytes) {
      const metadata = { size: String(size), limit: String(maxEventBytes) };
      throw new Fault(ErrorReason.EVENT_TOO_LARGE, `${at} is too large`, { metadata });
    }
    const type = this.#allowedType(log, event, at);
    const payload = decode(type, event, at);
    const prefix = [...pathOf(shown), EventSchema.field.data];
    const broken = violationsOf(type.schema, payload, prefix);
    if (broken.length > 0) {
      throw aboutRules(ErrorReason.EVENT_INVALID, broken);
    }
    // One that is set, also to nothing, stays.
    const partitionKey = event.partitionKey ?? (type.keyOf(payload) || undefined);
    if (partitionKey !== undefined && !key.test(partitionKey)) {
      const description = "as a key: at most 512 characters, none of control";
      const field = `${at}.data.${type.key.join(".")}`;
      throw aboutField(ErrorReason.EVENT_INVALID, field, description);
    }
    const typeUrl = `type.googleapis.com/${type.name}`;
    const data = event.data && { ...event.data, typeUrl };
    return { index, event: { ...event, data, partitionKey }, type, payload };
  }

  #allowedType(log: Log | undefined, { data }: Event, at: string): EventType {
    const url = data?.typeUrl ?? "";
    const name = url.slice(url.lastIndexOf("/") + 1);
    const type = this.#types.find(name);
    const field = `${at}.data.type_url`;
    if (!typeName.test(name)) {
      throw aboutField(ErrorReason.EVENT_MALFORMED, field, "must end in the name of a type");
    }
    if (!type) {
      const description = `unknown event type "${name}"`;
      throw aboutField(ErrorReason.EVENT_TYPE_UNKNOWN, field, description, { type: name });
    }
    if (log && !this.#topics.takes(log, name)) {
      const topic = log.topic.name;
      const description = `topic "${topic}" doesn't take events of type ${name}`;
      const metadata = { type: name, topic };
      throw aboutField(ErrorReason.EVENT_TYPE_NOT_ALLOWED, field, description, metadata);
    }
    return type;
  }
}

/** The rules that a request breaks: its own, and by index those of its events. */
type Broken = { request: Violation[]; events: Map<number, Violation[]> };

function rulesBroken(request: PublishRequest, base: number): Broken {
  const broken: Broken = { request: [], events: new Map() };
  for (const violation of violationsOf(PublishRequestSchema, request)) {
    const [field, item, ...rest] = violation.field;
    if (field?.kind === "field" && field.name === "events" && item?.kind === "list_sub") {
      const { message, ruleId, rule, forKey } = violation;
      const path = [...pathOf(base + item.index), ...rest];
      const ofEvent = broken.events.get(item.index) ?? [];
      ofEvent.push(new Violation(message, ruleId, path, rule, forKey));
      broken.events.set(item.index, ofEvent);
    } else {
      broken.request.push(violation);
    }
  }
  return broken;
}

function requireSize<Desc extends DescMessage>(schema: Desc, request: MessageShape<Desc>): void {
  const size = toBinary(schema, request).length;
  if (size > maxRequestBytes) {
    const metadata = { size: String(size), limit: String(maxRequestBytes) };
    const message = `the request has ${size} bytes, at most ${maxRequestBytes} are allowed`;
    throw new Fault(ErrorReason.REQUEST_TOO_LARGE, message, { metadata });
  }
}

/** The request that a message of a stream holds. Throws where it holds none. */
function wrapped<Desc extends DescMessage>(
  schema: Desc,
  request: MessageShape<Desc>,
  publish: PublishRequest | undefined,
): PublishRequest {
  requireSize(schema, request);
  if (!publish) {
    throw aboutRules(ErrorReason.REQUEST_INVALID, violationsOf(schema, request));
  }
  return publish;
}

/** Throws where a request has too many events; all would be checked otherwise. */
function checkCount({ events }: PublishRequest, most: number, where = ""): void {
  if (events.length > most) {
    const description = `must have at most ${most} items${where}`;
    const metadata = { limit: String(most) };
    throw aboutField(ErrorReason.REQUEST_INVALID, "events", description, metadata);
  }
}

/** Throws where a message says what isn't for Import, or what the first one didn't. */
function checkImportable(request: PublishRequest, first: PublishRequest): void {
  const refused = (field: string, description: string) =>
    aboutField(ErrorReason.REQUEST_INVALID, field, description);
  if (request.requestId !== "") {
    throw refused("request_id", "is not for Import");
  }
  if (request.preconditions.length > 0) {
    throw refused("preconditions", "are not for Import");
  }
  if (request.topic !== "" && request.topic !== first.topic) {
    throw refused("topic", "must be that of the first message or empty");
  }
  if (request.skipInvalid && !first.skipInvalid) {
    throw refused("skip_invalid", "must be that of the first message or unset");
  }
}

/** The path of an event of a request. */
function pathOf(index: number): Path {
  return [PublishRequestSchema.field.events, { kind: "list_sub", index }];
}

function decode(type: EventType, { data }: Event, at: string): Message {
  try {
    return fromBinary(type.schema, data?.value ?? new Uint8Array());
  } catch (error) {
    const description = `${type.name}: ${error instanceof Error ? error.message : error}`;
    throw aboutField(ErrorReason.EVENT_MALFORMED, `${at}.data.value`, description);
  }
}

/** Adds the response to a message to the summary of an import. */
function count(response: PublishResponse, summary: ImportResponse): void {
  summary.topic = response.topic || summary.topic;
  for (const { duplicate, sequence } of response.receipts) {
    if (duplicate) {
      summary.duplicateCount++;
    } else {
      summary.storedCount++;
    }
    if (summary.firstSequence === 0n || sequence < summary.firstSequence) {
      summary.firstSequence = sequence;
    }
    if (sequence > summary.lastSequence) {
      summary.lastSequence = sequence;
    }
  }
  summary.refusedCount += BigInt(response.refusedEvents.length);
  const room = maxRefusedEvents - summary.refusedEvents.length;
  summary.refusedEvents.push(...response.refusedEvents.slice(0, room));
}
