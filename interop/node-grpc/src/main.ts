// The client on Node with grpc-js, and with code that ts-proto generates.
// README.md in the directory above says what it does.
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ClientReadableStream, credentials, Metadata, status } from "@grpc/grpc-js";
import { EveryKind } from "../generated/tidings/conformance/v1/every_kind.js";
import "../generated/tidings/options/v1/options.js";
import {
  ConsumeRequest,
  type ConsumeResponse,
  ConsumerServiceClient,
} from "../generated/tidings/v1/consumer_service.js";
import "../generated/tidings/v1/dead_letter_service.js";
import type { Delivery } from "../generated/tidings/v1/delivery.js";
import "../generated/tidings/v1/error.js";
import type { Event, RecordedEvent } from "../generated/tidings/v1/event.js";
import { StartBoundary } from "../generated/tidings/v1/position.js";
import {
  PublisherServiceClient,
  PublishRequest,
} from "../generated/tidings/v1/publisher_service.js";
import {
  ReaderServiceClient,
  ReadRequest,
  type ReadResponse,
} from "../generated/tidings/v1/reader_service.js";
import "../generated/tidings/v1/schema_service.js";
import "../generated/tidings/v1/server_service.js";
import { NackKind, type Settlement, SettlementStatus } from "../generated/tidings/v1/settlement.js";
import {
  CreateSubscriptionRequest,
  SubscriptionServiceClient,
} from "../generated/tidings/v1/subscription_service.js";
import {
  CreateTopicRequest,
  GetTopicRequest,
  TopicServiceClient,
} from "../generated/tidings/v1/topic_service.js";
import "../generated/tidings/v1beta1/schema_service.js";
import { type DeepPartial, messageTypeRegistry } from "../generated/typeRegistry.js";
import { details, drain, isServiceError, unary, within } from "./calls.js";
import { full, pack, values } from "./values.js";

/** An environment variable, which has to be set. */
function variable(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set`);
  }
  return value;
}

const address = variable("TIDINGS_GRPC");
const topic = variable("TIDINGS_TOPIC");
const golden = variable("TIDINGS_GOLDEN");
const out = variable("TIDINGS_OUT");

const topics = new TopicServiceClient(address, credentials.createInsecure());
const publisher = new PublisherServiceClient(address, credentials.createInsecure());
const reader = new ReaderServiceClient(address, credentials.createInsecure());
const subscriptions = new SubscriptionServiceClient(address, credentials.createInsecure());
const consumer = new ConsumerServiceClient(address, credentials.createInsecure());

async function createTopic(): Promise<void> {
  const create = topics.createTopic.bind(topics);
  const request = CreateTopicRequest.fromPartial({
    topic: { name: topic, settings: { description: "interop" } },
  });
  await unary(create, request);
  const get = topics.getTopic.bind(topics);
  const response = await unary(get, GetTopicRequest.fromPartial({ name: topic }));
  assert.equal(response.topic?.settings?.description, "interop");
  await expectError(unary(create, request), status.ALREADY_EXISTS, "TOPIC_ALREADY_EXISTS");
}

function eventOf(id: string, value: EveryKind): DeepPartial<Event> {
  return { id, source: "/interop", data: pack(EveryKind, value) };
}

async function publish(): Promise<void> {
  const events = values().map((value) => eventOf(value.name, value));
  const request = PublishRequest.fromPartial({ topic, events });
  const first = await unary(publisher.publish.bind(publisher), request);
  const again = await unary(publisher.publish.bind(publisher), request);
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

async function publishInvalid(): Promise<void> {
  const invalid = { ...full(), email: "not-an-address" };
  const request = PublishRequest.fromPartial({ topic, events: [eventOf("refused", invalid)] });
  await expectError(
    unary(publisher.publish.bind(publisher), request),
    status.INVALID_ARGUMENT,
    "EVENT_INVALID",
    "events[0].data.email",
  );
}

function from(value: StartBoundary) {
  return { position: { $case: "boundary" as const, value } };
}

async function read(): Promise<void> {
  const request = ReadRequest.fromPartial({
    topic,
    start: from(StartBoundary.START_BOUNDARY_EARLIEST),
    stop: { position: { $case: "caughtUp", value: true } },
  });
  const events: RecordedEvent[] = [];
  await drain(reader.read(request, within()), ({ frame }) => {
    if (frame?.$case === "events") {
      events.push(...frame.value.events);
    }
  });
  const expected = values();
  assert.equal(events.length, expected.length);
  expected.forEach((value, i) => expectEvent(events[i], value.name, value));
}

/** Reads what is stored from now on, without a bound. */
function readFromNow(options = within()): ClientReadableStream<ReadResponse> {
  const start = from(StartBoundary.START_BOUNDARY_NEW);
  return reader.read(ReadRequest.fromPartial({ topic, start }), options);
}

async function tail(): Promise<void> {
  const call = readFromNow();
  let event: RecordedEvent | undefined;
  const ended = drain(call, async ({ frame }) => {
    if (frame?.$case === "caughtUp") {
      await publishOne("tailed", full());
    } else if (frame?.$case === "events") {
      event = frame.value.events[0];
      call.cancel();
    }
  });
  await expectError(ended, status.CANCELLED);
  expectEvent(event, "tailed", full());
}

/** Publishes an event as a program of its own would. */
async function publishOne(id: string, value: EveryKind): Promise<void> {
  // docs:begin
  const publisher = new PublisherServiceClient(address, credentials.createInsecure());
  const data = {
    typeUrl: "type.googleapis.com/tidings.conformance.v1.EveryKind",
    value: Buffer.from(EveryKind.encode(value).finish()),
  };
  const request = PublishRequest.fromPartial({ topic, events: [{ id, source: "/interop", data }] });
  await new Promise((resolve, reject) => {
    publisher.publish(
      request,
      new Metadata(),
      { deadline: Date.now() + 10_000 },
      (error, response) => (error ? reject(error) : resolve(response)),
    );
  });
  publisher.close();
  // docs:end
}

async function consume(): Promise<void> {
  const request = CreateSubscriptionRequest.fromPartial({
    subscription: {
      name: topic,
      topic,
      retryPolicy: { minBackoff: { nanos: 100_000_000 }, maxBackoff: { seconds: 1n } },
    },
    start: from(StartBoundary.START_BOUNDARY_EARLIEST),
  });
  await unary(subscriptions.createSubscription.bind(subscriptions), request);
  const expected = [...values().map((value) => value.name), "tailed"];
  const acknowledged: string[] = [];
  const attempts: number[] = []; // of full
  const settle = ({ recorded, deliveryToken, attempt }: Delivery): DeepPartial<Settlement> => {
    const id = recorded?.event?.id ?? "";
    if (id === "full" && attempts.push(attempt) === 1) {
      const value = { kind: NackKind.NACK_KIND_RETRY };
      return { deliveryToken, action: { $case: "nack", value } };
    }
    acknowledged.push(id);
    return { deliveryToken, action: { $case: "ack", value: {} } };
  };
  const statuses: SettlementStatus[] = [];
  const call = consumer.consume(new Metadata(), within());
  const send = (message: DeepPartial<ConsumeRequest>["request"]) =>
    call.write(ConsumeRequest.fromPartial({ request: message }));
  send({ $case: "open", value: { subscription: topic } });
  // One result more than events: full is settled twice.
  const count = expected.length + 1;
  await drain<ConsumeResponse>(call, ({ frame }) => {
    if (frame?.$case === "deliveries") {
      send({ $case: "settle", value: { settlements: frame.value.deliveries.map(settle) } });
    } else if (frame?.$case === "settled") {
      statuses.push(...frame.value.results.map((result) => result.status));
    }
    if (statuses.length >= count) {
      call.end(); // The server ends the call then.
    }
  });
  assert.deepEqual(statuses, Array(count).fill(SettlementStatus.SETTLEMENT_STATUS_APPLIED));
  assert.deepEqual(attempts, [1, 2]);
  assert.deepEqual(acknowledged.sort(), expected.sort());
}

async function exceedDeadline(): Promise<void> {
  const options = within(300);
  const ended = drain(readFromNow(options), () => {}).catch((error: unknown) => {
    // At the deadline the server resets the call. Where that comes before its own timer, grpc-js
    // says CANCELLED; gRPC's other clients look at the clock, as here.
    const late = isServiceError(error) && Date.now() >= options.deadline;
    if (late && error.code === status.CANCELLED) {
      error.code = status.DEADLINE_EXCEEDED;
    }
    throw error;
  });
  await expectError(ended, status.DEADLINE_EXCEEDED);
}

async function cancel(): Promise<void> {
  const call = readFromNow();
  const ended = drain(call, ({ frame }) => {
    if (frame?.$case === "caughtUp") {
      call.cancel();
    }
  });
  await expectError(ended, status.CANCELLED);
}

async function copyGolden(): Promise<void> {
  const files = (await readdir(golden)).filter((file) => file.endsWith(".binpb"));
  assert(files.length > 0, `there are no vectors in ${golden}`);
  for (const file of files) {
    const type = messageTypeRegistry.get(file.slice(file.indexOf("-") + 1, -".binpb".length));
    assert(type, `${file}: the type isn't known`);
    const message = type.decode(await readFile(join(golden, file)));
    await writeFile(join(out, file), type.encode(message).finish());
  }
}

/** Wants a call to fail with a code and, where they are given, a reason and a field. */
async function expectError(
  call: Promise<unknown>,
  code: status,
  reason?: string,
  field?: string,
): Promise<void> {
  const error = await call.then(
    () => assert.fail("the call succeeded"),
    (reason: unknown) => reason,
  );
  if (!isServiceError(error)) {
    throw error;
  }
  assert.equal(status[error.code], status[code], error.message);
  const { reasons, fields } = details(error);
  if (reason !== undefined) {
    assert.deepEqual(reasons, [reason]);
  }
  if (field !== undefined) {
    assert.deepEqual(fields, [field]);
  }
}

/** Wants an event to have an id and to hold a value. */
function expectEvent(recorded: RecordedEvent | undefined, id: string, value: EveryKind): void {
  const event = recorded?.event;
  assert.equal(event?.id, id);
  assert.match(event.data?.typeUrl ?? "", /\/tidings\.conformance\.v1\.EveryKind$/);
  assert.deepEqual(EveryKind.decode(event.data?.value ?? Buffer.of()), value);
}

const notApplicable =
  "ts-proto's JSON is its own: an Any is written as bytes, not as protobuf's JSON has it";
const steps: [name: string, run?: () => Promise<void>][] = [
  ["topic", createTopic],
  ["publish", publish],
  ["refused", publishInvalid],
  ["read", read],
  ["tail", tail],
  ["consume", consume],
  ["deadline", exceedDeadline],
  ["cancel", cancel],
  ["golden", copyGolden],
  ["golden-json"],
];
for (const [name, run] of steps) {
  try {
    await run?.();
    console.log(run ? `${name} ok` : `${name} n/a: ${notApplicable}`);
  } catch (error) {
    console.log(`${name} fail: ${String(error).replaceAll(/\s+/g, " ")}`);
    console.error(error);
    process.exitCode = 1;
  }
}
for (const client of [topics, publisher, reader, subscriptions, consumer]) {
  client.close();
}
