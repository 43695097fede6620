package com.example.interop;

import com.example.tidings.conformance.v1.EveryKind;
import com.example.tidings.v1.Event;
import com.example.tidings.v1.PublishRequest;
import com.example.tidings.v1.PublisherServiceGrpc;
import com.google.protobuf.Any;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * Publishes an event with an API key, over TLS. README.md in the directory above says how it is
 * run.
 */
final class Access {
  private Access() {}

  public static void main(String[] args) throws IOException {
    String tokenFile = System.getenv("TIDINGS_TOKEN_FILE");
    String token =
        tokenFile == null || tokenFile.isEmpty() ? "" : Files.readString(Path.of(tokenFile)).strip();
    EveryKind value = EveryKind.newBuilder().setName("access").setEmail("ada@example.com").build();
    Event event =
        Event.newBuilder().setId("access").setSource("/interop").setData(Any.pack(value)).build();
    PublishRequest request =
        PublishRequest.newBuilder()
            .setTopic(System.getenv("TIDINGS_TOPIC"))
            .addEvents(event)
            .build();
    try {
      publish(
          System.getenv("TIDINGS_GRPC"),
          new File(System.getenv("TIDINGS_CA_FILE")),
          token,
          request);
    } catch (StatusRuntimeException refused) {
      System.out.println(refused.getStatus().getCode());
      System.exit(1);
    }
  }

  private static void publish(String address, File authorities, String token, PublishRequest request)
      throws IOException {
    // docs:begin
    Metadata headers = new Metadata();
    if (!token.isEmpty()) {
      headers.put(
          Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
    }
    ManagedChannel channel =
        Grpc.newChannelBuilder(
                address, TlsChannelCredentials.newBuilder().trustManager(authorities).build())
            .build();
    try {
      PublisherServiceGrpc.newBlockingStub(channel)
          .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
          .withDeadlineAfter(10, TimeUnit.SECONDS)
          .publish(request);
    } finally {
      channel.shutdown();
    }
    // docs:end
  }
}
