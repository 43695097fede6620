using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Newtonsoft.Json.Linq;

namespace Tidings.Interop
{
    /// <summary>The client in C#. README.md in the directory above says what it does.</summary>
    public sealed class Program
    {
        private const string EventType = "type.googleapis.com/tidings.conformance.v1.EveryKind";

        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

        private readonly string url = Environment.GetEnvironmentVariable("TIDINGS_URL");
        private readonly string topic = Environment.GetEnvironmentVariable("TIDINGS_TOPIC");
        private readonly Server server;

        private Program()
        {
            server = new Server(url);
        }

        private JObject Earliest => new JObject { ["boundary"] = "START_BOUNDARY_EARLIEST" };

        private JObject FromNow => new JObject
        {
            ["topic"] = topic,
            ["start"] = new JObject { ["boundary"] = "START_BOUNDARY_NEW" },
        };

        public static int Main() => new Program().Run().GetAwaiter().GetResult() ? 0 : 1;

        /// <summary>Does every step, and returns whether none failed.</summary>
        private async Task<bool> Run()
        {
            var ok = await Step("topic", CreateTopic);
            ok &= await Step("publish", Publish);
            ok &= await Step("refused", PublishInvalid);
            ok &= await Step("read", Read);
            ok &= await Step("tail", Tail);
            ok &= await Step("consume", Consume);
            ok &= await Step("deadline", ExceedDeadline);
            ok &= await Step("cancel", Cancel);
            foreach (var name in new[] { "golden", "golden-json" })
            {
                Console.WriteLine($"{name} n/a: there is no library of protobuf in Debian");
            }
            return ok;
        }

        private static async Task<bool> Step(string name, Func<CancellationToken, Task> step)
        {
            using (var patience = new CancellationTokenSource(Patience))
            {
                try
                {
                    await step(patience.Token);
                }
                catch (Exception exception)
                {
                    Console.WriteLine($"{name} fail: {Regex.Replace(exception.Message, @"\s+", " ")}");
                    Console.Error.WriteLine(exception);
                    return false;
                }
            }
            Console.WriteLine($"{name} ok");
            return true;
        }

        private async Task CreateTopic(CancellationToken token)
        {
            var request = new JObject { ["topic"] = new JObject { ["name"] = topic, ["settings"] = new JObject { ["description"] = "interop" } } };
            await server.Call("TopicService/CreateTopic", request, token);
            var response = await server.Call("TopicService/GetTopic", new JObject { ["name"] = topic }, token);
            var got = (string)response["topic"]["settings"]["description"];
            Require(got == "interop", $"the description is {got}");
            var call = server.Call("TopicService/CreateTopic", request, token);
            await Expect(call, "already_exists", "TOPIC_ALREADY_EXISTS");
        }

        private async Task Publish(CancellationToken token)
        {
            var events = Values.All.Select(value => Event((string)value["name"], value)).ToList();
            var request = new JObject { ["topic"] = topic, ["events"] = new JArray(events) };
            var first = (JArray)(await server.Call("PublisherService/Publish", request, token))["receipts"];
            var again = (JArray)(await server.Call("PublisherService/Publish", request, token))["receipts"];
            Require(first.Count == events.Count && again.Count == events.Count, "not a receipt for each event");
            var last = 0L;
            for (var i = 0; i < events.Count; i++)
            {
                JToken receipt = first[i], repeated = again[i];
                var sequence = (long)receipt["sequence"];
                Require(sequence > last && !IsDuplicate(receipt), $"the receipt {receipt} after {last}");
                Require((long)repeated["sequence"] == sequence && IsDuplicate(repeated), $"when repeated {repeated}");
                last = sequence;
            }
        }

        private async Task PublishInvalid(CancellationToken token)
        {
            var bad = Event("refused", Values.Full());
            bad["data"]["email"] = "not-an-address";
            var request = new JObject { ["topic"] = topic, ["events"] = new JArray(bad) };
            await Expect(
                server.Call("PublisherService/Publish", request, token),
                "invalid_argument", "EVENT_INVALID", "events[0].data.email");
        }

        private async Task Read(CancellationToken token)
        {
            var request = new JObject
            {
                ["topic"] = topic,
                ["start"] = Earliest,
                ["stop"] = new JObject { ["caughtUp"] = true },
            };
            var events = new List<JToken>();
            await server.Stream("ReaderService/Read", request, frame =>
            {
                events.AddRange(EventsOf(frame));
                return Task.FromResult(true);
            }, token);
            Require(events.Count == Values.All.Count, $"{events.Count} events");
            for (var i = 0; i < events.Count; i++)
            {
                var value = Values.All[i];
                RequireEvent(events[i], (string)value["name"], value);
            }
        }

        private async Task Tail(CancellationToken token)
        {
            JToken come = null;
            await server.Stream("ReaderService/Read", FromNow, async frame =>
            {
                if (frame["caughtUp"] != null)
                {
                    await Server.Publish(url, topic, "tailed", Values.Full());
                }
                come = EventsOf(frame).FirstOrDefault();
                return come == null;
            }, token);
            Require(come != null, "the call ended before the event came");
            RequireEvent(come, "tailed", Values.Full());
        }

        private async Task Consume(CancellationToken token)
        {
            var subscription = new JObject
            {
                ["name"] = topic,
                ["topic"] = topic,
                ["retryPolicy"] = new JObject { ["minBackoff"] = "0.1s", ["maxBackoff"] = "1s" },
            };
            var request = new JObject { ["subscription"] = subscription, ["start"] = Earliest };
            await server.Call("SubscriptionService/CreateSubscription", request, token);
            var names = Values.All.Select(value => (string)value["name"]);
            var wanted = names.Concat(new[] { "tailed" }).ToList();
            var acknowledged = new List<string>();
            var attempts = new List<int>(); // Those of full.
            var applied = 0;
            Func<JToken, JObject> decide = delivery =>
            {
                var settlement = new JObject { ["deliveryToken"] = delivery["deliveryToken"] };
                var id = (string)delivery["recorded"]["event"]["id"];
                if (id == "full")
                {
                    attempts.Add((int)delivery["attempt"]);
                }
                if (id == "full" && attempts.Count == 1)
                {
                    settlement["nack"] = new JObject { ["kind"] = "NACK_KIND_RETRY" };
                }
                else
                {
                    acknowledged.Add(id);
                    settlement["ack"] = new JObject();
                }
                return settlement;
            };
            await server.Stream("ConsumerService/Receive", new JObject { ["subscription"] = topic }, async frame =>
            {
                var settlements = new JArray((frame["deliveries"]?["deliveries"] ?? new JArray()).Select(decide));
                if (settlements.Count > 0)
                {
                    var settle = new JObject { ["subscription"] = topic, ["settlements"] = settlements };
                    foreach (var result in (await server.Call("ConsumerService/Settle", settle, token))["results"])
                    {
                        var status = (string)result["status"];
                        Require(status == "SETTLEMENT_STATUS_APPLIED", $"a settlement is {status}");
                        applied++;
                    }
                }
                return applied <= wanted.Count; // One more than events: full is settled twice.
            }, token);
            Require(attempts.SequenceEqual(new[] { 1, 2 }), $"the attempts of full are {string.Join(" ", attempts)}");
            acknowledged.Sort(string.CompareOrdinal);
            wanted.Sort(string.CompareOrdinal);
            Require(acknowledged.SequenceEqual(wanted), $"acknowledged {string.Join(" ", acknowledged)}");
        }

        private async Task ExceedDeadline(CancellationToken token)
        {
            var call = server.Stream("ReaderService/Read", FromNow, frame => Task.FromResult(true), token, 300);
            await Expect(call, "deadline_exceeded");
        }

        private async Task Cancel(CancellationToken token)
        {
            using (var cancellation = CancellationTokenSource.CreateLinkedTokenSource(token))
            {
                try
                {
                    await server.Stream("ReaderService/Read", FromNow, frame =>
                    {
                        if (frame["caughtUp"] != null)
                        {
                            cancellation.Cancel();
                        }
                        return Task.FromResult(true);
                    }, cancellation.Token);
                }
                catch (OperationCanceledException) when (!token.IsCancellationRequested)
                {
                    return;
                }
                throw new InvalidOperationException("the call ended as if it were not cancelled");
            }
        }

        private static JObject Event(string id, JObject value) => new JObject
        {
            ["id"] = id,
            ["source"] = "/interop",
            ["data"] = new JObject(value) { ["@type"] = EventType },
        };

        private static IEnumerable<JToken> EventsOf(JObject frame) =>
            (frame["events"]?["events"] ?? new JArray()).Select(recorded => recorded["event"]);

        private static bool IsDuplicate(JToken receipt) => (bool?)receipt["duplicate"] ?? false;

        private static void Require(bool holds, string otherwise)
        {
            if (!holds)
            {
                throw new InvalidOperationException(otherwise);
            }
        }

        /// <summary>Wants an event to have an id and to hold a value.</summary>
        private static void RequireEvent(JToken got, string id, JObject value)
        {
            var same = JToken.DeepEquals(got["data"], Event(id, value)["data"]);
            Require((string)got["id"] == id && same, $"instead of {id}: {got}");
        }

        /// <summary>Wants a call to be refused with a code and, where they are given, with a reason
        /// and a field.</summary>
        private static async Task Expect(Task call, string code, string reason = null, string field = null)
        {
            try
            {
                await call;
            }
            catch (RefusedException refused)
            {
                var details = (refused.Error["details"] ?? new JArray())
                    .ToDictionary(detail => (string)detail["type"], detail => detail["debug"]);
                details.TryGetValue("google.rpc.ErrorInfo", out var info);
                details.TryGetValue("google.rpc.BadRequest", out var bad);
                var fields = (bad?["fieldViolations"] ?? new JArray()).Select(violation => (string)violation["field"]);
                Require(
                    (string)refused.Error["code"] == code && (reason == null || (string)info?["reason"] == reason)
                        && (field == null || fields.Contains(field)),
                    $"expected {code} {reason} {field}, got {refused.Message}");
                return;
            }
            throw new InvalidOperationException($"expected {code}, got OK");
        }
    }
}
