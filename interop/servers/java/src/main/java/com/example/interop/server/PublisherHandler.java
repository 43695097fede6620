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
      private boolean stopping;
      private boolean stopped;

      @Override
      public void onNext(PublishStreamRequest request) {
        if (stopped) {
          return;
        }
        var response = PublishStreamResponse.newBuilder().setBatch(batch);
        boolean failed = false;
        try {
          Contract.checkDecoded();
          checkStop(request);
          PublishResponse published = publisher.publish(publishOf(request), 0);
          failed = published.getRefusedEventsCount() > 0;
          response.setPublished(published);
        } catch (RuntimeException e) {
          failed = true;
          response.setError(Contract.faultOf(e).toProto());
        }
        batch++;
        observer.onNext(response.build());
        if (stopping && failed) {
          stopped = true;
          observer.onCompleted();
        }
      }

      private void checkStop(PublishStreamRequest request) {
        if (batch == 0) {
          stopping = request.getStopOnError();
        } else if (request.getStopOnError() && !stopping) {
          throw refused("stop_on_error", "must be set in the first message");
        }
      }

      @Override
      public void onCompleted() {
        if (!stopped) {
          observer.onCompleted();
        }
      }
    };
  }

  @Override
  public StreamObserver<ImportRequest> import_(StreamObserver<ImportResponse> observer) {
    return new Requests<>() {
      private final ImportResponse.Builder summary = ImportResponse.newBuilder();

      /** The first request, which has the topic and the options of all. */
      private PublishRequest first;

      private String topic;

      @Override
      public void onNext(ImportRequest request) {
        try {
          take(publishOf(request));
        } catch (RuntimeException e) {
          throw Contract.faultOf(e).with("stored", Long.toString(summary.getStoredCount()));
        }
      }

      private void take(PublishRequest request) {
        if (first == null) {
          first = request;
          topic = request.getTopic();
        }
        checkImportable(request, first);
        if (topic.isEmpty()) {
          topic = publisher.declaredTopic(request.getEventsList());
        }
        PublishRequest batch =
            request.toBuilder().setTopic(topic).setSkipInvalid(first.getSkipInvalid()).build();
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

  private static PublishRequest publishOf(PublishStreamRequest request) {
    if (!request.hasPublish()) {
      Rules.check(request);
    }
    return request.getPublish();
  }

  private static PublishRequest publishOf(ImportRequest request) {
    if (!request.hasPublish()) {
      Rules.check(request);
    }
    return request.getPublish();
  }

  /** Fails where a message says what isn't for Import, or what the first one didn't. */
  private static void checkImportable(PublishRequest request, PublishRequest first) {
    if (!request.getRequestId().isEmpty()) {
      throw refused("request_id", "is not for Import");
    }
    if (request.getPreconditionsCount() > 0) {
      throw refused("preconditions", "are not for Import");
    }
    if (!request.getTopic().isEmpty() && !request.getTopic().equals(first.getTopic())) {
      throw refused("topic", "must be that of the first message or empty");
    }
    if (request.getSkipInvalid() && !first.getSkipInvalid()) {
      throw refused("skip_invalid", "must be that of the first message or unset");
    }
  }

  private static Fault refused(String field, String description) {
    return Fault.of(ErrorReason.ERROR_REASON_REQUEST_INVALID, field, description, Map.of());
  }

  /** What a client sends. What was taken before it gives the call up stays stored. */
  private abstract static class Requests<T> implements StreamObserver<T> {
    @Override
    public void onError(Throwable e) {}
  }
}
