using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

namespace Tidings.Interop
{
    /// <summary>A call that the server refused: the error as Connect has it in JSON.</summary>
    public sealed class RefusedException : Exception
    {
        public RefusedException(JObject error) : base(error.ToString(Formatting.None))
        {
            Error = error;
        }

        public JObject Error { get; }
    }

    /// <summary>The server over Connect with JSON.</summary>
    public sealed class Server
    {
        private const int LastMessage = 2;

        private static readonly HttpClient Http = new HttpClient { Timeout = Timeout.InfiniteTimeSpan };

        private readonly string url;

        public Server(string url)
        {
            this.url = url;
        }

        /// <summary>Reads JSON without taking texts for dates.</summary>
        public static JObject Parse(string text)
        {
            using (var reader = new JsonTextReader(new StringReader(text)))
            {
                reader.DateParseHandling = DateParseHandling.None;
                return JObject.Load(reader);
            }
        }

        /// <summary>Calls a unary RPC, SERVICE/METHOD.</summary>
        /// <exception cref="RefusedException">The server refused it.</exception>
        public async Task<JObject> Call(string rpc, JObject request, CancellationToken token)
        {
            var content = new ByteArrayContent(Encoding.UTF8.GetBytes(request.ToString(Formatting.None)));
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            using (var response = await Http.PostAsync($"{url}/tidings.v1.{rpc}", content, token))
            {
                var message = Parse(await response.Content.ReadAsStringAsync());
                return response.IsSuccessStatusCode ? message : throw new RefusedException(message);
            }
        }

        /// <summary>Calls an RPC that streams responses, and hands them to <paramref name="take"/>
        /// until it returns false.</summary>
        /// <exception cref="RefusedException">The server ended the call with an error.</exception>
        /// <exception cref="OperationCanceledException">The token ended it.</exception>
        public async Task Stream(
            string rpc,
            JObject request,
            Func<JObject, Task<bool>> take,
            CancellationToken token,
            int? timeoutMilliseconds = null)
        {
            var body = Encoding.UTF8.GetBytes(request.ToString(Formatting.None));
            var message = new HttpRequestMessage(HttpMethod.Post, $"{url}/tidings.v1.{rpc}")
            {
                Content = new ByteArrayContent(Envelope(body)),
            };
            message.Content.Headers.ContentType = new MediaTypeHeaderValue("application/connect+json");
            if (timeoutMilliseconds is int timeout)
            {
                message.Headers.Add("Connect-Timeout-Ms", timeout.ToString());
            }
            using (var response = await Http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, token))
            using (var stream = await response.Content.ReadAsStreamAsync())
            using (token.Register(response.Dispose)) // Ends a read that waits.
            {
                try
                {
                    await ReadAll(stream, take);
                }
                catch (Exception) when (token.IsCancellationRequested)
                {
                    throw new OperationCanceledException(token);
                }
            }
        }

        // docs:begin
        public static async Task Publish(string url, string topic, string id, JObject value)
        {
            var data = new JObject(value) { ["@type"] = "type.googleapis.com/tidings.conformance.v1.EveryKind" };
            var published = new JObject { ["id"] = id, ["source"] = "/interop", ["data"] = data };
            var request = new JObject { ["topic"] = topic, ["events"] = new JArray(published) };
            using (var http = new HttpClient())
            {
                var content = new StringContent(request.ToString(), Encoding.UTF8, "application/json");
                var response = await http.PostAsync($"{url}/tidings.v1.PublisherService/Publish", content);
                response.EnsureSuccessStatusCode();
            }
        }
        // docs:end

        /// <summary>A message of a stream: a byte of flags and four with its length before it.</summary>
        private static byte[] Envelope(byte[] body)
        {
            var envelope = new List<byte> { 0 };
            for (var shift = 24; shift >= 0; shift -= 8)
            {
                envelope.Add((byte)(body.Length >> shift));
            }
            envelope.AddRange(body);
            return envelope.ToArray();
        }

        private static async Task ReadAll(Stream stream, Func<JObject, Task<bool>> take)
        {
            while (true)
            {
                var head = await ReadExactly(stream, 5);
                var length = head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4];
                var message = Parse(Encoding.UTF8.GetString(await ReadExactly(stream, length)));
                if ((head[0] & LastMessage) != 0)
                {
                    if (message["error"] is JObject error)
                    {
                        throw new RefusedException(error);
                    }
                    return;
                }
                if (!await take(message))
                {
                    return;
                }
            }
        }

        private static async Task<byte[]> ReadExactly(Stream stream, int count)
        {
            var data = new byte[count];
            for (var done = 0; done < count;)
            {
                var read = await stream.ReadAsync(data, done, count - done);
                if (read == 0)
                {
                    throw new EndOfStreamException("the stream ended without its last message");
                }
                done += read;
            }
            return data;
        }
    }
}
