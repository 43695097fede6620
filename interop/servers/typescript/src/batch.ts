// How the events of a request come into a topic.
import { create, equals, type Message } from "@bufbuild/protobuf";
import {
  ErrorReason,
  type Event,
  EventSchema,
  type Precondition,
  type PublishRequest,
  type Receipt,
  ReceiptSchema,
} from "@example/tidings/v1";
import type { EventType } from "./eventtypes.js";
import { aboutField, Fault } from "./faults.js";
import type { Log, Stored } from "./topics.js";

/** An event of a request that passed every check. */
export type Accepted = { index: number; event: Event; type: EventType; payload: Message };

function identityOf(event: Event): string {
  return JSON.stringify([event.source, event.id]);
}

/** What a request stores, and what it is recognised by. */
export class Batch {
  constructor(
    readonly log: Log,
    readonly request: PublishRequest,
    readonly accepted: Accepted[],
  ) {}

  /** Stores the events, all or none, unless they are stored already. */
  store(): Receipt[] {
    if (this.accepted.length === 0) {
      // Nothing is remembered.
      this.#expect();
      return [];
    }
    return this.log.byEvent ? this.#storeEach() : this.#storeAll();
  }

  /** Where requests are recognised: by their id, or by all events, valid or not. */
  #storeAll(): Receipt[] {
    const { requestId, events } = this.request;
    const identity = requestId || JSON.stringify(events.map(identityOf));
    let stored = this.log.recognise(identity);
    const duplicate = stored !== undefined;
    if (!stored) {
      this.#expect();
      stored = this.accepted.map(({ event, payload }) => this.log.append(event, payload));
      this.log.remember(identity, stored);
    }
    const [first] = stored;
    if (first && stored.length !== this.accepted.length) {
      throw this.#conflict(first); // Corrected, or under another request's id.
    }
    for (const [i, there] of stored.entries()) {
      const sent = this.accepted[i];
      if (sent) {
        this.#requireSame(sent, there);
      }
    }
    return this.accepted.map(({ index }, i) =>
      create(ReceiptSchema, { index: BigInt(index), sequence: stored[i]?.sequence, duplicate }),
    );
  }

  /** Where events are recognised one by one. */
  #storeEach(): Receipt[] {
    const fresh = new Map<string, Accepted>();
    const places = new Map<string, Stored>();
    for (const each of this.accepted) {
      const identity = identityOf(each.event);
      const [known] = this.log.recognise(identity) ?? [];
      const first = fresh.get(identity);
      if (known) {
        this.#requireSame(each, known);
        places.set(identity, known);
      } else if (first) {
        // Twice in this request is the same, or a conflict.
        this.#requireSame(each, { sequence: 0n, ...first });
      } else {
        fresh.set(identity, each);
      }
    }
    if (fresh.size > 0) {
      this.#expect();
    }
    for (const [identity, { event, payload }] of fresh) {
      const stored = this.log.append(event, payload);
      places.set(identity, stored);
      this.log.remember(identity, [stored]);
    }
    return this.accepted.map((each) => {
      const identity = identityOf(each.event);
      const sequence = places.get(identity)?.sequence;
      const duplicate = fresh.get(identity) !== each;
      return create(ReceiptSchema, { index: BigInt(each.index), sequence, duplicate });
    });
  }

  /** Throws unless what is stored says what was sent. */
  #requireSame(sent: Accepted, stored: Stored): void {
    const same =
      equals(EventSchema, envelope(sent.event), envelope(stored.event)) &&
      equals(sent.type.schema, sent.payload, stored.payload);
    if (!same) {
      throw this.#conflict(stored);
    }
  }

  #conflict({ event, sequence }: Stored): Fault {
    const { requestId } = this.request;
    const place = { topic: this.log.topic.name, sequence: String(sequence) };
    if (requestId !== "" && !this.log.byEvent) {
      const metadata = { ...place, request_id: requestId };
      const message = `request id "${requestId}" was used for other events`;
      return new Fault(ErrorReason.REQUEST_ID_CONFLICT, message, { metadata });
    }
    const metadata = { ...place, id: event.id, source: event.source };
    const message = `an event with id "${event.id}" and other content is stored`;
    return new Fault(ErrorReason.EVENT_ID_CONFLICT, message, { metadata });
  }

  /**
   * Throws where a precondition doesn't hold. Events stay in this server, so that a key or a
   * topic has one if it has a last sequence.
   */
  #expect(): void {
    this.request.preconditions.forEach(({ partitionKey, expectation }, i) => {
      const { log } = this;
      const last = partitionKey ? log.lastOfKey.get(partitionKey) : log.latestSequence || undefined;
      const actual = last === undefined ? "none" : String(last);
      let expected: string;
      let holds: boolean;
      if (expectation.case === "lastSequence") {
        expected = String(expectation.value);
        holds = expectation.value === last;
      } else {
        expected = expectation.value ? "some" : "none";
        holds = expectation.value === (last !== undefined);
      }
      if (!holds) {
        const metadata = {
          expected,
          actual,
          ...(partitionKey ? { partition_key: partitionKey } : {}),
        };
        const description = `the last event is ${actual}, expected was ${expected}`;
        const reason = ErrorReason.SEQUENCE_MISMATCH;
        throw aboutField(reason, `preconditions[${i}]`, description, metadata);
      }
    });
  }
}

/** Throws where two preconditions are about the same. Without a key one is about the topic. */
export function checkSubjects(preconditions: Precondition[]): void {
  const seen = new Map<string, number>();
  preconditions.forEach(({ partitionKey = "" }, i) => {
    const first = seen.get(partitionKey);
    if (first !== undefined) {
      const description = `is about the same as preconditions[${first}]`;
      throw aboutField(ErrorReason.REQUEST_INVALID, `preconditions[${i}]`, description);
    }
    seen.set(partitionKey, i);
  });
}

/** What counts of an event besides its content: the trace that it was sent in doesn't. */
function envelope(event: Event): Event {
  const { traceparent, tracestate, ...attributes } = event.attributes;
  const { data } = event;
  return { ...event, attributes, data: data && { ...data, value: new Uint8Array() } };
}
