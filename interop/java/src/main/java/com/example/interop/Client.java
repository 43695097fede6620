package com.example.interop;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The client in Java: with grpc-java over gRPC, with the JDK's HTTP client over Connect. README.md
 * in the directory above says what it does.
 */
public final class Client {
  private Client() {}

  private interface Step {
    void run() throws Exception;
  }

  public static void main(String[] args) {
    String topic = System.getenv("TIDINGS_TOPIC");
    String address = System.getenv("TIDINGS_GRPC");
    boolean ok;
    if (System.getenv("TIDINGS_TRANSPORT").equals("connect-json")) {
      URI url = URI.create(System.getenv("TIDINGS_URL"));
      ok = run(new Scenario(new ConnectChannel(url), null, topic));
    } else {
      ManagedChannel channel =
          Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
      try {
        ok = run(new Scenario(channel, address, topic));
      } finally {
        channel.shutdownNow();
      }
    }
    System.exit(ok ? 0 : 1);
  }

  /** Does every step and returns whether none failed. */
  private static boolean run(Scenario scenario) {
    Golden golden =
        new Golden(Path.of(System.getenv("TIDINGS_GOLDEN")), Path.of(System.getenv("TIDINGS_OUT")));
    Map<String, Step> steps = new LinkedHashMap<>();
    steps.put("topic", scenario::createTopic);
    steps.put("publish", scenario::publish);
    steps.put("refused", scenario::publishInvalid);
    steps.put("read", scenario::read);
    steps.put("tail", scenario::tail);
    steps.put("consume", scenario::consume);
    steps.put("deadline", scenario::exceedDeadline);
    steps.put("cancel", scenario::cancel);
    steps.put("golden", golden::copy);
    steps.put("golden-json", golden::copyJson);

    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    boolean ok = true;
    for (Map.Entry<String, Step> step : steps.entrySet()) {
      try {
        step.getValue().run();
        out.println(step.getKey() + " ok");
      } catch (Exception e) {
        e.printStackTrace();
        out.println(step.getKey() + " fail: " + e.toString().replaceAll("\\R", " "));
        ok = false;
      }
    }
    return ok;
  }
}
