// The part of the client that runs in the browser, with Connect for the web: the
// steps of the scenario. They call the server over fetch.
import {
  create,
  createRegistry,
  equals,
  fromBinary,
  fromJsonString,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { anyPack, anyUnpack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import * as conformance from "@example/tidings/conformance/v1";
import { EveryKindSchema } from "@example/tidings/conformance/v1";
import { BadRequestSchema, ErrorInfoSchema } from "@example/tidings/google/rpc";
import * as v1 from "@example/tidings/v1";
import {
  ConsumerService,
  NackKind,
  PublisherService,
  ReaderService,
  SettlementSchema,
  SettlementStatus,
  StartBoundary,
  SubscriptionService,
  TopicService,
} from "@example/tidings/v1";
import * as v1beta1 from "@example/tidings/v1beta1";
import { full, values } from "./values.js";

// All types of the contract: JSON is written and read with those that an Any may hold.
const registry = createRegistry(
  StringValueSchema,
  ...[v1, v1beta1, conformance].flatMap(Object.values).filter(({ kind }) => kind === "file"),
);

// The page and the API have one origin.
const options = { baseUrl: location.origin, defaultTimeoutMs: 10_000 };

const transports = {
  connect: () => createConnectTransport({ ...options, useBinaryFormat: true, useHttpGet: true }),
  "connect-json": () =>
    createConnectTransport({ ...options, useHttpGet: true, jsonOptions: { registry } }),
  "grpc-web": () => createGrpcWebTransport(options),
};

let transport, topics, publisher, reader, subscriptions, consumer;
let topic;

/** Says over which transport to do the steps, and with which topic. */
export function setUp(transportName, topicName) {
  transport = transports[transportName]();
  topics = createClient(TopicService, transport);
  publisher = createClient(PublisherService, transport);
  reader = createClient(ReaderService, transport);
  subscriptions = createClient(SubscriptionService, transport);
  consumer = createClient(ConsumerService, transport);
  topic = topicName;
}

/** The steps, in order. Each throws where something isn't as it has to be. */
export const steps = {
  topic: createTopic,
  publish,
  refused: publishInvalid,
  read,
  tail,
  consume,
  deadline: exceedDeadline,
  cancel,
  golden: copyGolden,
  "golden-json": copyGoldenJson,
};

async function createTopic() {
  const request = { topic: { name: topic, settings: { description: "interop" } } };
  await topics.createTopic(request);
  const response = await topics.getTopic({ name: topic });
  expectEqual(response.topic.settings.description, "interop");
  const error = await rejection(topics.createTopic(request));
  expectError(error, Code.AlreadyExists, "TOPIC_ALREADY_EXISTS");
}

async function publish() {
  const events = values().map((value) => eventOf(value.name, value));
  const first = await publisher.publish({ topic, events });
  const again = await publisher.publish({ topic, events });
  const sequences = first.receipts.map((receipt) => receipt.sequence);
  expectEqual(sequences.length, events.length);
  expect(
    sequences.every((sequence, i) => sequence > (sequences[i - 1] ?? 0n)),
    `the sequences are ${sequences}`,
  );
  expectEqual(
    again.receipts.map((receipt) => receipt.sequence),
    sequences,
  );
  expect(
    !first.receipts.some((receipt) => receipt.duplicate),
    "the first receipts have a duplicate",
  );
  expect(
    again.receipts.every((receipt) => receipt.duplicate),
    "not all of the second receipts are duplicates",
  );
}

async function publishInvalid() {
  const events = [eventOf("refused", { ...full(), email: "not-an-address" })];
  const error = await rejection(publisher.publish({ topic, events }));
  expectError(error, Code.InvalidArgument, "EVENT_INVALID", "events[0].data.email");
}

async function read() {
  const start = from(StartBoundary.EARLIEST);
  const stop = { position: { case: "caughtUp", value: true } };
  const events = [];
  for await (const { frame } of reader.read({ topic, start, stop })) {
    if (frame.case === "events") {
      events.push(...frame.value.events);
    }
  }
  const expected = values();
  expectEqual(events.length, expected.length);
  expected.forEach((value, i) => expectEvent(events[i], value.name, value));
}

async function tail() {
  const call = new AbortController();
  let event;
  await untilCancelled(readFromNow({ signal: call.signal }), async ({ frame }) => {
    if (frame.case === "caughtUp") {
      await publishOne("tailed", full());
    } else if (frame.case === "events") {
      event = frame.value.events[0];
      call.abort();
    }
  });
  expectEvent(event, "tailed", full());
}

/** Publishes an event as a page would. */
async function publishOne(id, value) {
  // docs:begin
  // transport is createConnectTransport({ baseUrl }) or createGrpcWebTransport({ baseUrl }).
  const publisher = createClient(PublisherService, transport);
  await publisher.publish({
    topic,
    events: [{ id, source: "/interop", data: anyPack(EveryKindSchema, value) }],
  });
  // docs:end
}

/** Consumes with Receive and Settle: browsers can't send while they receive. */
async function consume() {
  const subscription = topic;
  const retryPolicy = { minBackoff: { nanos: 100_000_000 }, maxBackoff: { seconds: 1n } };
  await subscriptions.createSubscription({
    subscription: { name: subscription, topic, retryPolicy },
    start: from(StartBoundary.EARLIEST),
  });
  const expected = [...values().map((value) => value.name), "tailed"];
  const acknowledged = [];
  const attempts = []; // of full
  const settle = ({ recorded, deliveryToken, attempt }) => {
    const { id } = recorded.event;
    let action = { case: "ack", value: {} };
    if (id === "full" && attempts.push(attempt) === 1) {
      action = { case: "nack", value: { kind: NackKind.RETRY } };
    } else {
      acknowledged.push(id);
    }
    return create(SettlementSchema, { deliveryToken, action });
  };
  const call = new AbortController();
  const frames = consumer.receive({ subscription }, { signal: call.signal });
  await untilCancelled(frames, async ({ frame }) => {
    if (frame.case === "deliveries") {
      const settlements = frame.value.deliveries.map(settle);
      const { results } = await consumer.settle({ subscription, settlements });
      for (const { status } of results) {
        expectEqual(SettlementStatus[status], "APPLIED");
      }
    }
    if (acknowledged.length >= expected.length) {
      call.abort();
    }
  });
  expectEqual(attempts, [1, 2]);
  expectEqual(acknowledged.sort(), expected.sort());
}

async function exceedDeadline() {
  const frames = readFromNow({ timeoutMs: 300 });
  const error = await rejection(drain(frames, () => {}));
  expectError(error, Code.DeadlineExceeded);
}

async function cancel() {
  const call = new AbortController();
  await untilCancelled(readFromNow({ signal: call.signal }), ({ frame }) => {
    if (frame.case === "caughtUp") {
      call.abort();
    }
  });
}

async function copyGolden() {
  await eachVector(".binpb", async (name, schema, vector) => {
    await write(`${name}.binpb`, toBinary(schema, fromBinary(schema, await vector.bytes())));
  });
}

async function copyGoldenJson() {
  await eachVector(".binpb", async (name, schema, vector) => {
    const message = fromBinary(schema, await vector.bytes());
    await write(`${name}.json`, toJsonString(schema, message, { registry }));
  });
  await eachVector(".json", async (name, schema, vector) => {
    const message = fromJsonString(schema, await vector.text(), { registry });
    await write(`${name}.json.binpb`, toBinary(schema, message));
  });
}

/** Calls take with the name, the type and the contents of each vector. */
async function eachVector(extension, take) {
  const files = (await (await fetchFile("golden/")).json()).filter((file) =>
    file.endsWith(extension),
  );
  expect(files.length > 0, "there are no vectors");
  for (const file of files) {
    const name = file.slice(0, -extension.length);
    const schema = registry.getMessage(name.slice(name.indexOf("-") + 1));
    expect(schema, `${file}: the type isn't known`);
    await take(name, schema, await fetchFile(`golden/${file}`));
  }
}

async function write(file, body) {
  await fetchFile(`out/${file}`, { method: "PUT", body });
}

/** Fetches from, or with PUT writes to, the program that serves the page. */
async function fetchFile(path, init) {
  const signal = AbortSignal.timeout(options.defaultTimeoutMs);
  const response = await fetch(`${location.origin}/${path}`, { ...init, signal });
  expect(response.ok, `${path}: status ${response.status}`);
  return response;
}

/** Reads what is stored from now on, without a bound. */
function readFromNow(callOptions) {
  return reader.read({ topic, start: from(StartBoundary.NEW) }, callOptions);
}

function eventOf(id, value) {
  return { id, source: "/interop", data: anyPack(EveryKindSchema, value) };
}

function from(boundary) {
  return { position: { case: "boundary", value: boundary } };
}

async function drain(frames, take) {
  for await (const frame of frames) {
    await take(frame);
  }
}

/** Takes the frames of a call, and wants it to end as cancelled. */
async function untilCancelled(frames, take) {
  expectError(await rejection(drain(frames, take)), Code.Canceled);
}

/** What a call failed with. It is a failure if it didn't. */
async function rejection(call) {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call succeeded");
}

/** Wants a call to have failed with a code and, where they are given, a reason and a field. */
function expectError(error, code, reason, field) {
  expect(error.code === code, `expected ${Code[code]}, got ${error}`);
  if (reason !== undefined) {
    expectEqual(
      error.findDetails(ErrorInfoSchema).map((info) => info.reason),
      [reason],
    );
  }
  if (field !== undefined) {
    const violations = error.findDetails(BadRequestSchema).flatMap((it) => it.fieldViolations);
    expectEqual(
      violations.map((violation) => violation.field),
      [field],
    );
  }
}

/** Wants an event to have an id and to hold a value. */
function expectEvent(recorded, id, value) {
  expectEqual(recorded?.event.id, id);
  const data = anyUnpack(recorded.event.data, EveryKindSchema);
  expect(
    data && equals(EveryKindSchema, data, value),
    `the event ${id} holds ${data && toJsonString(EveryKindSchema, data, { registry })}`,
  );
}

function expectEqual(actual, expected) {
  expect(`${actual}` === `${expected}`, `expected ${expected}, got ${actual}`);
}

function expect(condition, message) {
  if (!condition) {
    throw new Error(message);
  }
}
