package com.example.interop.server;

import com.example.tidings.v1.Feature;
import com.example.tidings.v1.GetServerInfoRequest;
import com.example.tidings.v1.GetServerInfoResponse;
import com.example.tidings.v1.ServerServiceGrpc;
import io.grpc.stub.StreamObserver;
import java.util.List;

/** What the server accepts, and tidings.v1.ServerService, which says so. */
final class Limits extends ServerServiceGrpc.ServerServiceImplBase {
  static final int MAX_REQUEST_BYTES = 4 << 20;
  static final int MAX_EVENT_BYTES = 1 << 20;
  static final int MAX_EVENTS = 4096;

  /** In a topic with DEDUPE_EVENT. */
  static final int MAX_EVENTS_BY_EVENT = 1000;

  private static final List<Feature> FEATURES =
      List.of(
          Feature.FEATURE_EXACT_COUNTS,
          Feature.FEATURE_KEY_PRECONDITIONS,
          Feature.FEATURE_MULTIPLE_PRECONDITIONS);

  @Override
  public void getServerInfo(
      GetServerInfoRequest request, StreamObserver<GetServerInfoResponse> observer) {
    // The durability isn't said: the contract has no name for events that are in memory only.
    var response = GetServerInfoResponse.newBuilder().setVersion(version());
    response
        .getLimitsBuilder()
        .setMaxRequestBytes(MAX_REQUEST_BYTES)
        .setMaxEventBytes(MAX_EVENT_BYTES)
        .setMaxEventsPerRequest(MAX_EVENTS)
        .setMaxEventsPerDedupeEventRequest(MAX_EVENTS_BY_EVENT);
    for (Feature feature : FEATURES) {
      response.addFeatures(feature.name().substring("FEATURE_".length()));
    }
    observer.onNext(response.build());
    observer.onCompleted();
  }

  /** Returns the version of the package of the contract. */
  private static String version() {
    return GetServerInfoRequest.class.getPackage().getImplementationVersion();
  }
}
