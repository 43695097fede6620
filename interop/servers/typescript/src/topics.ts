// Topics, and tidings.v1.TopicService.
import { clone, create, equals, type Message, toBinary } from "@bufbuild/protobuf";
import {
  type Duration,
  DurationSchema,
  durationMs,
  type Timestamp,
  timestampNow,
} from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { Dedupe, type TopicSettings, TopicSettingsSchema } from "@example/tidings/options/v1";
import {
  CreateTopicRequestSchema,
  DeleteTopicRequestSchema,
  ErrorReason,
  type Event,
  EventSchema,
  GetTopicRequestSchema,
  ListTopicsRequestSchema,
  type Topic,
  TopicSchema,
  type TopicService,
  TopicStatisticsSchema,
  UpdateTopicRequestSchema,
} from "@example/tidings/v1";
import type { EventTypes } from "./eventtypes.js";
import { aboutField, check, Fault } from "./faults.js";
import { update } from "./update.js";

const firstSequence = 4096n;
const defaultDedupeWindow = 120n; // In seconds.
const defaultPageSize = 100;
const maxPageSize = 1000;
const anyType = "*";
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

  get settings(): TopicSettings {
    return settingsOf(this.topic);
  }

  /** Whether events are recognised one by one. */
  get byEvent(): boolean {
    return this.settings.dedupe === Dedupe.EVENT;
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
    if (event.partitionKey) {
      this.lastOfKey.set(event.partitionKey, stored.sequence);
    }
    return stored;
  }

  /** Makes an identity recognised for the dedupe window, or for as long as events are kept. */
  remember(identity: string, stored: Stored[]): void {
    const { dedupeWindow, retention } = this.settings;
    const kept = retention?.maxAge ? milliseconds(retention.maxAge) : Infinity;
    const window = Math.min(milliseconds(dedupeWindow), kept);
    this.#identities.set(identity, { until: performance.now() + window, stored });
  }
}

/** tidings.v1.TopicService. */
export class Topics implements ServiceImpl<typeof TopicService> {
  readonly #types: EventTypes;
  readonly #logs = new Map<string, Log>();
  #changes = 0;

  constructor(types: EventTypes) {
    this.#types = types;
    for (const name of types.topics()) {
      this.#logs.set(name, new Log(this.#new(create(TopicSchema, { name }))));
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
    const topic = this.#new(request.topic ?? create(TopicSchema));
    this.#requireTypes(settingsOf(topic));
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
      eventCount: BigInt(log.events.length),
    });
    return { topic: { ...log.topic, statistics } };
  };

  listTopics: ServiceImpl<typeof TopicService>["listTopics"] = (request) => {
    check(ListTopicsRequestSchema, request);
    const after = readToken(request.pageToken);
    const names = [...this.#logs.keys()].filter((name) => name > after).sort();
    const page = names.slice(0, Math.min(request.pageSize || defaultPageSize, maxPageSize));
    const last = page.at(-1);
    return {
      topics: page.map((name) => this.log(name).topic),
      nextPageToken: last !== undefined && page.length < names.length ? writeToken(last) : "",
    };
  };

  updateTopic: ServiceImpl<typeof TopicService>["updateTopic"] = (request) => {
    check(UpdateTopicRequestSchema, request);
    const wanted = request.topic ?? create(TopicSchema);
    const log = this.#at(wanted.name, wanted.etag);
    const updated = clone(TopicSchema, log.topic);
    update(TopicSchema, updated, wanted, request.updateMask?.paths ?? [], "topic");
    const settings = complete(settingsOf(updated));
    if (equals(TopicSettingsSchema, settings, log.settings)) {
      return { topic: log.topic };
    }
    if (String(settings.eventTypes) !== String(log.settings.eventTypes)) {
      this.#requireTypes(settings);
    }
    log.topic = this.#settle({ ...updated, settings });
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

  /** Whether a topic takes a type: those that it names or, without, that declare it. */
  takes(log: Log, name: string): boolean {
    const { eventTypes } = log.settings;
    const named = eventTypes.length > 0 ? eventTypes : this.#types.declaring(log.topic.name);
    return named.length === 0 || named.includes(anyType) || named.includes(name);
  }

  /** Throws where a topic is to take a type that isn't known. */
  #requireTypes(settings: TopicSettings): void {
    settings.eventTypes.forEach((type, i) => {
      if (type !== anyType && !this.#types.find(type)) {
        throw aboutField(
          ErrorReason.EVENT_TYPE_UNKNOWN,
          `topic.settings.event_types[${i}]`,
          `unknown event type "${type}"`,
          { type },
        );
      }
    });
  }

  /** A topic as it is asked for. */
  #new(asked: Topic): Topic {
    const settings = complete(settingsOf(asked));
    const topic = this.#settle(create(TopicSchema, { name: asked.name, settings }));
    topic.createTime = topic.updateTime;
    return topic;
  }

  /** Fills what follows from a change. */
  #settle(topic: Topic): Topic {
    topic.etag = String(++this.#changes);
    topic.updateTime = timestampNow();
    return topic;
  }
}

function settingsOf(topic: Topic): TopicSettings {
  return topic.settings ?? create(TopicSettingsSchema);
}

/** The settings with the defaults of what is unset. */
function complete(asked: TopicSettings): TopicSettings {
  const settings = clone(TopicSettingsSchema, asked);
  settings.dedupe ||= Dedupe.REQUEST;
  settings.dedupeWindow ??= create(DurationSchema, { seconds: defaultDedupeWindow });
  if (!settings.retention?.maxAge && settings.retention?.maxBytes === 0n) {
    settings.retention = undefined;
  }
  return settings;
}

function milliseconds(duration?: Duration): number {
  return duration ? durationMs(duration) : 0;
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
