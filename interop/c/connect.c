#include "connect.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "google/rpc/error_details.pb-c.h"

/* How long a call waits at most, in milliseconds, whatever its deadline. */
static const long patience = 10000;

/* Before each message of a stream there are flags and a length of four bytes. */
enum { PREFIX = 5, END_OF_STREAM = 2 };

struct buffer {
  uint8_t *data;
  size_t length;
};

static bool append(struct buffer *buffer, const void *data, size_t length) {
  uint8_t *grown = realloc(buffer->data, buffer->length + length);
  if (grown == NULL)
    return false;
  memcpy(grown + buffer->length, data, length);
  buffer->data = grown;
  buffer->length += length;
  return true;
}

static void fail(struct failure *failure, const char *code, const char *message) {
  memset(failure, 0, sizeof *failure);
  snprintf(failure->code, sizeof failure->code, "%s", code);
  snprintf(failure->message, sizeof failure->message, "%s", message);
}

/* Decodes base64 with or without padding. The caller frees what `bytes` holds. */
static bool decode_base64(const char *text, struct buffer *bytes) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint32_t bits = 0;
  int count = 0;
  *bytes = (struct buffer){malloc(strlen(text) + 1), 0};
  if (bytes->data == NULL)
    return false;
  for (; *text != '\0' && *text != '='; text++) {
    const char *digit = strchr(alphabet, *text);
    if (digit == NULL)
      return false;
    bits = bits << 6 | (uint32_t)(digit - alphabet);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes->data[bytes->length++] = (uint8_t)(bits >> count);
    }
  }
  return true;
}

static void take_detail(struct failure *failure, const char *type, const struct buffer *bytes) {
  if (strcmp(type, "google.rpc.ErrorInfo") == 0) {
    Google__Rpc__ErrorInfo *info =
        google__rpc__error_info__unpack(NULL, bytes->length, bytes->data);
    if (info == NULL)
      return;
    snprintf(failure->reason, sizeof failure->reason, "%s", info->reason);
    google__rpc__error_info__free_unpacked(info, NULL);
  } else if (strcmp(type, "google.rpc.BadRequest") == 0) {
    Google__Rpc__BadRequest *bad_request =
        google__rpc__bad_request__unpack(NULL, bytes->length, bytes->data);
    if (bad_request == NULL)
      return;
    size_t length = 0;
    for (size_t i = 0; i < bad_request->n_field_violations; i++)
      if (length < sizeof failure->fields)
        length += (size_t)snprintf(failure->fields + length, sizeof failure->fields - length,
                                   " %s ", bad_request->field_violations[i]->field);
    google__rpc__bad_request__free_unpacked(bad_request, NULL);
  }
}

/* Takes an error of Connect apart: {"code": …, "message": …, "details": […]}. */
static void take_error(struct failure *failure, json_t *error) {
  const char *code = "unknown", *message = "";
  json_t *details = NULL, *detail;
  json_unpack(error, "{s?s, s?s, s?o}", "code", &code, "message", &message, "details", &details);
  fail(failure, code, message);
  size_t index;
  json_array_foreach(details, index, detail) {
    const char *type, *value;
    struct buffer bytes;
    if (json_unpack(detail, "{s:s, s:s}", "type", &type, "value", &value) != 0)
      continue;
    if (decode_base64(value, &bytes))
      take_detail(failure, type, &bytes);
    free(bytes.data);
  }
}

/* A request on its way. */
struct call {
  CURL *curl;
  struct curl_slist *headers;
  const ProtobufCMethodDescriptor *method;
  struct buffer body;

  struct buffer received; /* What is not a whole message yet. */
  /* For streams. */
  take_message *take;
  void *context;
  bool refused, ended;
  struct failure *failure;
};

/* Takes the messages of a stream that have come as a whole. */
static bool take_messages(struct call *call) {
  struct buffer *received = &call->received;
  while (received->length >= PREFIX) {
    const uint8_t *prefix = received->data;
    size_t length = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 |
                    (size_t)prefix[4];
    if (received->length - PREFIX < length)
      return true;
    const uint8_t *data = prefix + PREFIX;
    if (prefix[0] & END_OF_STREAM) {
      json_t *end = json_loadb((const char *)data, length, 0, NULL);
      json_t *error = json_object_get(end, "error");
      call->ended = true;
      if (end == NULL)
        fail(call->failure, "internal", "the end of the stream is not JSON");
      else if (error != NULL)
        take_error(call->failure, error);
      json_decref(end);
    } else {
      ProtobufCMessage *message =
          protobuf_c_message_unpack(call->method->output, NULL, length, data);
      if (message == NULL) {
        fail(call->failure, "internal", "a message can't be decoded");
        return false;
      }
      call->refused = !call->take(call->context, message);
      protobuf_c_message_free_unpacked(message, NULL);
      if (call->refused)
        return false;
    }
    received->length -= PREFIX + length;
    memmove(received->data, received->data + PREFIX + length, received->length);
  }
  return true;
}

/* Anything but `size` makes libcurl end the transfer. */
static size_t on_data(char *data, size_t one, size_t size, void *context) {
  struct call *call = context;
  (void)one;
  if (!append(&call->received, data, size))
    return 0;
  return call->take == NULL || take_messages(call) ? size : 0;
}

static bool prepare(struct call *call, const char *url, const ProtobufCServiceDescriptor *service,
                    const char *method, const ProtobufCMessage *request) {
  char target[512];
  snprintf(target, sizeof target, "%s/%s/%s", url, service->name, method);
  call->method = protobuf_c_service_descriptor_get_method_by_name(service, method);
  call->curl = curl_easy_init();
  size_t length = protobuf_c_message_get_packed_size(request);
  size_t prefix = call->take == NULL ? 0 : PREFIX;
  call->body = (struct buffer){calloc(1, prefix + length + 1), prefix + length};
  if (call->method == NULL || call->curl == NULL || call->body.data == NULL) {
    fail(call->failure, "internal", "the call can't be made");
    return false;
  }
  protobuf_c_message_pack(request, call->body.data + prefix);
  if (prefix > 0)
    for (int i = 0; i < 4; i++)
      call->body.data[1 + i] = (uint8_t)(length >> (24 - 8 * i));
  call->headers = curl_slist_append(call->headers, call->take == NULL
                                                       ? "Content-Type: application/proto"
                                                       : "Content-Type: application/connect+proto");
  call->headers = curl_slist_append(call->headers, "Connect-Protocol-Version: 1");
  curl_easy_setopt(call->curl, CURLOPT_URL, target);
  curl_easy_setopt(call->curl, CURLOPT_HTTPHEADER, call->headers);
  curl_easy_setopt(call->curl, CURLOPT_POSTFIELDS, call->body.data);
  curl_easy_setopt(call->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.length);
  curl_easy_setopt(call->curl, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(call->curl, CURLOPT_WRITEDATA, call);
  curl_easy_setopt(call->curl, CURLOPT_TIMEOUT_MS, patience);
  curl_easy_setopt(call->curl, CURLOPT_NOSIGNAL, 1L);
  return true;
}

static void clean_up(struct call *call) {
  curl_easy_cleanup(call->curl);
  curl_slist_free_all(call->headers);
  free(call->body.data);
  free(call->received.data);
}

ProtobufCMessage *connect_call(const char *url, const ProtobufCServiceDescriptor *service,
                               const char *method, const ProtobufCMessage *request,
                               struct failure *failure) {
  struct call call = {.failure = failure};
  ProtobufCMessage *response = NULL;
  memset(failure, 0, sizeof *failure);
  if (prepare(&call, url, service, method, request)) {
    CURLcode ended = curl_easy_perform(call.curl);
    long status = 0;
    curl_easy_getinfo(call.curl, CURLINFO_RESPONSE_CODE, &status);
    json_t *error;
    if (ended != CURLE_OK) {
      fail(failure, "unavailable", curl_easy_strerror(ended));
    } else if (status == 200) {
      response = protobuf_c_message_unpack(call.method->output, NULL, call.received.length,
                                           call.received.data);
      if (response == NULL)
        fail(failure, "internal", "the response can't be decoded");
    } else {
      error = json_loadb((const char *)call.received.data, call.received.length, 0, NULL);
      take_error(failure, error);
      json_decref(error);
    }
  }
  clean_up(&call);
  return response;
}

bool connect_stream(const char *url, const ProtobufCServiceDescriptor *service, const char *method,
                    const ProtobufCMessage *request, long deadline, take_message *take,
                    void *context, struct failure *failure) {
  struct call call = {.failure = failure, .take = take, .context = context};
  memset(failure, 0, sizeof *failure);
  if (prepare(&call, url, service, method, request)) {
    if (deadline > 0) {
      char header[64];
      snprintf(header, sizeof header, "Connect-Timeout-Ms: %ld", deadline);
      call.headers = curl_slist_append(call.headers, header);
    }
    CURLcode ended = curl_easy_perform(call.curl);
    if (call.refused)
      fail(failure, "canceled", "ended by this side");
    else if (ended != CURLE_OK && failure->code[0] == '\0')
      fail(failure, "unavailable", curl_easy_strerror(ended));
    else if (!call.ended && failure->code[0] == '\0')
      fail(failure, "internal", "the stream has no end");
  }
  clean_up(&call);
  return failure->code[0] == '\0';
}
