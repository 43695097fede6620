package com.example.interop.server;

import com.example.tidings.conformance.v1.EveryKindOuterClass;
import io.grpc.InsecureServerCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.TimeUnit;

/**
 * A server in Java for a part of the contract: TopicService and PublisherService, in memory. It
 * shows what the contract asks of a server besides the messages.
 */
public final class Server {
  /** Above this gRPC itself refuses a request, with no reason. */
  private static final int MAX_MESSAGE_BYTES = 64 << 20;

  /** For calls under way when the server is told to stop, in seconds. */
  private static final long GRACE = 5;

  private Server() {}

  public static void main(String[] args) throws IOException, InterruptedException {
    EventTypes types = new EventTypes(EveryKindOuterClass.getDescriptor());
    Topics topics = new Topics(types);
    io.grpc.Server server =
        NettyServerBuilder.forAddress(
                new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
                InsecureServerCredentials.create())
            .maxInboundMessageSize(MAX_MESSAGE_BYTES)
            .addService(Contract.of(new Limits()))
            .addService(Contract.of(new TopicHandler(types, topics)))
            .addService(Contract.of(new PublisherHandler(new Publisher(types, topics))))
            .build()
            .start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server)));
    System.out.println("listening grpc=127.0.0.1:" + server.getPort());
    server.awaitTermination();
  }

  private static void stop(io.grpc.Server server) {
    try {
      if (!server.shutdown().awaitTermination(GRACE, TimeUnit.SECONDS)) {
        server.shutdownNow();
      }
    } catch (InterruptedException e) {
      server.shutdownNow();
    }
    // It was told to stop, and did; the JVM would end with the signal as its status.
    Runtime.getRuntime().halt(0);
  }
}
