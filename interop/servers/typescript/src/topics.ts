// Topics, and tidings.v1.TopicService.
import { clone, create, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Duration, type Timestamp, timestampNow } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  CreateTopicRequestSchema,
  Dedupe,
  DeleteTopicRequestSchema,
  ErrorReason,
  type Event,
  EventSchema,
  GetTopicRequestSchema,
  ListTopicsRequestSchema,
  type Retention,
  RetentionSchema,
  type Topic,
  TopicSchema,
  type TopicService,
  TopicStatisticsSchema,
  UpdateTopicRequestSchema,
} from "@example/tidings/v1";
import type { EventTypes } from "./eventtypes.js";
import { aboutField, check, Fault } from "./faults.js";

const firstSequence = 4096n;
const defaultDedupeWindow = { seconds: 120n };
const defaultPageSize = 100;
const tokenPrefix = "topics after ";

/** An event that a topic holds, with its content decoded. */
export type Stored = { sequence: bigint; event: Event; payload: Message };

/** A topic with its events. They stay until it is deleted: nothing here grows old. */
export class Log {
  readonly events: Stored[] = [];
  readonly lastOfKey = new Map<string, bigint>();
  storedBytes = 0;
  latestPublishTime?: Timestamp;
  #next = firstSequence;
  // What is recognised, and until when by performance.now.
  readonly #identities = new Map<string, { until: number; stored: Stored[] }>();

  constructor(public topic: Topic) {}

  /** Whether events are recognised one by one. */
  get byEvent(): boolean {
    return this.topic.dedupe === Dedupe.EVENT;
  }

  get latestSequence(): bigint {
    return this.events.at(-1)?.sequence ?? 0n;
  }

  /** What was stored under an identity within the dedupe window. */
  recognise(identity: string): Stored[] | undefined {
    const present = performance.now();
    // They were remembered in this order, and for the same time unless that was changed.
    for (const [oldest, { until }] of this.#identities) {
      if (until > present) {
        break;
      }
      this.#identities.delete(oldest);
    }
    const known = this.#identities.get(identity);
    return known && known.until > present ? known.stored : undefined;
  }

  append(event: Event, payload: Message): Stored {
    const stored = { sequence: this.#next++, event, payload };
    this.events.push(stored);
    this.storedBytes += toBinary(EventSchema, event).length;
    this.latestPublishTime = timestampNow();
    if (event.partitionKey !== "") {
      this.lastOfKey.set(event.partitionKey, stored.sequence);
    }
    return stored;
  }

  /** Makes an identity recognised for the dedupe window. */
  remember(identity: string, stored: Stored[]): void {
    const window = Number(nanoseconds(this.topic.dedupeWindow)) / 1e6;
    this.#identities.set(identity, { until: performance.now() + window, stored });
  }
}

/** The fields that can be changed, and how each takes its value from another topic. */
const mutable: Record<string, (to: Topic, from: Topic) => void> = {
  description: (to, from) => (to.description = from.description),
  event_types: (to, from) => (to.eventTypes = from.eventTypes),
  dedupe_window: (to, from) => (to.dedupeWindow = from.dedupeWindow),
  retention: (to, from) => (to.retention = from.retention),
  "retention.max_age": (to, from) => setRetention(to, { maxAge: from.retention?.maxAge }),
  "retention.max_bytes": (to, from) =>
    setRetention(to, { maxBytes: from.retention?.maxBytes ?? 0n }),
};

function setRetention(topic: Topic, change: Partial<Retention>): void {
  topic.retention = Object.assign(topic.retention ?? create(RetentionSchema), change);
}

/** The paths of what is set, for an update without a mask. */
function pathsOf(topic: Topic): string[] {
  const paths: string[] = [];
  if (topic.description !== "") paths.push("description");
  if (topic.eventTypes.length > 0) paths.push("event_types");
  if (topic.dedupeWindow) paths.push("dedupe_window");
  if (topic.retention) paths.push("retention");
  return paths;
}

/** tidings.v1.TopicService. */
export class Topics implements ServiceImpl<typeof TopicService> {
  readonly #types: EventTypes;
  readonly #logs = new Map<string, Log>();
  #changes = 0;

  constructor(types: EventTypes) {
    this.#types = types;
    for (const name of types.topics()) {
      this.#logs.set(name, new Log(this.#new({ name })));
    }
  }

  /** The topic of a name. Throws where there is none. */
  log(name: string): Log {
    const log = this.#logs.get(name);
    if (!log) {
      const metadata = { topic: name };
      throw new Fault(ErrorReason.TOPIC_NOT_FOUND, `topic "${name}" doesn't exist`, { metadata });
    }
    return log;
  }

  createTopic: ServiceImpl<typeof TopicService>["createTopic"] = (request) => {
    check(CreateTopicRequestSchema, request);
    const topic = this.#new(request.topic ?? {});
    this.#requireTypes(topic);
    if (this.#logs.has(topic.name)) {
      const metadata = { topic: topic.name };
      throw new Fault(ErrorReason.TOPIC_ALREADY_EXISTS, `topic "${topic.name}" exists`, {
        metadata,
      });
    }
    this.#logs.set(topic.name, new Log(topic));
    return { topic };
  };

  getTopic: ServiceImpl<typeof TopicService>["getTopic"] = (request) => {
    check(GetTopicRequestSchema, request);
    const log = this.log(request.name);
    const statistics = create(TopicStatisticsSchema, {
      earliestSequence: log.events[0]?.sequence,
      latestSequence: log.latestSequence,
      storedBytes: BigInt(log.storedBytes),
      latestPublishTime: log.latestPublishTime,
    });
    return { topic: { ...log.topic, statistics } };
  };

  listTopics: ServiceImpl<typeof TopicService>["listTopics"] = (request) => {
    check(ListTopicsRequestSchema, request);
    const after = readToken(request.pageToken);
    const names = [...this.#logs.keys()].filter((name) => name > after).sort();
    const page = names.slice(0, request.pageSize || defaultPageSize);
    const last = page.at(-1);
    return {
      topics: page.map((name) => this.log(name).topic),
      nextPageToken: last !== undefined && page.length < names.length ? writeToken(last) : "",
    };
  };

  updateTopic: ServiceImpl<typeof TopicService>["updateTopic"] = (request) => {
    check(UpdateTopicRequestSchema, request);
    const wanted = request.topic ?? create(TopicSchema);
    const given = request.updateMask?.paths ?? [];
    given.forEach((path, i) => {
      if (!Object.hasOwn(mutable, path)) {
        throw aboutField(
          ErrorReason.UPDATE_MASK_INVALID,
          `update_mask.paths[${i}]`,
          `"${path}" is not a field that can be changed`,
        );
      }
    });
    const log = this.#at(wanted.name, wanted.etag);
    const updated = clone(TopicSchema, log.topic);
    for (const path of given.length > 0 ? given : pathsOf(wanted)) {
      mutable[path]?.(updated, wanted);
    }
    if (updated.retention && !updated.retention.maxAge && updated.retention.maxBytes === 0n) {
      updated.retention = undefined;
    }
    if (String(updated.eventTypes) !== String(log.topic.eventTypes)) {
      this.#requireTypes(updated);
    }
    log.topic = this.#settle(updated);
    return { topic: log.topic };
  };

  deleteTopic: ServiceImpl<typeof TopicService>["deleteTopic"] = (request) => {
    check(DeleteTopicRequestSchema, request);
    this.#at(request.name, request.etag);
    this.#logs.delete(request.name);
    return {};
  };

  /** The topic of a name. Throws where an etag is given and isn't the present one. */
  #at(name: string, etag: string): Log {
    const log = this.log(name);
    const present = log.topic.etag;
    if (etag !== "" && etag !== present) {
      const message = `topic "${name}" has been changed: its etag is now ${present}`;
      const metadata = { topic: name, etag: present };
      throw new Fault(ErrorReason.TOPIC_ETAG_MISMATCH, message, { metadata });
    }
    return log;
  }

  /** Throws where a topic is to take a type that isn't known. */
  #requireTypes(topic: Topic): void {
    topic.eventTypes.forEach((type, i) => {
      if (!this.#types.find(type)) {
        throw aboutField(
          ErrorReason.EVENT_TYPE_UNKNOWN,
          `topic.event_types[${i}]`,
          `the server has not been given the type "${type}"`,
          { type },
        );
      }
    });
  }

  /** A topic as it is asked for. */
  #new(asked: MessageInitShape<typeof TopicSchema>): Topic {
    const topic = create(TopicSchema, { ...asked, statistics: undefined });
    topic.dedupe ||= Dedupe.REQUEST;
    this.#settle(topic);
    topic.createTime = topic.updateTime;
    return topic;
  }

  /** Fills what follows from a change. */
  #settle(topic: Topic): Topic {
    const { dedupeWindow } = create(TopicSchema, {
      dedupeWindow: topic.dedupeWindow ?? defaultDedupeWindow,
    });
    const maxAge = topic.retention?.maxAge;
    const shorter = maxAge && nanoseconds(maxAge) < nanoseconds(dedupeWindow);
    topic.dedupeWindow = shorter ? maxAge : dedupeWindow;
    topic.etag = String(++this.#changes);
    topic.updateTime = timestampNow();
    return topic;
  }
}

function nanoseconds(duration?: Duration): bigint {
  return duration ? duration.seconds * 1_000_000_000n + BigInt(duration.nanos) : 0n;
}

/** The token of the page after the topic of a name. */
function writeToken(name: string): string {
  return Buffer.from(tokenPrefix + name).toString("base64url");
}

/** The name after which a page begins. Empty: it is the first. */
function readToken(token: string): string {
  const text = Buffer.from(token, "base64url").toString();
  if (token !== "" && !text.startsWith(tokenPrefix)) {
    throw aboutField(
      ErrorReason.PAGE_TOKEN_INVALID,
      "page_token",
      "must be the next_page_token of a response to the same request",
    );
  }
  return text.slice(tokenPrefix.length);
}
