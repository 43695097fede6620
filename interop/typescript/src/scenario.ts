import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  create,
  createRegistry,
  type DescFile,
  type DescMessage,
  equals,
  fromBinary,
  fromJsonString,
  type MessageInitShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { anyPack, anyUnpack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
  type Transport,
} from "@connectrpc/connect";
import * as conformance from "@example/tidings/conformance/v1";
import { type EveryKind, EveryKindSchema } from "@example/tidings/conformance/v1";
import { BadRequestSchema, ErrorInfoSchema } from "@example/tidings/google/rpc";
import * as v1 from "@example/tidings/v1";
import {
  ConsumerService,
  type Delivery,
  type EventSchema,
  NackKind,
  PublisherService,
  ReaderService,
  type ReadRequestSchema,
  type RecordedEvent,
  type Settlement,
  SettlementSchema,
  type SettlementResult,
  SettlementStatus,
  StartBoundary,
  SubscriptionService,
  TopicService,
} from "@example/tidings/v1";
import * as v1beta1 from "@example/tidings/v1beta1";
import { consume } from "./consumer.js";
import { full, values } from "./values.js";

/** All types of the contract: JSON is written and read with those that an Any may hold. */
export const registry = createRegistry(
  StringValueSchema,
  ...[v1, v1beta1, conformance]
    .flatMap((module): unknown[] => Object.values(module))
    .filter((value): value is DescFile => (value as { kind?: string }).kind === "file"),
);

export type TransportOptions = { baseUrl: string; httpVersion: "2" };

export type Setup = {
  /** One of connect-node: createConnectTransport, createGrpcTransport or createGrpcWebTransport. */
  createTransport: (options: TransportOptions) => Transport;
  baseUrl: string;
  /** Whether the transport has bidirectional streams. */
  bidirectional: boolean;
  topic: string;
  /** The directories of the vectors, and of what is written of them. */
  golden: string;
  out: string;
};

/** One run of the steps. Each throws where something isn't as it has to be. */
export class Scenario {
  readonly #setup: Setup;
  readonly #topics: Client<typeof TopicService>;
  readonly #publisher: Client<typeof PublisherService>;
  readonly #reader: Client<typeof ReaderService>;
  readonly #subscriptions: Client<typeof SubscriptionService>;
  readonly #consumer: Client<typeof ConsumerService>;

  constructor(setup: Setup) {
    this.#setup = setup;
    const transport = setup.createTransport({ baseUrl: setup.baseUrl, httpVersion: "2" });
    this.#topics = createClient(TopicService, transport);
    this.#publisher = createClient(PublisherService, transport);
    this.#reader = createClient(ReaderService, transport);
    this.#subscriptions = createClient(SubscriptionService, transport);
    this.#consumer = createClient(ConsumerService, transport);
  }

  get steps(): [name: string, run: () => Promise<void>][] {
    return [
      ["topic", () => this.#createTopic()],
      ["publish", () => this.#publish()],
      ["refused", () => this.#publishInvalid()],
      ["read", () => this.#read()],
      ["tail", () => this.#tail()],
      ["consume", () => this.#consume()],
      ["deadline", () => this.#exceedDeadline()],
      ["cancel", () => this.#cancel()],
      ["golden", () => this.#copyGolden()],
      ["golden-json", () => this.#copyGoldenJson()],
    ];
  }

  async #createTopic(): Promise<void> {
    const topic = { name: this.#setup.topic, settings: { description: "interop" } };
    await this.#topics.createTopic({ topic });
    const response = await this.#topics.getTopic({ name: topic.name });
    assert.equal(response.topic?.settings?.description, topic.settings.description);
    const error = await rejection(this.#topics.createTopic({ topic }));
    expectError(error, Code.AlreadyExists, "TOPIC_ALREADY_EXISTS");
  }

  async #publish(): Promise<void> {
    const events = values().map((value) => eventOf(value.name, value));
    const request = { topic: this.#setup.topic, events };
    const first = await this.#publisher.publish(request);
    const again = await this.#publisher.publish(request);
    assert.equal(first.receipts.length, events.length);
    assert.equal(again.receipts.length, events.length);
    let last = 0n;
    first.receipts.forEach((receipt, i) => {
      assert(
        !receipt.duplicate && receipt.sequence > last,
        `receipt ${i} is ${receipt.sequence} after ${last}`,
      );
      last = receipt.sequence;
      const repeated = again.receipts[i];
      assert(
        repeated?.duplicate && repeated.sequence === last,
        `receipt ${i} is another when repeated`,
      );
    });
  }

  async #publishInvalid(): Promise<void> {
    const invalid = { ...full(), email: "not-an-address" };
    const request = { topic: this.#setup.topic, events: [eventOf("refused", invalid)] };
    const error = await rejection(this.#publisher.publish(request));
    expectError(error, Code.InvalidArgument, "EVENT_INVALID", "events[0].data.email");
  }

  async #read(): Promise<void> {
    const events: RecordedEvent[] = [];
    const frames = this.#reader.read({
      topic: this.#setup.topic,
      start: from(StartBoundary.EARLIEST),
      stop: { position: { case: "caughtUp", value: true } },
    });
    for await (const { frame } of frames) {
      if (frame.case === "events") {
        events.push(...frame.value.events);
      }
    }
    const expected = values();
    assert.equal(events.length, expected.length);
    expected.forEach((value, i) => expectEvent(events[i], value.name, value));
  }

  /** Reads what is stored from now on, without a bound. */
  #readFromNow(options: CallOptions): AsyncIterable<v1.ReadResponse> {
    return this.#reader.read({ topic: this.#setup.topic, start: from(StartBoundary.NEW) }, options);
  }

  async #tail(): Promise<void> {
    const call = new AbortController();
    let event: RecordedEvent | undefined;
    const frames = this.#readFromNow({ signal: call.signal });
    await untilCancelled(frames, async ({ frame }) => {
      if (frame.case === "caughtUp") {
        await this.#publishOne("tailed", full());
      } else if (frame.case === "events") {
        event = frame.value.events[0];
        call.abort();
      }
    });
    expectEvent(event, "tailed", full());
  }

  /** Publishes an event as a program of its own would. */
  async #publishOne(id: string, value: EveryKind): Promise<void> {
    const { createTransport, baseUrl, topic } = this.#setup;
    // docs:begin
    // createTransport is createConnectTransport or createGrpcTransport of connect-node.
    const transport = createTransport({ baseUrl, httpVersion: "2" });
    const publisher = createClient(PublisherService, transport);
    await publisher.publish({
      topic,
      events: [{ id, source: "/interop", data: anyPack(EveryKindSchema, value) }],
    });
    // docs:end
  }

  async #consume(): Promise<void> {
    const name = this.#setup.topic;
    await this.#subscriptions.createSubscription({
      subscription: {
        name,
        topic: name,
        retryPolicy: { minBackoff: { nanos: 100_000_000 }, maxBackoff: { seconds: 1n } },
      },
      start: from(StartBoundary.EARLIEST),
    });
    const expected = [...values().map((value) => value.name), "tailed"];
    const acknowledged: string[] = [];
    const attempts: number[] = []; // of full
    const settle = ({ recorded, deliveryToken, attempt }: Delivery): Settlement => {
      const id = recorded?.event?.id ?? "";
      if (id === "full" && attempts.push(attempt) === 1) {
        const nack = { kind: NackKind.RETRY };
        return create(SettlementSchema, { deliveryToken, action: { case: "nack", value: nack } });
      }
      acknowledged.push(id);
      return create(SettlementSchema, { deliveryToken, action: { case: "ack", value: {} } });
    };
    // One result more than events: full is settled twice.
    const count = expected.length + 1;
    const results = this.#setup.bidirectional
      ? await this.#consumeStream(name, count, settle)
      : await this.#receive(name, count, settle);
    for (const { status } of results) {
      assert.match(SettlementStatus[status], /^(ALREADY_)?APPLIED$/);
    }
    assert.equal(results.length, count);
    assert.deepEqual(attempts, [1, 2]);
    assert.deepEqual(acknowledged.sort(), expected.sort());
  }

  /** Settles deliveries over Consume, until there are as many results as asked for. */
  async #consumeStream(
    subscription: string,
    count: number,
    settle: (delivery: Delivery) => Settlement,
  ): Promise<SettlementResult[]> {
    const results: SettlementResult[] = [];
    const stop = new AbortController();
    let broken = false;
    const settled = (more: SettlementResult[]) => {
      if (!broken && results.length + more.length >= count) {
        // As if the connection broke before the last ones came: they are to come again.
        broken = true;
        throw new ConnectError("broken on purpose", Code.Unavailable);
      }
      results.push(...more);
      if (results.length >= count) {
        stop.abort();
      }
    };
    const work = async (delivery: Delivery) => settle(delivery);
    await consume(this.#consumer, subscription, work, settled, stop.signal);
    return results;
  }

  /** Does with two calls what Consume does with one. */
  async #receive(
    subscription: string,
    count: number,
    settle: (delivery: Delivery) => Settlement,
  ): Promise<SettlementResult[]> {
    const call = new AbortController();
    const results: SettlementResult[] = [];
    const frames = this.#consumer.receive({ subscription }, { signal: call.signal });
    await untilCancelled(frames, async ({ frame }) => {
      if (frame.case === "deliveries") {
        const settlements = frame.value.deliveries.map(settle);
        results.push(...(await this.#consumer.settle({ subscription, settlements })).results);
      }
      if (results.length >= count) {
        call.abort();
      }
    });
    return results;
  }

  async #exceedDeadline(): Promise<void> {
    const frames = this.#readFromNow({ timeoutMs: 300 });
    expectError(await rejection(drain(frames, () => {})), Code.DeadlineExceeded);
  }

  async #cancel(): Promise<void> {
    const call = new AbortController();
    await untilCancelled(this.#readFromNow({ signal: call.signal }), ({ frame }) => {
      if (frame.case === "caughtUp") {
        call.abort();
      }
    });
  }

  async #copyGolden(): Promise<void> {
    await this.#eachVector(".binpb", async (name, schema, data) => {
      await this.#write(`${name}.binpb`, toBinary(schema, fromBinary(schema, data)));
    });
  }

  async #copyGoldenJson(): Promise<void> {
    await this.#eachVector(".binpb", async (name, schema, data) => {
      await this.#write(
        `${name}.json`,
        toJsonString(schema, fromBinary(schema, data), { registry }),
      );
    });
    await this.#eachVector(".json", async (name, schema, data) => {
      const message = fromJsonString(schema, data.toString(), { registry });
      await this.#write(`${name}.json.binpb`, toBinary(schema, message));
    });
  }

  /** Calls take with the name, the type and the contents of each vector. */
  async #eachVector(
    extension: string,
    take: (name: string, schema: DescMessage, data: Buffer) => Promise<void>,
  ): Promise<void> {
    const { golden } = this.#setup;
    const files = (await readdir(golden)).filter((file) => file.endsWith(extension));
    assert(files.length > 0, `there are no vectors in ${golden}`);
    for (const file of files) {
      const name = file.slice(0, -extension.length);
      const schema = registry.getMessage(name.slice(name.indexOf("-") + 1));
      assert(schema, `${file}: the type isn't known`);
      await take(name, schema, await readFile(join(golden, file)));
    }
  }

  async #write(file: string, data: Uint8Array | string): Promise<void> {
    await writeFile(join(this.#setup.out, file), data);
  }
}

function eventOf(id: string, value: EveryKind): MessageInitShape<typeof EventSchema> {
  return { id, source: "/interop", data: anyPack(EveryKindSchema, value) };
}

function from(
  boundary: StartBoundary,
): NonNullable<MessageInitShape<typeof ReadRequestSchema>["start"]> {
  return { position: { case: "boundary", value: boundary } };
}

type Take<T> = (frame: T) => void | Promise<void>;

async function drain<T>(frames: AsyncIterable<T>, take: Take<T>): Promise<void> {
  for await (const frame of frames) {
    await take(frame);
  }
}

/** Takes the frames of a call, and wants it to end as cancelled. */
async function untilCancelled<T>(frames: AsyncIterable<T>, take: Take<T>): Promise<void> {
  expectError(await rejection(drain(frames, take)), Code.Canceled);
}

/** What a call failed with. It is a failure if it didn't. */
function rejection(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => assert.fail("the call succeeded"),
    (reason: unknown) => ConnectError.from(reason),
  );
}

/** Wants a call to have failed with a code and, where they are given, a reason and a field. */
function expectError(error: ConnectError, code: Code, reason?: string, field?: string): void {
  assert.equal(Code[error.code], Code[code], error.message);
  if (reason !== undefined) {
    assert.deepEqual(
      error.findDetails(ErrorInfoSchema).map((info) => info.reason),
      [reason],
    );
  }
  if (field !== undefined) {
    const violations = error
      .findDetails(BadRequestSchema)
      .flatMap((detail) => detail.fieldViolations);
    assert.deepEqual(
      violations.map((violation) => violation.field),
      [field],
    );
  }
}

/** Wants an event to have an id and to hold a value. */
function expectEvent(recorded: RecordedEvent | undefined, id: string, value: EveryKind): void {
  const event = recorded?.event;
  assert.equal(event?.id, id);
  const data = event.data && anyUnpack(event.data, EveryKindSchema);
  assert(
    data && equals(EveryKindSchema, data, value),
    `the event ${id} holds ${data && toJsonString(EveryKindSchema, data, { registry })}`,
  );
}
