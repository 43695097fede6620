-- The client in Lua, with lua-http and lua-cjson. README.md in the directory above
-- says what it does.
package.path = (arg[0]:match("^.*/") or "./") .. "?.lua;" .. package.path

local cjson = require("cjson")
local cqueues = require("cqueues")
local http_client = require("http.client")
local http_headers = require("http.headers")
local http_request = require("http.request")

local values = require("values")

local url = os.getenv("TIDINGS_URL")
local topic = os.getenv("TIDINGS_TOPIC")
local TYPE = "type.googleapis.com/tidings.conformance.v1.EveryKind"
local NEW = { boundary = "START_BOUNDARY_NEW" }
local OLD = { boundary = "START_BOUNDARY_EARLIEST" }

-- Nothing waits longer than until this time, which is that of each step.
local deadline
local function patience()
  return math.max(deadline - cqueues.monotime(), 0)
end

local function fail(...)
  error(string.format(...), 0)
end

-- All calls share one connection of HTTP/2, which without TLS is by agreement.
local host, port = url:match("^http://(.*):(%d+)$")
local connection =
  assert(http_client.connect({ host = host, port = tonumber(port), tls = false, version = 2 }, 10))

-- Opens a call and sends its first message, as it is encoded.
local function open(rpc, content_type, body, last, timeout_ms)
  local headers = http_headers.new()
  headers:append(":method", "POST")
  headers:append(":scheme", "http")
  headers:append(":authority", host .. ":" .. port)
  headers:append(":path", "/tidings.v1." .. rpc)
  headers:append("content-type", content_type)
  if timeout_ms then
    headers:append("connect-timeout-ms", tostring(timeout_ms))
  end
  local stream = assert(connection:new_stream())
  assert(stream:write_headers(headers, false, patience()))
  assert(stream:write_chunk(body, last, patience()))
  return stream
end

-- The response of a unary RPC, SERVICE/METHOD, or nil and the error as Connect has it.
local function try_call(rpc, request)
  local stream = open(rpc, "application/json", cjson.encode(request), true)
  local headers = assert(stream:get_headers(patience()))
  local message = cjson.decode(assert(stream:get_body_as_string(patience())))
  if headers:get(":status") ~= "200" then
    return nil, message
  end
  return message
end

local function call(rpc, request)
  local response, refusal = try_call(rpc, request)
  if not response then
    fail("%s: %s", rpc, cjson.encode(refusal))
  end
  return response
end

-- A message of a stream has a byte of flags and four with its length before it.
local function envelope(message)
  local body = cjson.encode(message)
  local length, bytes = #body, {}
  for i = 4, 1, -1 do
    bytes[i] = string.char(length % 256)
    length = math.floor(length / 256)
  end
  return "\0" .. table.concat(bytes) .. body
end

-- Calls an RPC that streams. take(message, send) returns true where it has had
-- enough; that cancels the call. Returns the error that the server ended it with, or
-- nil, and whether it was cancelled.
local function stream(rpc, request, take, options)
  options = options or {}
  local half_closed = not options.bidirectional
  local call_stream =
    open(rpc, "application/connect+json", envelope(request), half_closed, options.timeout_ms)
  local function send(message)
    assert(call_stream:write_chunk(envelope(message), false, patience()))
  end
  local buffer = ""
  while true do
    local chunk, why = call_stream:get_next_chunk(patience())
    if not chunk then
      fail("%s: the stream ended without its last message: %s", rpc, tostring(why))
    end
    buffer = buffer .. chunk
    while #buffer >= 5 do
      local flags, a, b, c, d = buffer:byte(1, 5)
      local length = ((a * 256 + b) * 256 + c) * 256 + d
      if #buffer < 5 + length then
        break
      end
      local message = cjson.decode(buffer:sub(6, 5 + length))
      buffer = buffer:sub(6 + length)
      if flags == 2 then
        return message.error, false
      end
      if take(message, send) then
        call_stream:shutdown() -- Tells the server by RST_STREAM.
        return nil, call_stream.state == "closed"
      end
    end
  end
end

-- Wants a call to have been refused with a code and, where they are given, with a
-- reason and a field.
local function expect(refusal, code, reason, field)
  if not refusal then
    fail("expected %s, got OK", code)
  end
  local got_reason, found = nil, false
  for _, detail in ipairs(refusal.details or {}) do
    if detail.type == "google.rpc.ErrorInfo" then
      got_reason = detail.debug.reason
    elseif detail.type == "google.rpc.BadRequest" then
      for _, violation in ipairs(detail.debug.fieldViolations) do
        found = found or violation.field == field
      end
    end
  end
  if refusal.code ~= code or (reason and got_reason ~= reason) or (field and not found) then
    fail("expected %s, got %s", code, cjson.encode(refusal))
  end
end

local function event(id, value)
  local data = { ["@type"] = TYPE }
  for name, field in pairs(value) do
    data[name] = field
  end
  return { id = id, source = "/interop", data = data }
end

-- Wants an event to have an id and to hold a value.
local function require_event(got, id, value)
  if got.id ~= id or not values.same(got.data, event(id, value).data) then
    fail("instead of %s: %s", id, cjson.encode(got))
  end
end

-- docs:begin
local function publish_one(id, value)
  local event_with_value = { id = id, source = "/interop", data = { ["@type"] = TYPE } }
  for name, field in pairs(value) do
    event_with_value.data[name] = field
  end
  local request = http_request.new_from_uri(url .. "/tidings.v1.PublisherService/Publish")
  request.headers:upsert(":method", "POST")
  request.headers:upsert("content-type", "application/json")
  request:set_body(cjson.encode({ topic = topic, events = { event_with_value } }))
  local headers, response = assert(request:go(10))
  assert(headers:get(":status") == "200", response:get_body_as_string(10))
end
-- docs:end

local steps = {}

function steps.topic()
  local request = { topic = { name = topic, settings = { description = "interop" } } }
  call("TopicService/CreateTopic", request)
  local got = call("TopicService/GetTopic", { name = topic }).topic.settings.description
  if got ~= "interop" then
    fail("the description is %s", tostring(got))
  end
  local _, refusal = try_call("TopicService/CreateTopic", request)
  expect(refusal, "already_exists", "TOPIC_ALREADY_EXISTS")
end

function steps.publish()
  local events = {}
  for i, value in ipairs(values.all) do
    events[i] = event(value.name, value)
  end
  local request = { topic = topic, events = events }
  local first = call("PublisherService/Publish", request).receipts
  local again = call("PublisherService/Publish", request).receipts
  if #first ~= #events or #again ~= #events then
    fail("%d and %d receipts, want %d", #first, #again, #events)
  end
  local last = 0
  for i, receipt in ipairs(first) do
    -- Sequences are texts, because they may have 64 bits. These are far below 2^53.
    local sequence = tonumber(receipt.sequence)
    if sequence <= last or receipt.duplicate then
      fail("the receipt %s after %d", cjson.encode(receipt), last)
    end
    if again[i].sequence ~= receipt.sequence or not again[i].duplicate then
      fail("when repeated the receipt %s", cjson.encode(again[i]))
    end
    last = sequence
  end
end

function steps.refused()
  local bad = event("refused", values.full)
  bad.data.email = "not-an-address"
  local _, refusal = try_call("PublisherService/Publish", { topic = topic, events = { bad } })
  expect(refusal, "invalid_argument", "EVENT_INVALID", "events[0].data.email")
end

function steps.read()
  local events = {}
  local request = { topic = topic, start = OLD, stop = { caughtUp = true } }
  local refusal = stream("ReaderService/Read", request, function(frame)
    for _, recorded in ipairs(frame.events and frame.events.events or {}) do
      table.insert(events, recorded.event)
    end
  end)
  if refusal then
    fail("%s", cjson.encode(refusal))
  end
  if #events ~= #values.all then
    fail("%d events, want %d", #events, #values.all)
  end
  for i, value in ipairs(values.all) do
    require_event(events[i], value.name, value)
  end
end

function steps.tail()
  local come
  stream("ReaderService/Read", { topic = topic, start = NEW }, function(frame)
    if frame.caughtUp then
      publish_one("tailed", values.full)
    end
    come = frame.events and frame.events.events[1].event
    return come
  end)
  if not come then
    fail("the call ended before the event came")
  end
  require_event(come, "tailed", values.full)
end

function steps.consume()
  call("SubscriptionService/CreateSubscription", {
    subscription = {
      name = topic,
      topic = topic,
      retryPolicy = { minBackoff = "0.1s", maxBackoff = "1s" },
    },
    start = OLD,
  })
  local acknowledged, attempts, applied = {}, {}, 0
  local function decide(delivery)
    local id = delivery.recorded.event.id
    if id == "full" then
      table.insert(attempts, delivery.attempt)
      if #attempts == 1 then
        return { deliveryToken = delivery.deliveryToken, nack = { kind = "NACK_KIND_RETRY" } }
      end
    end
    table.insert(acknowledged, id)
    return { deliveryToken = delivery.deliveryToken, ack = {} }
  end
  local wanted = { "tailed" }
  for _, value in ipairs(values.all) do
    table.insert(wanted, value.name)
  end
  local function take(frame, send)
    if frame.deliveries then
      local settlements = {}
      for i, delivery in ipairs(frame.deliveries.deliveries) do
        settlements[i] = decide(delivery)
      end
      send({ settle = { settlements = settlements } })
    end
    for _, result in ipairs(frame.settled and frame.settled.results or {}) do
      if result.status ~= "SETTLEMENT_STATUS_APPLIED" then
        fail("a settlement is %s", result.status)
      end
      applied = applied + 1
    end
    return applied > #wanted -- One more than events: full is settled twice.
  end
  local request = { open = { subscription = topic } }
  local _, cancelled = stream("ConsumerService/Consume", request, take, { bidirectional = true })
  if not cancelled then
    fail("the server ended the call")
  end
  table.sort(acknowledged)
  table.sort(wanted)
  if table.concat(attempts, " ") ~= "1 2" then
    fail("the attempts of full are %s", table.concat(attempts, " "))
  end
  if table.concat(acknowledged, " ") ~= table.concat(wanted, " ") then
    fail("acknowledged %s", table.concat(acknowledged, " "))
  end
end

function steps.deadline()
  local request = { topic = topic, start = NEW }
  local refusal = stream("ReaderService/Read", request, function() end, { timeout_ms = 300 })
  expect(refusal, "deadline_exceeded")
end

function steps.cancel()
  local request = { topic = topic, start = NEW }
  local refusal, cancelled = stream("ReaderService/Read", request, function(frame)
    return frame.caughtUp ~= nil
  end)
  if not cancelled then
    fail("the call ended before it was cancelled: %s", cjson.encode(refusal))
  end
end

local ok = true
local order = { "topic", "publish", "refused", "read", "tail", "consume", "deadline", "cancel" }
for _, name in ipairs(order) do
  deadline = cqueues.monotime() + 10
  local done, why = pcall(steps[name])
  if done then
    print(name .. " ok")
  else
    print(name .. " fail: " .. tostring(why):gsub("%s+", " "))
    ok = false
  end
end
print("golden n/a: there is no library of protobuf's binary form for Lua")
print("golden-json n/a: there is no library of protobuf's binary form for Lua")
os.exit(ok)
