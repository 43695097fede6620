/* The Connect protocol over libcurl, with messages in protobuf's binary form. */
#ifndef CONNECT_H
#define CONNECT_H

#include <stdbool.h>
#include <protobuf-c/protobuf-c.h>

/* How a call ended that did not end well. */
struct failure {
  char code[32];     /* That of Connect, "not_found"; "canceled" where this side ended it. */
  char message[512]; /* For people. */
  char reason[64];   /* Of google.rpc.ErrorInfo; "" where there is none. */
  char fields[512];  /* Of google.rpc.BadRequest, each between spaces. */
};

/* Takes a message of a stream, and returns whether the call goes on. */
typedef bool take_message(void *context, const ProtobufCMessage *message);

/* Calls a method with one response. The caller frees it. NULL: it failed. */
ProtobufCMessage *connect_call(const char *url, const ProtobufCServiceDescriptor *service,
                               const char *method, const ProtobufCMessage *request,
                               struct failure *failure);

/* Calls a method with a stream of responses, with a deadline in milliseconds or, with 0,
 * without one. Returns whether the server ended the stream in order. */
bool connect_stream(const char *url, const ProtobufCServiceDescriptor *service, const char *method,
                    const ProtobufCMessage *request, long deadline, take_message *take,
                    void *context, struct failure *failure);

#endif
