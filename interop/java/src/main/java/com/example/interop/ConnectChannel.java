package com.example.interop;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.MethodDescriptor;
import java.net.URI;
import java.net.http.HttpClient;

/**
 * A channel over Connect with JSON, by HTTP/1.1 and with the JDK's client, for the same generated
 * stubs. It has no calls on which the client streams.
 */
final class ConnectChannel extends Channel {
  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final URI url;

  ConnectChannel(URI url) {
    this.url = url;
  }

  @Override
  public <Q, S> ClientCall<Q, S> newCall(MethodDescriptor<Q, S> method, CallOptions options) {
    return new ConnectCall<>(http, url.resolve("/" + method.getFullMethodName()), method, options);
  }

  @Override
  public String authority() {
    return url.getAuthority();
  }
}
