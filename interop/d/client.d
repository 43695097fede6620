/// The client in D: Connect with JSON, by Phobos alone. README.md in the directory
/// above says what it does.
module client;

import core.time : Duration, msecs, seconds;
import std.algorithm : all, canFind, equal, isStrictlyMonotonic, map, sort;
import std.array : array, replace;
import std.conv : to;
import std.exception : enforce;
import std.format : format;
import std.json : JSONValue;
import std.net.curl : HTTP, curlPost = post;
import std.process : environment;
import std.stdio : stdout, writefln;

import connect;
static import values;

/// The id of the event that is published while the topic is read.
enum tailed = "tailed";

/// One run of the steps.
struct Scenario
{
    Server server;
    string topic;

    void createTopic()
    {
        const request = JSONValue([
            "topic": JSONValue([
                "name": JSONValue(topic),
                "settings": JSONValue(["description": "interop"])
            ])
        ]);
        server.call("TopicService/CreateTopic", request);
        const got = server.call("TopicService/GetTopic", JSONValue(["name": topic]));
        enforce(got.at("topic", "settings", "description").text == "interop", "the topic is " ~ got.toString);
        expect("already_exists", "TOPIC_ALREADY_EXISTS", null, {
            server.call("TopicService/CreateTopic", request);
        });
    }

    private JSONValue[] publishAll(values.Named[] events)
    {
        auto request = JSONValue(["topic": topic]);
        request["events"] = events.map!(event => JSONValue([
                "id": JSONValue(event.name),
                "source": JSONValue("/interop"),
                "data": event.data
        ])).array;
        return server.call("PublisherService/Publish", request).at("receipts").items;
    }

    void publish()
    {
        const sequence = (JSONValue receipt) => receipt.at("sequence").text.to!long;
        const duplicate = (JSONValue receipt) => receipt.at("duplicate") == JSONValue(true);
        auto events = values.all;
        auto first = publishAll(events);
        auto again = publishAll(events);
        enforce(first.length == events.length && first.map!sequence.isStrictlyMonotonic
                && first.map!sequence.equal(again.map!sequence)
                && !first.canFind!duplicate && again.all!duplicate,
                "the receipts " ~ JSONValue(first)
            .toString ~ ", and when repeated " ~ JSONValue(again).toString);
    }

    void publishInvalid()
    {
        auto fields = values.full;
        fields["email"] = JSONValue("not-an-address");
        expect("invalid_argument", "EVENT_INVALID", "events[0].data.email", {
            publishAll([values.Named("refused", values.any(fields))]);
        });
    }

    void read()
    {
        const request = JSONValue([
            "topic": JSONValue(topic),
            "start": JSONValue(["boundary": "START_BOUNDARY_EARLIEST"]),
            "stop": JSONValue(["caughtUp": true]),
        ]);
        JSONValue[] events;
        server.stream("ReaderService/Read", request, (frame) {
            events ~= frame.at("events", "events").items;
            return true;
        });
        requireHold(events, values.all);
    }

    /// Reads what is stored from now on, without a bound.
    private void readNew(bool delegate(JSONValue) take, Duration deadline = Duration.zero)
    {
        const request = JSONValue([
            "topic": JSONValue(topic),
            "start": JSONValue(["boundary": "START_BOUNDARY_NEW"]),
        ]);
        server.stream("ReaderService/Read", request, take, deadline);
    }

    void tail()
    {
        const value = values.any(values.full);
        JSONValue[] events;
        untilEnough({
            readNew((frame) {
                if (!frame.at("caughtUp").isNull)
                    publishOne(server.url, topic, tailed, value);
                events = frame.at("events", "events").items;
                return events.length == 0;
            });
        });
        requireHold(events, [values.Named(tailed, value)]);
    }

    void consume()
    {
        server.call("SubscriptionService/CreateSubscription", JSONValue([
            "subscription": JSONValue([
                "name": JSONValue(topic),
                "topic": JSONValue(topic),
                "retryPolicy": JSONValue(["minBackoff": "0.1s", "maxBackoff": "1s"]),
            ]),
            "start": JSONValue(["boundary": "START_BOUNDARY_EARLIEST"]),
        ]));
        auto want = tailed ~ values.all.map!(value => value.name).array;
        string[] acknowledged;
        long[] attempts; // Of full.
        size_t applied;

        JSONValue decide(JSONValue delivery)
        {
            auto settlement = JSONValue(["deliveryToken": delivery.at("deliveryToken")]);
            const id = delivery.at("recorded", "event", "id").text;
            if (id == "full")
                attempts ~= delivery.at("attempt").get!long;
            if (id == "full" && attempts.length == 1)
            {
                settlement["nack"] = JSONValue(["kind": "NACK_KIND_RETRY"]);
                return settlement;
            }
            settlement["ack"] = JSONValue((JSONValue[string]).init);
            acknowledged ~= id;
            return settlement;
        }

        untilEnough({
            server.stream("ConsumerService/Receive", JSONValue(["subscription": topic]), (frame) {
                auto deliveries = frame.at("deliveries", "deliveries").items;
                if (deliveries.length == 0)
                    return true;
                auto request = JSONValue(["subscription": topic]);
                request["settlements"] = deliveries.map!decide.array;
                foreach (result; server.call("ConsumerService/Settle", request).at("results").items)
                {
                    enforce(result.at("status").text == "SETTLEMENT_STATUS_APPLIED",
                        "a settlement is " ~ result.toString);
                    applied++;
                }
                // One settlement more than events: full is settled twice.
                return applied < want.length + 1;
            });
        });
        enforce(attempts == [1, 2], format!"the attempts of full are %s"(attempts));
        enforce(acknowledged.sort.equal(want.sort), format!"acknowledged %s"(acknowledged));
    }

    void exceedDeadline()
    {
        expect("deadline_exceeded", null, null, {
            readNew((frame) => true, 300.msecs);
        });
    }

    void cancel()
    {
        expect("canceled", null, null, {
            readNew((frame) => frame.at("caughtUp").isNull);
        });
    }
}

/// Publishes one event, with nothing but Phobos.
void publishOne(string url, string topic, string id, JSONValue data)
{
    // docs:begin
    auto event = JSONValue(["id": id, "source": "/interop"]);
    event["data"] = data;
    auto request = JSONValue(["topic": topic]);
    request["events"] = [event];
    auto http = HTTP();
    http.operationTimeout = 10.seconds;
    http.addRequestHeader("Content-Type", "application/json");
    // Throws where the status isn't one of success.
    curlPost(url ~ "/tidings.v1.PublisherService/Publish", request.toString, http);
    // docs:end
}

/// Does a call that this side ends.
void untilEnough(void delegate() call)
{
    try
        call();
    catch (Failure failure)
        if (failure.code != "canceled")
            throw failure;
}

/// Wants a call to fail with a code and, where they are given, with a reason and with a
/// field that violates a rule.
void expect(string code, string reason, string field, void delegate() call)
{
    try
        call();
    catch (Failure failure)
    {
        enforce(failure.code == code && (reason is null || failure.reason == reason)
                && (field is null || failure.fields.canFind(field)),
                format!"expected %s, got %s"(code, failure.msg));
        return;
    }
    throw new Exception("expected " ~ code ~ ", got ok");
}

/// Wants events to have ids and to hold values.
void requireHold(JSONValue[] events, values.Named[] want)
{
    enforce(events.length == want.length, format!"%s events"(events.length));
    foreach (i, event; events)
        enforce(event.at("event", "id").text == want[i].name
                && event.at("event", "data") == want[i].data,
                "the event " ~ event.toString ~ ", want " ~ want[i].data.toString);
}

int main()
{
    if (environment["TIDINGS_TRANSPORT"] != "connect-json")
        throw new Exception("TIDINGS_TRANSPORT is not connect-json");
    auto scenario = Scenario(Server(environment["TIDINGS_URL"]), environment["TIDINGS_TOPIC"]);
    struct Step
    {
        string name;
        void delegate() perform;
    }

    int status = 0;
    foreach (step; [
        Step("topic", &scenario.createTopic),
        Step("publish", &scenario.publish),
        Step("refused", &scenario.publishInvalid),
        Step("read", &scenario.read),
        Step("tail", &scenario.tail),
        Step("consume", &scenario.consume),
        Step("deadline", &scenario.exceedDeadline),
        Step("cancel", &scenario.cancel),
    ])
    {
        try
        {
            step.perform();
            writefln!"%s ok"(step.name);
        }
        catch (Exception e)
        {
            writefln!"%s fail: %s"(step.name, e.msg.replace("\n", " "));
            status = 1;
        }
        stdout.flush();
    }
    foreach (name; ["golden", "golden-json"])
        writefln!"%s n/a: Debian has no library of protobuf for D"(name);
    return status;
}
