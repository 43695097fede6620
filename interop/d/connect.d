/// The Connect protocol over std.net.curl, with messages in JSON.
module connect;

import core.time : Duration, seconds;
import std.algorithm : filter, joiner, map;
import std.array : array;
import std.bitmanip : bigEndianToNative, nativeToBigEndian;
import std.conv : to;
import std.format : format;
import std.json : JSONException, JSONType, JSONValue, parseJSON;
import std.net.curl : CurlException, HTTP;

/// How a call ended that didn't end well. The code is that of Connect, `not_found`.
class Failure : Exception
{
    string code;
    string reason;
    string[] fields;

    this(string code, string message, string reason = "", string[] fields = null)
    {
        super(format!"%s %s %s: %s"(code, reason, fields, message));
        this.code = code;
        this.reason = reason;
        this.fields = fields;
    }
}

/// What lies under keys in JSON, one within the other; null where there is nothing.
JSONValue at(JSONValue value, string[] keys...)
{
    foreach (key; keys)
    {
        const found = value.type == JSONType.object ? key in value.object : null;
        if (found is null)
            return JSONValue(null);
        value = *found;
    }
    return value;
}

JSONValue[] items(JSONValue value)
{
    return value.type == JSONType.array ? value.array : null;
}

string text(JSONValue value)
{
    return value.type == JSONType.string ? value.str : "";
}

/// Takes an error of Connect apart. The details are those that are meant for people:
/// the others are binary.
private Failure failureOf(JSONValue error)
{
    auto details(string type)
    {
        return error.at("details").items.filter!(detail => detail.at("type").text == type)
            .map!(detail => detail.at("debug"));
    }

    string reason;
    foreach (detail; details("google.rpc.ErrorInfo"))
        reason = detail.at("reason").text;
    auto fields = details("google.rpc.BadRequest").map!(detail => detail.at("fieldViolations")
            .items)
        .joiner
        .map!(violation => violation.at("field").text)
        .array;
    return new Failure(error.at("code").text, error.at("message").text, reason, fields);
}

/// The server, over connections of its own.
struct Server
{
    string url;

    private HTTP post(string procedure, string contentType, const(ubyte)[] body_)
    {
        auto http = HTTP(url ~ "/tidings.v1." ~ procedure);
        http.method = HTTP.Method.post;
        http.setPostData(body_, contentType);
        http.addRequestHeader("Connect-Protocol-Version", "1");
        http.operationTimeout = 10.seconds;
        return http;
    }

    /// Calls a method with one response, `TopicService/GetTopic`.
    JSONValue call(string procedure, JSONValue request)
    {
        auto http = post(procedure, "application/json", cast(const(ubyte)[]) request.toString);
        ubyte[] received;
        http.onReceive = (ubyte[] data) { received ~= data; return data.length; };
        http.perform();
        auto response = parseJSON(cast(string) received);
        if (http.statusLine.code != 200)
            throw failureOf(response);
        return response;
    }

    /// Calls a method with a stream of responses, and hands them to `take` until it
    /// returns false. Throws a Failure, with the code `canceled` where `take` ended it.
    /// A deadline of zero is none.
    void stream(string procedure, JSONValue request, bool delegate(JSONValue) take,
            Duration deadline = Duration.zero)
    {
        const message = cast(const(ubyte)[]) request.toString;
        // Before each message there are flags and a length of four bytes.
        enum prefix = 5;
        enum endOfStream = 2;
        auto http = post(procedure, "application/connect+json",
                ubyte(0) ~ nativeToBigEndian(cast(uint) message.length) ~ message);
        if (deadline > Duration.zero)
            http.addRequestHeader("Connect-Timeout-Ms", deadline.total!"msecs".to!string);

        ubyte[] received;
        bool ended;
        Exception problem;
        void takeMessages()
        {
            while (received.length >= prefix)
            {
                const ubyte[4] length = received[1 .. prefix];
                const end = prefix + bigEndianToNative!uint(length);
                if (received.length < end)
                    return;
                auto value = parseJSON(cast(string) received[prefix .. end].idup);
                if (received[0] & endOfStream)
                {
                    ended = true;
                    if (!value.at("error").isNull)
                        throw failureOf(value.at("error"));
                }
                else if (!take(value))
                {
                    throw new Failure("canceled", "ended by this side");
                }
                received = received[end .. $];
            }
        }
        // An exception may not pass through libcurl.
        http.onReceive = (ubyte[] data) {
            received ~= data;
            try
                takeMessages();
            catch (Exception e)
                problem = e;
            return problem is null ? data.length : 0;
        };
        try
            http.perform();
        catch (CurlException e)
            throw problem is null ? new Failure("unavailable", e.msg) : problem;
        if (!ended)
            throw new Failure("internal", "the stream has no end");
    }
}
