package com.example.interop;

import com.example.tidings.v1.ConsumeOpen;
import com.example.tidings.v1.ConsumeRequest;
import com.example.tidings.v1.ConsumeResponse;
import com.example.tidings.v1.ConsumerServiceGrpc.ConsumerServiceBlockingV2Stub;
import com.example.tidings.v1.Delivery;
import com.example.tidings.v1.Settlement;
import com.example.tidings.v1.SettlementBatch;
import com.example.tidings.v1.SettlementResult;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.Function;

/** A consumer that goes on working whatever becomes of its calls. */
final class Consumer {
  private Consumer() {}

  // docs:begin
  /** What the same call would end with again. */
  private static final Set<Status.Code> LASTING =
      Set.of(
          Status.Code.INVALID_ARGUMENT,
          Status.Code.NOT_FOUND,
          Status.Code.FAILED_PRECONDITION,
          Status.Code.PERMISSION_DENIED,
          Status.Code.UNAUTHENTICATED,
          Status.Code.UNIMPLEMENTED);

  /**
   * Consumes a subscription until it is to stop, which is asked with each frame, if only a
   * heartbeat. {@code work} decides about each delivery in turn.
   */
  static void consume(
      ConsumerServiceBlockingV2Stub consumer,
      String subscription,
      Function<Delivery, Settlement> work,
      java.util.function.Consumer<List<SettlementResult>> settled,
      BooleanSupplier stop)
      throws InterruptedException, StatusException {
    Queue<SettlementBatch> unanswered = new ArrayDeque<>(); // Those whose results haven't come.
    while (!stop.getAsBoolean()) {
      var open = ConsumeOpen.newBuilder().setSubscription(subscription);
      for (SettlementBatch batch : unanswered) {
        batch.getSettlementsList().forEach(s -> open.addHeldDeliveryTokens(s.getDeliveryToken()));
      }
      var call = consumer.consume();
      try {
        call.write(ConsumeRequest.newBuilder().setOpen(open).build());
        for (SettlementBatch batch : unanswered) {
          call.write(ConsumeRequest.newBuilder().setSettle(batch).build());
        }
        ConsumeResponse frame;
        while ((frame = call.read()) != null) {
          if (frame.hasDeliveries()) {
            var batch = SettlementBatch.newBuilder();
            frame.getDeliveries().getDeliveriesList().stream()
                .map(work)
                .forEach(batch::addSettlements);
            unanswered.add(batch.build());
            call.write(ConsumeRequest.newBuilder().setSettle(batch).build());
          } else if (frame.hasSettled()) {
            settled.accept(frame.getSettled().getResultsList()); // In the order of the batches.
            unanswered.remove();
          } else if (frame.hasDraining()) {
            call.halfClose(); // The server is about to stop: nothing is held here, so call again.
          }
          if (stop.getAsBoolean() && unanswered.isEmpty()) {
            return;
          }
        }
      } catch (StatusException | StatusRuntimeException e) {
        if (LASTING.contains(Status.fromThrowable(e).getCode())) {
          throw e;
        }
        Thread.sleep(1000);
      } finally {
        call.cancel("this call is over", null);
      }
    }
  }
  // docs:end
}
