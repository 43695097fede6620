// A consumer that goes on working whatever becomes of its calls.
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { createWritableIterable } from "@connectrpc/connect/protocol";
import type {
  ConsumeRequestSchema,
  ConsumerService,
  Delivery,
  Settlement,
  SettlementResult,
} from "@example/tidings/v1";

// docs:begin
type Request = MessageInitShape<typeof ConsumeRequestSchema>["request"];

/** What the same call would end with again. */
const lasting = [
  Code.InvalidArgument,
  Code.NotFound,
  Code.FailedPrecondition,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.Unimplemented,
];

/** Consumes a subscription until stop is aborted. work decides about each delivery in turn. */
export async function consume(
  consumer: Client<typeof ConsumerService>,
  subscription: string,
  work: (delivery: Delivery) => Promise<Settlement>,
  settled: (results: SettlementResult[]) => void,
  stop: AbortSignal,
): Promise<void> {
  const unanswered: Settlement[][] = []; // Batches whose results haven't come.
  while (!stop.aborted) {
    const requests = createWritableIterable<MessageInitShape<typeof ConsumeRequestSchema>>();
    // What can't be sent any more is sent again on the next call.
    const send = (request: Request) => void requests.write({ request }).catch(() => {});
    const call = new AbortController();
    const end = () => requests.close(); // The server answers what it has, and ends the call.
    stop.addEventListener("abort", end, { once: true });
    const heldDeliveryTokens = unanswered.flat().map(({ deliveryToken }) => deliveryToken);
    send({ case: "open", value: { subscription, heldDeliveryTokens } });
    unanswered.forEach((settlements) => send({ case: "settle", value: { settlements } }));
    try {
      for await (const { frame } of consumer.consume(requests, { signal: call.signal })) {
        if (frame.case === "deliveries") {
          const settlements: Settlement[] = [];
          for (const delivery of frame.value.deliveries) {
            settlements.push(await work(delivery));
          }
          unanswered.push(settlements);
          send({ case: "settle", value: { settlements } });
        } else if (frame.case === "settled") {
          settled(frame.value.results); // In the order of the batches.
          unanswered.shift();
        } else if (frame.case === "draining") {
          end(); // The server is about to stop: nothing is held here, so call again.
        }
      }
    } catch (error) {
      if (lasting.includes(ConnectError.from(error).code)) {
        throw error;
      }
      await sleep(1000, undefined, { signal: stop }).catch(() => {});
    } finally {
      stop.removeEventListener("abort", end);
      end();
      call.abort();
    }
  }
}
// docs:end
