#include "scenario.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "connect.h"
#include "golden.h"
#include "values.h"
#include "tidings/v1/consumer_service.pb-c.h"
#include "tidings/v1/publisher_service.pb-c.h"
#include "tidings/v1/reader_service.pb-c.h"
#include "tidings/v1/subscription_service.pb-c.h"
#include "tidings/v1/topic_service.pb-c.h"

static char source[] = "/interop";
static char description[] = "interop";
/* The id of the event that is published while the topic is read. */
static char tailed[] = "tailed";

/* The topic's events: the values, and the one with the id `tailed`. */
enum { EVENTS = VALUES + 1 };

bool create_topic(struct scenario *s) {
  Tidings__V1__Topic topic = TIDINGS__V1__TOPIC__INIT;
  topic.name = s->topic;
  Tidings__Options__V1__TopicSettings settings = TIDINGS__OPTIONS__V1__TOPIC_SETTINGS__INIT;
  settings.description = description;
  topic.settings = &settings;
  Tidings__V1__CreateTopicRequest create = TIDINGS__V1__CREATE_TOPIC_REQUEST__INIT;
  create.topic = &topic;
  struct failure failure;
  const ProtobufCServiceDescriptor *topics = &tidings__v1__topic_service__descriptor;
  ProtobufCMessage *created = connect_call(s->url, topics, "CreateTopic", &create.base, &failure);
  if (created == NULL)
    return fail_call(s, &failure);
  protobuf_c_message_free_unpacked(created, NULL);

  Tidings__V1__GetTopicRequest get = TIDINGS__V1__GET_TOPIC_REQUEST__INIT;
  get.name = s->topic;
  Tidings__V1__GetTopicResponse *got =
      (void *)connect_call(s->url, topics, "GetTopic", &get.base, &failure);
  if (got == NULL)
    return fail_call(s, &failure);
  bool described = got->topic != NULL && got->topic->settings != NULL &&
                   strcmp(got->topic->settings->description, description) == 0;
  tidings__v1__get_topic_response__free_unpacked(got, NULL);
  if (!described)
    return fail(s, "the topic came back with another description");

  created = connect_call(s->url, topics, "CreateTopic", &create.base, &failure);
  if (created != NULL)
    protobuf_c_message_free_unpacked(created, NULL);
  return expect(s, &failure, "already_exists", "TOPIC_ALREADY_EXISTS", NULL);
}

/* Compares the receipts of the same request, made twice. */
static bool compare_receipts(struct scenario *s, const Tidings__V1__PublishResponse *first,
                             const Tidings__V1__PublishResponse *again) {
  if (first->n_receipts != VALUES || again->n_receipts != VALUES)
    return fail(s, "%zu and %zu receipts", first->n_receipts, again->n_receipts);
  int64_t last = 0;
  for (size_t i = 0; i < VALUES; i++) {
    const Tidings__V1__Receipt *receipt = first->receipts[i], *repeated = again->receipts[i];
    if (receipt->duplicate || receipt->sequence <= last)
      return fail(s, "the sequence %" PRId64 " after %" PRId64, receipt->sequence, last);
    if (!repeated->duplicate || repeated->sequence != receipt->sequence)
      return fail(s, "the sequence %" PRId64 ", and when repeated %" PRId64, receipt->sequence,
                  repeated->sequence);
    last = receipt->sequence;
  }
  return true;
}

bool publish(struct scenario *s) {
  Tidings__V1__Event events[VALUES], *pointers[VALUES];
  Google__Protobuf__Any data[VALUES];
  for (size_t i = 0; i < VALUES; i++) {
    const EveryKind *value = values()[i];
    if (!pack_any(value, &data[i]))
      return fail(s, "no memory");
    tidings__v1__event__init(&events[i]);
    events[i].id = value->name;
    events[i].source = source;
    events[i].data = &data[i];
    pointers[i] = &events[i];
  }
  Tidings__V1__PublishRequest request = TIDINGS__V1__PUBLISH_REQUEST__INIT;
  request.topic = s->topic;
  request.n_events = VALUES;
  request.events = pointers;

  struct failure failure;
  Tidings__V1__PublishResponse *first, *again = NULL;
  const ProtobufCServiceDescriptor *publisher = &tidings__v1__publisher_service__descriptor;
  first = (void *)connect_call(s->url, publisher, "Publish", &request.base, &failure);
  if (first != NULL)
    again = (void *)connect_call(s->url, publisher, "Publish", &request.base, &failure);
  bool ok = again == NULL ? fail_call(s, &failure) : compare_receipts(s, first, again);
  if (first != NULL)
    tidings__v1__publish_response__free_unpacked(first, NULL);
  if (again != NULL)
    tidings__v1__publish_response__free_unpacked(again, NULL);
  for (size_t i = 0; i < VALUES; i++)
    free(data[i].value.data);
  return ok;
}

bool publish_invalid(struct scenario *s) {
  EveryKind value = *values()[0];
  value.email = "not-an-address";
  Google__Protobuf__Any data;
  if (!pack_any(&value, &data))
    return fail(s, "no memory");
  Tidings__V1__Event event = TIDINGS__V1__EVENT__INIT, *events[] = {&event};
  event.id = "refused";
  event.source = source;
  event.data = &data;
  Tidings__V1__PublishRequest request = TIDINGS__V1__PUBLISH_REQUEST__INIT;
  request.topic = s->topic;
  request.n_events = 1;
  request.events = events;
  struct failure failure;
  ProtobufCMessage *response = connect_call(s->url, &tidings__v1__publisher_service__descriptor,
                                            "Publish", &request.base, &failure);
  if (response != NULL)
    protobuf_c_message_free_unpacked(response, NULL);
  free(data.value.data);
  return expect(s, &failure, "invalid_argument", "EVENT_INVALID", "events[0].data.email");
}

/* Calls Read from a boundary on, up to the topic's end or without a bound. */
static bool call_read(struct scenario *s, Tidings__V1__StartBoundary boundary, bool to_end,
                      long deadline, take_message *take, void *context, struct failure *failure) {
  Tidings__V1__StartPosition start = TIDINGS__V1__START_POSITION__INIT;
  start.position_case = TIDINGS__V1__START_POSITION__POSITION_BOUNDARY;
  start.boundary = boundary;
  Tidings__V1__StopPosition stop = TIDINGS__V1__STOP_POSITION__INIT;
  stop.position_case = TIDINGS__V1__STOP_POSITION__POSITION_CAUGHT_UP;
  stop.caught_up = true;
  Tidings__V1__ReadRequest request = TIDINGS__V1__READ_REQUEST__INIT;
  request.topic = s->topic;
  request.start = &start;
  request.stop = to_end ? &stop : NULL;
  return connect_stream(s->url, &tidings__v1__reader_service__descriptor, "Read", &request.base,
                        deadline, take, context, failure);
}

struct reading {
  struct scenario *s;
  size_t events;
  bool equal;
};

static bool compare_events(void *context, const ProtobufCMessage *message) {
  struct reading *reading = context;
  const Tidings__V1__ReadResponse *frame = (const void *)message;
  if (frame->frame_case != TIDINGS__V1__READ_RESPONSE__FRAME_EVENTS)
    return true;
  for (size_t i = 0; i < frame->events->n_events; i++, reading->events++) {
    const EveryKind *want = reading->events < VALUES ? values()[reading->events] : NULL;
    reading->equal =
        reading->equal && want != NULL && holds(frame->events->events[i]->event, want->name, want);
  }
  return true;
}

bool read_all(struct scenario *s) {
  struct reading reading = {.s = s, .equal = true};
  struct failure failure;
  if (!call_read(s, TIDINGS__V1__START_BOUNDARY__START_BOUNDARY_EARLIEST, true, 0, compare_events,
                 &reading, &failure))
    return fail_call(s, &failure);
  if (reading.events != VALUES || !reading.equal)
    return fail(s, "%zu events, not each with what was published", reading.events);
  return true;
}

static size_t ignore_data(char *data, size_t one, size_t size, void *context) {
  (void)data, (void)context;
  return one * size;
}

/* Publishes one event with nothing but protobuf-c and libcurl, as a program would that
 * does no more than that. */
static CURLcode publish_one(const char *server, char *topic, char *id,
                            Google__Protobuf__Any *data) {
  char url[512];
  snprintf(url, sizeof url, "%s/tidings.v1.PublisherService/Publish", server);
  /* docs:begin */
  Tidings__V1__Event event = TIDINGS__V1__EVENT__INIT, *events[] = {&event};
  event.id = id;
  event.source = "/interop";
  event.data = data;
  Tidings__V1__PublishRequest request = TIDINGS__V1__PUBLISH_REQUEST__INIT;
  request.topic = topic;
  request.n_events = 1;
  request.events = events;
  size_t size = tidings__v1__publish_request__get_packed_size(&request);
  uint8_t *body = malloc(size);
  tidings__v1__publish_request__pack(&request, body);

  CURL *curl = curl_easy_init();
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/proto");
  curl_easy_setopt(curl, CURLOPT_URL, url); /* …/tidings.v1.PublisherService/Publish */
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_data);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
  CURLcode ended = curl_easy_perform(curl);
  curl_easy_cleanup(curl);
  curl_slist_free_all(headers);
  free(body);
  /* docs:end */
  return ended;
}

struct tailing {
  struct scenario *s;
  CURLcode published;
  bool came, equal;
};

static bool publish_when_caught_up(void *context, const ProtobufCMessage *message) {
  struct tailing *tailing = context;
  const Tidings__V1__ReadResponse *frame = (const void *)message;
  if (frame->frame_case == TIDINGS__V1__READ_RESPONSE__FRAME_CAUGHT_UP) {
    Google__Protobuf__Any data;
    if (!pack_any(values()[0], &data))
      return false;
    tailing->published = publish_one(tailing->s->url, tailing->s->topic, tailed, &data);
    free(data.value.data);
    return tailing->published == CURLE_OK;
  }
  if (frame->frame_case == TIDINGS__V1__READ_RESPONSE__FRAME_EVENTS) {
    tailing->came = frame->events->n_events == 1;
    tailing->equal = tailing->came && holds(frame->events->events[0]->event, tailed, values()[0]);
    return false;
  }
  return true;
}

bool tail(struct scenario *s) {
  struct tailing tailing = {.s = s};
  struct failure failure;
  call_read(s, TIDINGS__V1__START_BOUNDARY__START_BOUNDARY_NEW, false, 0, publish_when_caught_up,
            &tailing, &failure);
  if (tailing.published != CURLE_OK)
    return fail(s, "publishing: %s", curl_easy_strerror(tailing.published));
  if (!tailing.came)
    return fail_call(s, &failure);
  return tailing.equal || fail(s, "the event is not the one that was published");
}

struct consuming {
  struct scenario *s;
  size_t applied;
  int attempts[2]; /* Of full. */
  size_t fulls;
  int acknowledged[EVENTS];
  bool failed;
};

/* Decides on a delivery. */
static void decide(struct consuming *consuming, const Tidings__V1__Delivery *delivery,
                   Tidings__V1__Settlement *settlement) {
  static Tidings__V1__Ack ack = TIDINGS__V1__ACK__INIT;
  static Tidings__V1__Nack nack = TIDINGS__V1__NACK__INIT;
  nack.kind = TIDINGS__V1__NACK_KIND__NACK_KIND_RETRY;
  tidings__v1__settlement__init(settlement);
  settlement->delivery_token = delivery->delivery_token;
  const char *id = delivery->recorded->event->id;
  if (strcmp(id, values()[0]->name) == 0) {
    if (consuming->fulls < 2)
      consuming->attempts[consuming->fulls] = delivery->attempt;
    if (++consuming->fulls == 1) {
      settlement->action_case = TIDINGS__V1__SETTLEMENT__ACTION_NACK;
      settlement->nack = &nack;
      return;
    }
  }
  settlement->action_case = TIDINGS__V1__SETTLEMENT__ACTION_ACK;
  settlement->ack = &ack;
  for (size_t i = 0; i < EVENTS; i++)
    consuming->acknowledged[i] += strcmp(id, i < VALUES ? values()[i]->name : tailed) == 0;
}

static bool settle(void *context, const ProtobufCMessage *message) {
  struct consuming *consuming = context;
  struct scenario *s = consuming->s;
  const Tidings__V1__ReceiveResponse *frame = (const void *)message;
  if (frame->frame_case != TIDINGS__V1__RECEIVE_RESPONSE__FRAME_DELIVERIES)
    return true;
  size_t count = frame->deliveries->n_deliveries;
  Tidings__V1__Settlement *settlements = calloc(count, sizeof *settlements);
  Tidings__V1__Settlement **pointers = calloc(count, sizeof *pointers);
  Tidings__V1__SettleResponse *response = NULL;
  if (settlements != NULL && pointers != NULL) {
    for (size_t i = 0; i < count; i++) {
      decide(consuming, frame->deliveries->deliveries[i], &settlements[i]);
      pointers[i] = &settlements[i];
    }
    Tidings__V1__SettleRequest request = TIDINGS__V1__SETTLE_REQUEST__INIT;
    request.subscription = s->topic;
    request.n_settlements = count;
    request.settlements = pointers;
    struct failure failure;
    response = (void *)connect_call(s->url, &tidings__v1__consumer_service__descriptor, "Settle",
                                    &request.base, &failure);
    if (response == NULL)
      fail_call(s, &failure);
  }
  consuming->failed = response == NULL;
  for (size_t i = 0; response != NULL && i < response->n_results; i++) {
    if (response->results[i]->status == TIDINGS__V1__SETTLEMENT_STATUS__SETTLEMENT_STATUS_APPLIED) {
      consuming->applied++;
    } else {
      consuming->failed = true;
      fail(s, "a settlement is %d", response->results[i]->status);
    }
  }
  if (response != NULL)
    tidings__v1__settle_response__free_unpacked(response, NULL);
  free(pointers);
  free(settlements);
  /* One settlement more than events: full is settled twice. */
  return !consuming->failed && consuming->applied < EVENTS + 1;
}

bool consume(struct scenario *s) {
  Google__Protobuf__Duration min_backoff = GOOGLE__PROTOBUF__DURATION__INIT,
                             max_backoff = GOOGLE__PROTOBUF__DURATION__INIT;
  min_backoff.nanos = 100000000;
  max_backoff.seconds = 1;
  Tidings__V1__RetryPolicy retry_policy = TIDINGS__V1__RETRY_POLICY__INIT;
  retry_policy.min_backoff = &min_backoff;
  retry_policy.max_backoff = &max_backoff;
  Tidings__V1__Subscription subscription = TIDINGS__V1__SUBSCRIPTION__INIT;
  subscription.name = subscription.topic = s->topic;
  subscription.retry_policy = &retry_policy;
  Tidings__V1__StartPosition start = TIDINGS__V1__START_POSITION__INIT;
  start.position_case = TIDINGS__V1__START_POSITION__POSITION_BOUNDARY;
  start.boundary = TIDINGS__V1__START_BOUNDARY__START_BOUNDARY_EARLIEST;
  Tidings__V1__CreateSubscriptionRequest create = TIDINGS__V1__CREATE_SUBSCRIPTION_REQUEST__INIT;
  create.subscription = &subscription;
  create.start = &start;
  struct failure failure;
  ProtobufCMessage *created = connect_call(s->url, &tidings__v1__subscription_service__descriptor,
                                           "CreateSubscription", &create.base, &failure);
  if (created == NULL)
    return fail_call(s, &failure);
  protobuf_c_message_free_unpacked(created, NULL);

  struct consuming consuming = {.s = s};
  Tidings__V1__ReceiveRequest receive = TIDINGS__V1__RECEIVE_REQUEST__INIT;
  receive.subscription = s->topic;
  connect_stream(s->url, &tidings__v1__consumer_service__descriptor, "Receive", &receive.base, 0,
                 settle, &consuming, &failure);
  if (consuming.failed)
    return false;
  if (consuming.applied != EVENTS + 1)
    return fail_call(s, &failure);
  if (consuming.fulls != 2 || consuming.attempts[0] != 1 || consuming.attempts[1] != 2)
    return fail(s, "full came %zu times, with the attempts %d and %d", consuming.fulls,
                consuming.attempts[0], consuming.attempts[1]);
  for (size_t i = 0; i < EVENTS; i++)
    if (consuming.acknowledged[i] != 1)
      return fail(s, "the event %zu was acknowledged %d times", i, consuming.acknowledged[i]);
  return true;
}

static bool go_on(void *context, const ProtobufCMessage *message) {
  (void)context, (void)message;
  return true;
}

bool exceed_deadline(struct scenario *s) {
  struct failure failure;
  call_read(s, TIDINGS__V1__START_BOUNDARY__START_BOUNDARY_NEW, false, 300, go_on, NULL, &failure);
  return expect(s, &failure, "deadline_exceeded", NULL, NULL);
}

static bool until_caught_up(void *context, const ProtobufCMessage *message) {
  (void)context;
  const Tidings__V1__ReadResponse *frame = (const void *)message;
  return frame->frame_case != TIDINGS__V1__READ_RESPONSE__FRAME_CAUGHT_UP;
}

bool cancel(struct scenario *s) {
  struct failure failure;
  call_read(s, TIDINGS__V1__START_BOUNDARY__START_BOUNDARY_NEW, false, 0, until_caught_up, NULL,
            &failure);
  return expect(s, &failure, "canceled", NULL, NULL);
}

bool copy_golden(struct scenario *s) {
  return golden_copy(s->golden, s->out, s->problem, sizeof s->problem);
}
