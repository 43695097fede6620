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
import com.example.tidings.v1.Topic;
import com.example.tidings.v1.TopicServiceGrpc;
import com.example.tidings.v1.UpdateTopicRequest;
import com.example.tidings.v1.UpdateTopicResponse;
import io.grpc.stub.StreamObserver;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/** tidings.v1.TopicService. */
final class TopicHandler extends TopicServiceGrpc.TopicServiceImplBase {
  private static final int DEFAULT_PAGE_SIZE = 100;
  private static final int MAX_PAGE_SIZE = 1000;
  private static final String TOKEN_PREFIX = "topics after ";

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
    checkTypes(request.getTopic().getSettings().getEventTypesList());
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
    int asked = request.getPageSize() == 0 ? DEFAULT_PAGE_SIZE : request.getPageSize();
    int size = Math.min(asked, MAX_PAGE_SIZE);
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
      Updates.apply(topic, wanted, request.getUpdateMask(), "topic");
      Topics.complete(topic.getSettingsBuilder());
      List<String> named = topic.getSettings().getEventTypesList();
      if (!named.equals(log.topic().getSettings().getEventTypesList())) {
        checkTypes(named);
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
      if (!names.get(i).equals(EventTypes.ANY) && types.find(names.get(i)) == null) {
        throw Fault.of(
            ErrorReason.ERROR_REASON_EVENT_TYPE_UNKNOWN,
            "topic.settings.event_types[" + i + "]",
            "unknown event type \"" + names.get(i) + "\"",
            Map.of("type", names.get(i)));
      }
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
