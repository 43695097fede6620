package com.example.interop.server;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.example.tidings.v1.CreateTopicRequest;
import com.example.tidings.v1.CreateTopicResponse;
import com.example.tidings.v1.DeleteTopicRequest;
import com.example.tidings.v1.DeleteTopicResponse;
import com.example.tidings.v1.ErrorReason;
import com.example.tidings.v1.GetTopicRequest;
import com.example.tidings.v1.GetTopicResponse;
import com.example.tidings.v1.ListTopicsRequest;
import com.example.tidings.v1.ListTopicsResponse;
import com.example.tidings.v1.Retention;
import com.example.tidings.v1.Topic;
import com.example.tidings.v1.TopicServiceGrpc;
import com.example.tidings.v1.UpdateTopicRequest;
import com.example.tidings.v1.UpdateTopicResponse;
import com.google.protobuf.Descriptors.FieldDescriptor;
import io.grpc.stub.StreamObserver;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** tidings.v1.TopicService. */
final class TopicHandler extends TopicServiceGrpc.TopicServiceImplBase {
  private static final int DEFAULT_PAGE_SIZE = 100;
  private static final String TOKEN_PREFIX = "topics after ";

  /** The fields that an update mask may name. */
  private static final Set<String> MUTABLE =
      Set.of(
          "description",
          "event_types",
          "dedupe_window",
          "retention",
          "retention.max_age",
          "retention.max_bytes");

  private final EventTypes types;
  private final Topics topics;

  TopicHandler(EventTypes types, Topics topics) {
    this.types = types;
    this.topics = topics;
  }

  @Override
  public void createTopic(
      CreateTopicRequest request, StreamObserver<CreateTopicResponse> observer) {
    Rules.check(request);
    checkTypes(request.getTopic().getEventTypesList());
    var response = CreateTopicResponse.newBuilder();
    synchronized (topics) {
      response.setTopic(topics.create(request.getTopic()));
    }
    answer(observer, response.build());
  }

  @Override
  public void getTopic(GetTopicRequest request, StreamObserver<GetTopicResponse> observer) {
    Rules.check(request);
    var response = GetTopicResponse.newBuilder();
    synchronized (topics) {
      TopicLog log = topics.get(request.getName());
      response.setTopic(log.topic().toBuilder().setStatistics(log.statistics()));
    }
    answer(observer, response.build());
  }

  @Override
  public void listTopics(ListTopicsRequest request, StreamObserver<ListTopicsResponse> observer) {
    Rules.check(request);
    int size = request.getPageSize() == 0 ? DEFAULT_PAGE_SIZE : request.getPageSize();
    var response = ListTopicsResponse.newBuilder();
    synchronized (topics) {
      for (TopicLog log : topics.after(readToken(request.getPageToken()))) {
        if (response.getTopicsCount() == size) {
          response.setNextPageToken(writeToken(response.getTopics(size - 1).getName()));
          break;
        }
        response.addTopics(log.topic());
      }
    }
    answer(observer, response.build());
  }

  @Override
  public void updateTopic(
      UpdateTopicRequest request, StreamObserver<UpdateTopicResponse> observer) {
    Rules.check(request);
    Topic wanted = request.getTopic();
    var response = UpdateTopicResponse.newBuilder();
    synchronized (topics) {
      TopicLog log = topics.get(wanted.getName(), wanted.getEtag());
      Topic.Builder topic = log.topic().toBuilder();
      apply(request.getUpdateMask().getPathsList(), wanted, topic);
      if (!topic.getEventTypesList().equals(log.topic().getEventTypesList())) {
        checkTypes(topic.getEventTypesList());
      }
      response.setTopic(topics.update(log, topic));
    }
    answer(observer, response.build());
  }

  @Override
  public void deleteTopic(
      DeleteTopicRequest request, StreamObserver<DeleteTopicResponse> observer) {
    Rules.check(request);
    synchronized (topics) {
      topics.delete(topics.get(request.getName(), request.getEtag()));
    }
    answer(observer, DeleteTopicResponse.getDefaultInstance());
  }

  private static <T> void answer(StreamObserver<T> observer, T response) {
    observer.onNext(response);
    observer.onCompleted();
  }

  private void checkTypes(List<String> names) {
    for (int i = 0; i < names.size(); i++) {
      if (types.find(names.get(i)) == null) {
        throw Fault.of(
            ErrorReason.ERROR_REASON_EVENT_TYPE_UNKNOWN,
            "topic.event_types[" + i + "]",
            "the server has not been given the type \"" + names.get(i) + "\"",
            Map.of("type", names.get(i)));
      }
    }
  }

  /** Sets the fields that a mask names, or without one those that are set. */
  private static void apply(List<String> mask, Topic wanted, Topic.Builder topic) {
    if (mask.isEmpty()) {
      mask =
          wanted.getAllFields().keySet().stream()
              .map(FieldDescriptor::getName)
              .filter(MUTABLE::contains)
              .toList();
    }
    for (int i = 0; i < mask.size(); i++) {
      String path = mask.get(i);
      if (!MUTABLE.contains(path)) {
        throw Fault.of(
            ErrorReason.ERROR_REASON_UPDATE_MASK_INVALID,
            "update_mask.paths[" + i + "]",
            "\"" + path + "\" is not a field that can be changed",
            Map.of());
      }
      switch (path) {
        case "retention.max_age" -> {
          topic.getRetentionBuilder().clearMaxAge();
          if (wanted.getRetention().hasMaxAge()) {
            topic.getRetentionBuilder().setMaxAge(wanted.getRetention().getMaxAge());
          }
        }
        case "retention.max_bytes" ->
            topic.getRetentionBuilder().setMaxBytes(wanted.getRetention().getMaxBytes());
        default -> {
          FieldDescriptor field = Topic.getDescriptor().findFieldByName(path);
          topic.clearField(field);
          if (wanted.getAllFields().containsKey(field)) {
            topic.setField(field, wanted.getField(field));
          }
        }
      }
    }
    if (topic.getRetention().equals(Retention.getDefaultInstance())) {
      topic.clearRetention();
    }
  }

  /** Returns the token of the page after the topic of a name. */
  private static String writeToken(String name) {
    return Base64.getUrlEncoder().encodeToString((TOKEN_PREFIX + name).getBytes(UTF_8));
  }

  /** Returns the name after which a page begins. */
  private static String readToken(String token) {
    if (token.isEmpty()) {
      return "";
    }
    String text;
    try {
      text = new String(Base64.getUrlDecoder().decode(token), UTF_8);
    } catch (IllegalArgumentException e) {
      text = "";
    }
    if (!text.startsWith(TOKEN_PREFIX)) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID,
          "page_token",
          "must be the next_page_token of a response to the same request",
          Map.of());
    }
    return text.substring(TOKEN_PREFIX.length());
  }
}
