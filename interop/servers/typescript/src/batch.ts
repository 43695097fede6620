// How the events of a request come into a topic.
import { create, equals, type Message } from "@bufbuild/protobuf";
import {
  ErrorReason,
  type Event,
  EventSchema,
  type Precondition,
  type Receipt,
  ReceiptSchema,
} from "@example/tidings/v1";
import type { EventType } from "./eventtypes.js";
import { Fault } from "./faults.js";
import type { Log, Stored } from "./topics.js";

/** An event of a request that passed every check. */
export type Accepted = { index: number; event: Event; type: EventType; payload: Message };

function identityOf({ event }: Accepted): string {
  return JSON.stringify([event.source, event.id]);
}

/** The events of a request, on their way into a topic. */
export class Batch {
  constructor(
    readonly log: Log,
    readonly requestId: string,
    readonly accepted: Accepted[],
  ) {}

  /** Stores the events, all or none, unless they are stored already. */
  store(precondition?: Precondition): Receipt[] {
    return this.log.byEvent ? this.#storeEach(precondition) : this.#storeAll(precondition);
  }

  /** Where requests are recognised. */
  #storeAll(precondition?: Precondition): Receipt[] {
    const identity = this.requestId || JSON.stringify(this.accepted.map(identityOf));
    let stored = this.log.recognise(identity);
    const duplicate = stored !== undefined;
    if (stored) {
      for (const [i, there] of stored.entries()) {
        const sent = this.accepted[i];
        if (sent) {
          this.#requireSame(sent, there);
        }
      }
      const [first] = this.accepted;
      if (first && stored.length !== this.accepted.length) {
        throw this.#conflict(first, stored.at(-1)?.sequence ?? 0n);
      }
    } else {
      this.#expect(precondition);
      stored = this.accepted.map(({ event, payload }) => this.log.append(event, payload));
      this.log.remember(identity, stored);
    }
    return this.accepted.map(({ index }, i) =>
      create(ReceiptSchema, { index, sequence: stored[i]?.sequence, duplicate }),
    );
  }

  /** Where events are recognised one by one. */
  #storeEach(precondition?: Precondition): Receipt[] {
    const fresh = new Map<string, Accepted>();
    const places = new Map<string, Stored>();
    for (const each of this.accepted) {
      const identity = identityOf(each);
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
      this.#expect(precondition);
    }
    for (const [identity, { event, payload }] of fresh) {
      const stored = this.log.append(event, payload);
      places.set(identity, stored);
      this.log.remember(identity, [stored]);
    }
    return this.accepted.map((each) => {
      const identity = identityOf(each);
      const sequence = places.get(identity)?.sequence;
      const duplicate = fresh.get(identity) !== each;
      return create(ReceiptSchema, { index: each.index, sequence, duplicate });
    });
  }

  /** Throws unless what is stored says what was sent. */
  #requireSame(sent: Accepted, stored: Stored): void {
    const same =
      equals(EventSchema, withoutContent(sent.event), withoutContent(stored.event)) &&
      equals(sent.type.schema, sent.payload, stored.payload);
    if (!same) {
      throw this.#conflict(sent, stored.sequence);
    }
  }

  #conflict({ event }: Accepted, sequence: bigint): Fault {
    const place = { topic: this.log.topic.name, sequence: String(sequence) };
    if (this.requestId !== "" && !this.log.byEvent) {
      const metadata = { ...place, request_id: this.requestId };
      const message = `request id "${this.requestId}" was used for other events`;
      return new Fault(ErrorReason.EVENT_ID_CONFLICT, message, { metadata });
    }
    const metadata = { ...place, id: event.id, source: event.source };
    const message = `an event with id "${event.id}" and other content is stored`;
    return new Fault(ErrorReason.EVENT_ID_CONFLICT, message, { metadata });
  }

  /** Throws where the last event isn't the expected one. */
  #expect(precondition?: Precondition): void {
    if (!precondition) {
      return;
    }
    const { partitionKey: key, expectedLastSequence: expected } = precondition;
    const actual = key === "" ? this.log.latestSequence : (this.log.lastOfKey.get(key) ?? 0n);
    if (actual !== expected) {
      const metadata = {
        expected: String(expected),
        actual: String(actual),
        ...(key === "" ? {} : { partition_key: key }),
      };
      const message = `the last sequence is ${actual}, not ${expected}`;
      throw new Fault(ErrorReason.SEQUENCE_MISMATCH, message, { metadata });
    }
  }
}

/** The event with the type of its content only. */
function withoutContent(event: Event): Event {
  const { data } = event;
  return { ...event, data: data && { ...data, value: new Uint8Array() } };
}
