package com.example.interop.server;

import com.example.tidings.v1.ErrorReason;
import com.example.tidings.v1.ImportRequest;
import com.example.tidings.v1.ImportResponse;
import com.example.tidings.v1.PublishRequest;
import com.example.tidings.v1.PublishResponse;
import com.example.tidings.v1.PublishStreamRequest;
import com.example.tidings.v1.PublishStreamResponse;
import com.example.tidings.v1.PublisherServiceGrpc;
import com.example.tidings.v1.Receipt;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import io.grpc.stub.StreamObserver;
import java.util.Map;

/** tidings.v1.PublisherService. */
final class PublisherHandler extends PublisherServiceGrpc.PublisherServiceImplBase {
  /** How many refused events a summary names. */
  private static final int MAX_REFUSED_EVENTS = 100;

  private final Publisher publisher;

  PublisherHandler(Publisher publisher) {
    this.publisher = publisher;
  }

  @Override
  public void publish(PublishRequest request, StreamObserver<PublishResponse> observer) {
    observer.onNext(publisher.publish(request, 0));
    observer.onCompleted();
  }

  @Override
  public StreamObserver<PublishStreamRequest> publishStream(
      StreamObserver<PublishStreamResponse> observer) {
    return new Requests<>() {
      private long batch;

      @Override
      public void onNext(PublishStreamRequest request) {
        var response = PublishStreamResponse.newBuilder().setBatch(batch++);
        try {
          Contract.checkDecoded();
          response.setPublished(publisher.publish(asPublishRequest(request), 0));
        } catch (RuntimeException e) {
          response.setError(Contract.faultOf(e).toProto());
        }
        observer.onNext(response.build());
      }

      @Override
      public void onCompleted() {
        observer.onCompleted();
      }
    };
  }

  @Override
  public StreamObserver<ImportRequest> import_(StreamObserver<ImportResponse> observer) {
    return new Requests<>() {
      private final ImportResponse.Builder summary = ImportResponse.newBuilder();

      /** The first request, which has the topic and the options of all. */
      private ImportRequest first;

      private String topic;

      @Override
      public void onNext(ImportRequest request) {
        try {
          take(request);
        } catch (RuntimeException e) {
          throw Contract.faultOf(e).with("stored", Long.toString(summary.getStoredCount()));
        }
      }

      private void take(ImportRequest request) {
        if (first == null) {
          first = request;
          topic = request.getTopic();
        }
        if (!request.getTopic().isEmpty() && !request.getTopic().equals(first.getTopic())) {
          throw Fault.of(
              ErrorReason.ERROR_REASON_REQUEST_INVALID,
              "topic",
              "must be that of the first message or empty",
              Map.of());
        }
        if (topic.isEmpty()) {
          topic = publisher.declaredTopic(request.getEventsList());
        }
        PublishRequest batch =
            asPublishRequest(request).toBuilder()
                .setTopic(topic)
                .setSkipInvalid(first.getSkipInvalid())
                .build();
        count(publisher.publish(batch, summary.getReceivedCount()));
        summary.setReceivedCount(summary.getReceivedCount() + request.getEventsCount());
      }

      private void count(PublishResponse response) {
        summary.setTopic(response.getTopic());
        for (Receipt receipt : response.getReceiptsList()) {
          if (receipt.getDuplicate()) {
            summary.setDuplicateCount(summary.getDuplicateCount() + 1);
          } else {
            summary.setStoredCount(summary.getStoredCount() + 1);
          }
          if (summary.getFirstSequence() == 0
              || receipt.getSequence() < summary.getFirstSequence()) {
            summary.setFirstSequence(receipt.getSequence());
          }
          summary.setLastSequence(Math.max(summary.getLastSequence(), receipt.getSequence()));
        }
        summary.setRefusedCount(summary.getRefusedCount() + response.getRefusedEventsCount());
        int room = MAX_REFUSED_EVENTS - summary.getRefusedEventsCount();
        response.getRefusedEventsList().stream().limit(room).forEach(summary::addRefusedEvents);
      }

      @Override
      public void onCompleted() {
        observer.onNext(summary.build());
        observer.onCompleted();
      }
    };
  }

  /** The requests of a stream have the fields of PublishRequest, with the same numbers. */
  private static PublishRequest asPublishRequest(Message request) {
    try {
      return PublishRequest.parseFrom(request.toByteString());
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException(e);
    }
  }

  /** What a client sends. What was taken before it gives the call up stays stored. */
  private abstract static class Requests<T> implements StreamObserver<T> {
    @Override
    public void onError(Throwable e) {}
  }
}
